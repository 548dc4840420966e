"""Figures that commands write: the same bytes from the same numbers, and never a part of a file."""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cortexzoo.files import write_bytes

# On top of matplotlib's defaults: a user's matplotlibrc must not change a published figure.
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "cortexzoo",
    "savefig.dpi": "figure",
}


def figure_style(changes: dict[str, Any] | None = None) -> AbstractContextManager[None]:
    """Returns the context in which figures are drawn and saved, whatever the user's settings are.

    Args:
        changes: parameters of matplotlib on top of the style.
    """
    return matplotlib.style.context(["default", {**_STYLE, **(changes or {})}])


class ShownFigure(Figure):
    """A figure that a notebook shows where it is the value of a cell, whether pyplot is set up or not."""

    def _repr_png_(self) -> bytes:
        FigureCanvasAgg(self)
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes a figure (PNG or SVG, by the path's suffix) atomically and returns the path. Same figure, same bytes."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # The date and the version of matplotlib would change the bytes of an unchanged figure.
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(buffer, format=path.suffix[1:], metadata=metadata)
    write_bytes(path, buffer.getvalue())
    return path
