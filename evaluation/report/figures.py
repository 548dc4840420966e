"""Writes the figures: curves and heat map of each data set, adversarial images of each model. Same inputs, same bytes."""

import io
import os
import re
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib
import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.report.curves import accuracy_curves, line_styles
from evaluation.report.grid import adversarial_grid
from evaluation.report.heatmap import accuracy_heatmap
from evaluation.report.layout import by_dataset
from evaluation.store import Store
from evaluation.summary import Summary
from zoo import datasets

# On top of matplotlib's defaults: a user's matplotlibrc must not change a published figure.
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "brainzoo",
    "savefig.dpi": "figure",
}


def write_figures(
    summaries: list[Summary], store: Store, directory: Path, formats: tuple[str, ...] = ("png", "svg")
) -> list[Path]:
    """Writes curves and heat map (PNG) of each data set and the adversarial grid (PNG) of each model that was attacked.

    Args:
        summaries: the models.
        store: the results, for the images.
        directory: where the files go; created where missing.
        formats: of the curves.

    Returns:
        The files, curves and heat maps first.

    Raises:
        ValueError: the summaries are of different suites or seeds.
    """
    attacked = [summary for summary in summaries if summary.attacks]
    styles, names = line_styles(summaries), file_names(summaries)
    curves, grids = [], []
    with figure_style():
        for group in by_dataset(attacked):
            dataset = group[0].dataset.name
            figure = accuracy_curves(group, styles)
            curves += [save_figure(figure, directory / f"accuracy-{dataset}.{suffix}") for suffix in formats]
            curves.append(save_figure(accuracy_heatmap(group), directory / f"heatmap-{dataset}.png"))
            split = datasets.load(dataset, "test")
            for summary in group:
                figure = adversarial_grid(summary, store, split)
                grids.append(save_figure(figure, directory / f"adversarials-{names[summary.digest]}.png"))
    return curves + grids


def file_names(summaries: list[Summary]) -> dict[str, str]:
    """Returns a name fit for a file for each model, by digest; two models never share one."""
    names = {summary.digest: re.sub(r"[^\w.-]+", "-", summary.name).strip("-.") for summary in summaries}
    count = Counter(names.values())
    return {digest: name if count[name] == 1 else f"{name}-{digest[:8]}" for digest, name in names.items()}


def figure_style() -> AbstractContextManager[None]:
    """Returns the context in which figures are drawn and saved, whatever the user's settings are."""
    return matplotlib.style.context(["default", _STYLE])


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes a figure so that a reader sees the old file or the new, never a part; its folder is created where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # The date and the version of matplotlib would change the bytes of an unchanged figure.
    figure.savefig(buffer, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(buffer.getvalue())
    os.replace(temporary, path)
    return path
