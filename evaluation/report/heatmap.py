"""Heat map of accuracies at the threshold: attacks x models."""

import numpy as np
from matplotlib.figure import Figure

from evaluation.norms import NORMS
from evaluation.report.layout import column_names
from evaluation.summary import Summary

_ROW, _COLUMN = 0.22, 0.8


def accuracy_heatmap(summaries: list[Summary]) -> Figure:
    """Draws a row an attack, a column a model, the accuracy in per cent in each cell; lines part the norms.

    Args:
        summaries: models of one data set.
    """
    ordered = [score for norm in NORMS for summary in summaries for score in summary.attacks if score.norm == norm]
    labels = list(dict.fromkeys(score.label for score in ordered))
    norm_of = {score.label: score.norm for score in ordered}
    values = np.full((len(labels), len(summaries)), np.nan)
    for column, summary in enumerate(summaries):
        for score in summary.attacks:
            values[labels.index(score.label), column] = 100 * score.accuracy
    figure = Figure(figsize=(2.6 + _COLUMN * len(summaries), 1.2 + _ROW * len(labels)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if value > 55 else "white"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7)
    for row in range(1, len(labels)):
        if norm_of[labels[row]] != norm_of[labels[row - 1]]:
            axes.axhline(row - 0.5, color="white", linewidth=2)
    axes.set_xticks(range(len(summaries)), column_names(summaries), rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    first = summaries[0]
    axes.set_title(f"{first.dataset.name}, suite {first.suite}: accuracy in % at the thresholds", fontsize=9, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.5, label="accuracy in %")
    return figure
