"""Writes the figures: curves and heat map of each data set, gallery of each model. Equal inputs give equal bytes."""

import re
from collections import Counter
from pathlib import Path

from cortexzoo.evaluation.report.curves import accuracy_curves, line_styles
from cortexzoo.evaluation.report.gallery import gallery
from cortexzoo.evaluation.report.heatmap import accuracy_heatmap
from cortexzoo.evaluation.report.layout import by_dataset
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.figures import figure_style, save_figure


def write_figures(summaries: list[Summary], directory: Path, formats: tuple[str, ...] = ("png", "svg")) -> list[Path]:
    """Writes the curves and heat map of each data set and the gallery of each attacked model.

    Args:
        summaries: the models.
        directory: where the files go; created if missing.
        formats: the file formats of the curves; all other figures are PNG.

    Returns:
        The files, curves and heat maps first.

    Raises:
        ValueError: the summaries are from different suites or seeds.
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
            for summary in group:
                figure = gallery(summary)
                grids.append(save_figure(figure, directory / f"adversarials-{names[summary.digest]}.png"))
    return curves + grids


def file_names(summaries: list[Summary]) -> dict[str, str]:
    """Returns a valid and unique file name for each model, by digest."""
    names = {summary.digest: re.sub(r"[^\w.-]+", "-", summary.name).strip("-.") for summary in summaries}
    count = Counter(names.values())
    return {digest: name if count[name] == 1 else f"{name}-{digest[:8]}" for digest, name in names.items()}
