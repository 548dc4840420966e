"""What a store holds, read with SQLite alone."""

import contextlib
import sqlite3
from pathlib import Path

_RESULTS = """
SELECT runs.description, results.sample, results.distance, results.prediction
FROM results JOIN runs ON runs.id = results.run ORDER BY 1, 2
"""
_IMAGES = "SELECT runs.description, images.sample, images.image FROM images JOIN runs ON runs.id = images.run ORDER BY 1, 2"
_CLEAN = "SELECT digest, dataset, sample, label, prediction FROM clean ORDER BY 1, 2, 3"


def read_rows(path: Path) -> dict[str, list[tuple]]:
    """Returns results, images and clean predictions of a store, in a fixed order, without times and run numbers."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        queries = {"results": _RESULTS, "images": _IMAGES, "clean": _CLEAN}
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def read_tables(path: Path) -> list[str]:
    """Returns the names of the tables."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
