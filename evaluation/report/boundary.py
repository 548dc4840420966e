"""Medians of the Boundary attack, with the seeds of a model side by side."""

import math

import numpy as np

from evaluation import metrics
from evaluation.attacks import BoundaryAttack
from evaluation.report.layout import by_dataset, distance
from evaluation.report.seeds import by_model
from evaluation.summary import Score, Summary


def boundary_table(summaries: list[Summary]) -> str:
    """Returns a Markdown table a data set: the median distance and the median squared distance per value of each model.

    Args:
        summaries: models under a suite with the Boundary attack.

    Raises:
        ValueError: none of the models has results of it.
    """
    parts = []
    for group in by_dataset(summaries):
        scored = [summary for summary in group if _boundary_score(summary) is not None]
        if not scored:
            raise ValueError(f"Expected results of the Boundary attack on {group[0].dataset.name}. Received: none.")
        lines = ["| model | seeds | median L2 | median squared L2 per value | 95 % interval | N |", "| :-- |" + " --: |" * 5]
        values = math.prod(group[0].dataset.image_shape)
        lines += [_row(name, list(map(_boundary_score, models)), values) for name, models in by_model(scored).items()]
        lines.append(
            "\nMedians over all images; a misclassified image has distance 0, a failed attack ∞. Of several seeds: the mean "
            "of their medians, with Student's t interval of the squared one; of one seed none. Values: pixels by channels."
        )
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def squared_per_value(distances: np.ndarray, values: int) -> float:
    """Returns the median of squared L2 distances, divided by the number of values of an image."""
    return metrics.median_distance(distances**2) / values


def _boundary_score(summary: Summary) -> Score | None:
    return next((score for score in summary.attacks if score.settings["attack"] == BoundaryAttack.name), None)


def _row(name: str, scores: list[Score], values: int) -> str:
    medians = [score.median for score in scores]
    squared = [squared_per_value(score.distances, values) for score in scores]
    bounds = "—"
    if len(squared) > 1 and all(map(math.isfinite, squared)):
        bounds = "[{:.3g}, {:.3g}]".format(*metrics.t_interval(squared))
    samples = min(score.samples for score in scores)
    cells = [
        name,
        str(len(scores)),
        distance(float(np.mean(medians))),
        distance(float(np.mean(squared))),
        bounds,
        f"{samples:,}",
    ]
    return f"| {' | '.join(cells)} |"
