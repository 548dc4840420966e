"""Seeds of a model taken together: one model, trained several times."""

import dataclasses
from typing import Any

import numpy as np
from cortexzoo.evaluation.results import metrics


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares, with its 95 % interval.

    Attributes:
        value: the mean over the seeds.
        low, high: the interval over the images; of several seeds as wide as Student's t over them, where that is wider.
    """

    value: float
    low: float
    high: float


def estimate(values: list[float], samples: int) -> Estimate:
    """Returns the mean of one share a seed, with its interval.

    Seeds share their images, so that what these leave open no number of seeds closes: seeds that agree by chance, or are all
    at 0, would have no interval at all by Student's t alone.

    Args:
        values: shares in [0, 1], one a seed.
        samples: how many images each of them counts.
    """
    mean = float(np.mean(values))
    bounds = [metrics.wilson_interval(min(mean * samples, samples), samples)]
    if len(values) > 1:
        bounds.append(metrics.t_interval(values))
    lows, highs = zip(*bounds, strict=True)
    return Estimate(mean, max(0.0, min(lows)), min(1.0, max(highs)))


def by_group(summaries: list[Any]) -> dict[str, list[Any]]:
    """Returns the seeds of each model by what tables call them together, without the data set's name.

    Args:
        summaries: of one data set, of any kind that has an `evaluation`.

    Raises:
        ValueError: two have the same name: one model would count as two seeds.
    """
    names = [summary.name for summary in summaries]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected models of different names, as a name tells the seed. Received: {', '.join(names)}.")
    groups: dict[str, list[Any]] = {}
    for summary in summaries:
        groups.setdefault(group_of(summary), []).append(summary)
    return groups


def group_of(summary: Any) -> str:
    """Returns what tables call all seeds of a summary's model together, without the data set's name."""
    return (summary.evaluation.model.group or summary.name).removeprefix(f"{summary.dataset.name}/")
