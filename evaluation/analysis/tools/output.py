"""Helpers for the figures and tables of the analyses."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.files import write_text

COLUMNS = 6


def stem(analysis: str, dataset: str, models: Sequence[str]) -> str:
    """Returns the beginning of the file names, such as "rdm-mnist-cnn-dim" for mnist/cnn and mnist/dim."""
    return "-".join([analysis, dataset, *(model.removeprefix(f"{dataset}/").replace("/", "-") for model in models)])


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of this size in inches, with a constrained layout."""
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def layer_panels(figure: Figure, counts: Sequence[int]) -> list[list[Axes]]:
    """Adds a panel for each layer to a figure, at most `COLUMNS` side by side; each model starts a new line.

    Args:
        figure: an empty figure.
        counts: number of layers of each model.

    Returns:
        The panels of each model.
    """
    columns = min(max(counts), COLUMNS)
    grid = figure.add_gridspec(lines_of(counts), columns)
    panels, line = [], 0
    for count in counts:
        panels.append([figure.add_subplot(grid[line + i // columns, i % columns]) for i in range(count)])
        line += lines_of([count])
    return panels


def lines_of(counts: Sequence[int]) -> int:
    """Returns the number of lines of panels that `layer_panels` needs."""
    return sum(-(-count // COLUMNS) for count in counts)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Writes a CSV file, with floats to six significant digits, and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    write_text(path, text.getvalue())
    return path
