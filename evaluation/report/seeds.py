"""Grouping by seed: one model, trained several times."""

import dataclasses
from typing import Any

import numpy as np

from cortexzoo.evaluation.results import metrics


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares, with its 95 % interval.

    Attributes:
        value: the mean over the seeds.
        low, high: the interval over the images; with several seeds, Student's t over them where that is wider.
    """

    value: float
    low: float
    high: float


def estimate(values: list[float], samples: int) -> Estimate:
    """Returns the mean of the seeds' shares, with its interval.

    All seeds are evaluated on the same images, so more seeds do not reduce the uncertainty due to the images. Student's t
    alone would give no interval at all for seeds that agree by chance or are all at 0.

    Args:
        values: shares in [0, 1], one per seed.
        samples: the number of images behind each share.
    """
    mean = float(np.mean(values))
    bounds = [metrics.wilson_interval(min(mean * samples, samples), samples)]
    if len(values) > 1:
        bounds.append(metrics.t_interval(values))
    lows, highs = zip(*bounds, strict=True)
    return Estimate(mean, max(0.0, min(lows)), min(1.0, max(highs)))


def by_group(summaries: list[Any]) -> dict[str, list[Any]]:
    """Groups the seeds of each model, by the group's name in tables, without the data set's name.

    Args:
        summaries: on one data set; any kind with an `evaluation`.

    Raises:
        ValueError: two have the same name, so that one model would count as two seeds.
    """
    names = [summary.name for summary in summaries]
    if len(set(names)) < len(names):
        raise ValueError(
            f"Expected a different name for each model, since the name includes the seed. Received: {', '.join(names)}."
        )
    groups: dict[str, list[Any]] = {}
    for summary in summaries:
        groups.setdefault(group_of(summary), []).append(summary)
    return groups


def group_of(summary: Any) -> str:
    """Returns the name in tables for all seeds of a summary's model, without the data set's name."""
    return (summary.evaluation.model.group or summary.name).removeprefix(f"{summary.dataset.name}/")
