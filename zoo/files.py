"""Text files that are written whole or not at all, and the lines of tables in them."""

import csv
import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file so that a reader sees the old content or the new, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part; its folder is created where missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def check_writable(directory: str | os.PathLike[str]) -> None:
    """Finds out before the work whether files can be written into a folder, which need not exist yet. Leaves nothing behind.

    Raises:
        ValueError: they cannot.
    """
    existing = Path(directory)
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        found = f"{existing} is a file" if existing.is_file() else f"{existing}: {error.strerror}"
        raise ValueError(f"Expected a folder that can be written: {directory}. Received: {found}.") from error


def markdown_row(cells: list[str]) -> str:
    """Returns a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def csv_text(fields: Iterable[str], rows: Iterable[dict[str, Any]]) -> str:
    """Returns a CSV file's text: a line of names and the rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
