"""Median distances of the Boundary attack and of DDN, averaged over the seeds of a model."""

import math

import numpy as np

from cortexzoo.evaluation.attacks import Attack, BoundaryAttack, DecoupledDirectionNorm
from cortexzoo.evaluation.report.layout import MISSING, by_dataset, data_line, distance, of_official
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.report.seeds import by_group
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.files import markdown_row

_COLUMNS = ["model", "seeds", "median L2", "median squared L2 per value", "95 % interval", "DDN: median L2", "N"]
_CAPTION = (
    "Medians over N images of the split; a misclassified image has distance 0, a failed attack ∞. With several seeds: the "
    "mean of their medians. Interval: of the squared median over the images, by order statistics; with several seeds, "
    "Student's t over them, where that is wider. Values: pixels times channels. DDN follows gradients: where it "
    "gets much nearer, the walk along the boundary ended at a different part of the boundary."
)


def boundary_table(summaries: list[Summary]) -> str:
    """Returns one Markdown table per data set: each model's median distance and median squared distance per value.

    Args:
        summaries: models under a suite with the Boundary attack.

    Raises:
        ValueError: none of the models has results of this attack.
    """
    parts = []
    for group in by_dataset(summaries):
        scored = [summary for summary in group if _score(summary, BoundaryAttack) is not None]
        if not scored:
            raise ValueError(f"Expected results of the Boundary attack on {group[0].dataset.name}. Received: none.")
        first, values = scored[0], math.prod(scored[0].dataset.image_shape)
        parts.append(f"{data_line(first)} The split has {of_official(first.clean_samples, first.dataset)}.")
        rows = [_row(name, models, values) for name, models in by_group(scored).items()]
        parts.append("\n".join(map(markdown_row, [_COLUMNS, [":--"] + ["--:"] * (len(_COLUMNS) - 1), *rows])))
    return "\n\n".join([*parts, _CAPTION]) + "\n"


def squared_per_value(distances: np.ndarray, values: int) -> float:
    """Returns the median of squared L2 distances, divided by the number of values of an image."""
    return metrics.median_distance(distances**2) / values


def _score(summary: Summary, attack: type[Attack]) -> Score | None:
    """The result of an attack, whether it ran alone or inside another one."""
    names = {score.settings.get("inner", score.settings)["attack"]: score for score in summary.attacks}
    return names.get(attack.name)


def _row(name: str, models: list[Summary], values: int) -> list[str]:
    scores, others = ([_score(model, attack) for model in models] for attack in (BoundaryAttack, DecoupledDirectionNorm))
    squared = [squared_per_value(score.distances, values) for score in scores]
    # Seeds share their images.
    low, high = np.mean([metrics.median_interval(score.distances**2 / values) for score in scores], axis=0)
    if len(squared) > 1 and all(map(math.isfinite, squared)):
        over_seeds = metrics.t_interval(squared)
        low, high = max(0.0, min(low, over_seeds[0])), max(high, over_seeds[1])
    return [
        name,
        str(len(scores)),
        distance(float(np.mean([score.median for score in scores]))),
        distance(float(np.mean(squared))),
        f"[{distance(float(low))}, {distance(float(high))}]",
        MISSING if None in others else distance(float(np.mean([score.median for score in others]))),
        f"{min(score.samples for score in scores):,}",
    ]


SECTION = Section("boundary", Summary, lambda summaries, page, figures: boundary_table(summaries))
