"""Seeds of a model taken together: models X, X-seed1, X-seed2 ... are one, trained several times."""

import dataclasses
import re
from typing import Any

import numpy as np
from cortexzoo.evaluation.results import metrics

_SEED = re.compile(r"-seed\d+$")


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


def without_seed(name: str, dataset: str) -> str:
    """Returns a model's name without the data set's and the seed's: "x/a", "x/a-seed1" and "x/a-seed2" are seeds of "a"."""
    return _SEED.sub("", name).removeprefix(f"{dataset}/")


def seed_of(name: str) -> str:
    """Returns what a name says of the seed: "-seed1" of "x/a-seed1", and nothing of "x/a"."""
    found = _SEED.search(name)
    return found[0] if found else ""


def by_model(summaries: list[Any]) -> dict[str, list[Any]]:
    """Returns the seeds of each model by its name, see `without_seed`.

    Args:
        summaries: of one data set, of any kind that has a `name` and a `dataset`.

    Raises:
        ValueError: two have the same name: one model would count as two seeds.
    """
    names = [summary.name for summary in summaries]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected models of different names, as a name tells the seed. Received: {', '.join(names)}.")
    groups: dict[str, list[Any]] = {}
    for summary in summaries:
        groups.setdefault(without_seed(summary.name, summary.dataset.name), []).append(summary)
    return groups
