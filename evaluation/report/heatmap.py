"""Heat map of accuracy at the thresholds, attacks by models."""

import numpy as np
from matplotlib.figure import Figure

from cortexzoo.evaluation.report.layout import FLAG, column_names
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORMS

# Sizes in inches: a row, a column, a character of a label, the colour bar.
_ROW, _COLUMN, _CHARACTER, _BAR = 0.22, 0.8, 0.075, 1.0


def accuracy_heatmap(summaries: list[Summary]) -> Figure:
    """Draws one row per attack and one column per model, with the accuracy in per cent; lines separate the norms.

    Args:
        summaries: models on one data set.
    """
    ordered = [score for norm in NORMS for summary in summaries for score in summary.attacks if score.norm == norm]
    labels = list(dict.fromkeys(score.label for score in ordered))
    norm_of = {score.label: score.norm for score in ordered}
    most = max((score.samples for score in ordered), default=0)
    fewer = {score.label for score in ordered if score.samples < most}
    values = np.full((len(labels), len(summaries)), np.nan)
    for column, summary in enumerate(summaries):
        for score in summary.attacks:
            values[labels.index(score.label), column] = 100 * score.accuracy
    marked = [f"{label} {FLAG}" if label in fewer else label for label in labels]
    width = _CHARACTER * max(map(len, marked)) + _COLUMN * len(summaries) + _BAR
    figure = Figure(figsize=(width, 1.2 + _ROW * len(labels)), dpi=120, layout="constrained")
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
    axes.set_yticks(range(len(labels)), marked)
    axes.tick_params(length=0)
    first = summaries[0]
    counted = f"N = {most:,}" + (f" ({FLAG} fewer)" if fewer else "")
    figure.suptitle(f"{first.dataset.name}, suite {first.suite}: accuracy in %\nat the thresholds, {counted}", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.5, label="accuracy in %")
    return figure
