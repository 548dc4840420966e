"""Figures that commands write: the same on every machine, and never a part of one."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# On top of matplotlib's defaults: a user's matplotlibrc must not change a published figure.
_STYLE = {"font.family": "DejaVu Sans", "font.size": 9.0, "axes.spines.top": False, "savefig.dpi": "figure"}


def figure_style() -> AbstractContextManager[None]:
    """Returns the context in which figures are drawn and saved."""
    return matplotlib.style.context(["default", _STYLE])


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure (PNG), so that a reader sees the old file or the new, never a part. Same figure, same bytes."""
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    # The version of matplotlib would change the bytes of an unchanged figure.
    figure.savefig(temporary, format="png", metadata={"Software": None})
    os.replace(temporary, path)
