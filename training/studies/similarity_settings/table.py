"""The table of the grids: a CSV file with a row for each training."""

import csv
from pathlib import Path

from cortexzoo.files import csv_text, write_text

# Standard deviations of the Gaussian noise.
NOISE = (0.1, 0.2, 0.3)
# Columns with accuracies, and what they are called.
MEASURED = {"accuracy": "clean", **{f"noise_{stddev}": f"noise {stddev}" for stddev in NOISE}}
# Settings of the regulariser that some grid changes.
SETTINGS = ("regularization_dataset", "strength", "threshold", "pairs", "regularization_images")
# What tells a row from another.
CELL = ("grid", "dataset", "target", *SETTINGS, "epochs", "train_images", "seed", "changes")
COLUMNS = (*CELL, *MEASURED, "settings")

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """Returns the rows of a table, all values as text; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(rows: list[Row], path: Path) -> None:
    """Writes a table, which a reader never sees half written."""
    write_text(path, csv_text(COLUMNS, rows))


def with_row(rows: list[Row], row: Row) -> list[Row]:
    """Adds a row, or puts it in place of the same cell's: the recipe was changed since."""
    for i, old in enumerate(rows):
        if all(old[name] == row[name] for name in CELL):
            return [*rows[:i], row, *rows[i + 1 :]]
    return [*rows, row]
