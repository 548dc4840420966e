"""A sweep's figure: validation accuracy, and saturation of the hidden units, against the weight of the penalty."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.figures import figure_style, save_figure
from cortexzoo.training.studies.sweep.table import Point


def write_figure(points: list[Point], title: str, path: Path) -> None:
    """Writes the figure (PNG) of a sweep. Same points, same bytes."""
    with figure_style({"axes.spines.right": True}):
        save_figure(_draw(sorted(points, key=lambda point: point.strength), title), path)


def _draw(points: list[Point], title: str) -> Figure:
    figure = Figure(figsize=(6.0, 5.0), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    strengths = [point.strength for point in points]
    upper.plot(strengths, [100 * point.accuracy for point in points], "o-", color="C0")
    for point in points:
        if point.strength == 0.0:
            label = "one point below λ = 0"
            upper.axhline(100 * point.accuracy - 1, color="0.5", linestyle="--", linewidth=1, label=label)
            upper.legend(frameon=False)
    upper.set_ylabel("validation accuracy, %")
    upper.set_title(title)
    lower.plot(strengths, [100 * point.saturated_share for point in points], "s-", color="C1")
    lower.set_ylabel("saturated units, %", color="C1")
    mean = lower.twinx()
    mean.plot(strengths, [point.mean_saturation for point in points], "^-", color="C2")
    mean.set_ylabel("mean ψ of a unit", color="C2")
    lower.set_xlabel("weight λ of the saturation penalty")
    _scale(lower, strengths)
    return figure


def _scale(axes: Axes, strengths: list[float]) -> None:
    """A logarithmic axis that has a place for zero."""
    positive = [strength for strength in strengths if strength > 0.0]
    if positive:
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
        axes.set_xlim(-0.2 * min(positive), 1.5 * max(positive))
