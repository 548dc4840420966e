"""The result of one attack, or of the union of several, at one threshold."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from cortexzoo.evaluation.results import metrics


@dataclasses.dataclass(frozen=True)
class Score:
    """The result of one attack, or of the union of several, at one threshold.

    Attributes:
        label: name in tables.
        norm: the norm of the distances.
        epsilon: the threshold.
        distances: float64, (n,): 0 for misclassified images, infinity where the attack failed.
        ids: int64, (n,): the sample ids.
        seconds: duration of the attack, summed over all runs.
        settings: the attack's settings; empty for a union.
        uses_gradients: whether the attack follows gradients.
        endpoints: the endpoints attacked.
        versions: package versions under which the attack ran; empty for a union.
        cumulative: whether images that earlier attacks of the suite broke were left out. The distances are then the smallest
            ones up to this attack, and the accuracy is what it and all before it left.
        partial: whether the attack saw only the first of the evaluated images.
        minimal: the samples whose distance an attack minimised, int64, (k,); None for all. Of the others it is only known
            whether they are broken at the threshold.
    """

    label: str
    norm: str
    epsilon: float
    distances: np.ndarray
    ids: np.ndarray
    seconds: float = 0.0
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    uses_gradients: bool = True
    endpoints: tuple[str, ...] = ()
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    cumulative: bool = False
    partial: bool = False
    minimal: np.ndarray | None = None

    @property
    def samples(self) -> int:
        """The number of attacked images."""
        return len(self.ids)

    @property
    def accuracy(self) -> float:
        """The share of images with a distance beyond the threshold."""
        return metrics.accuracy_at(self.distances, self.epsilon)

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % Wilson interval."""
        return metrics.wilson_interval(int(np.sum(metrics.survivors(self.distances, self.epsilon))), self.samples)

    @property
    def median(self) -> float:
        """The median distance over the images whose distance was minimised; may be infinite, and is NaN without any."""
        minimised = self.minimised
        return metrics.median_distance(minimised) if len(minimised) else math.nan

    @property
    def minimised(self) -> np.ndarray:
        """The distances of the images for which an attack minimised it."""
        return self.distances if self.minimal is None else self.distances[np.isin(self.ids, self.minimal)]

    def of_minimised(self) -> "Score":
        """Returns the score of the images for which an attack minimised the distance; of none if there is no such attack."""
        if self.minimal is None:
            return self
        kept = np.isin(self.ids, self.minimal)
        return dataclasses.replace(self, distances=self.distances[kept], ids=self.ids[kept], minimal=None)

    def at(self, epsilon: float) -> "Score":
        """Returns the same distances at another threshold."""
        return dataclasses.replace(self, epsilon=epsilon)

    def as_json(self) -> dict[str, Any]:
        """Returns the score as plain JSON values; an infinite median becomes None."""
        return {
            "label": self.label,
            "norm": self.norm,
            "epsilon": self.epsilon,
            "samples": self.samples,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "median": self.median if math.isfinite(self.median) else None,
            "seconds": round(self.seconds, 2),
            "endpoints": list(self.endpoints),
            "settings": self.settings,
            "versions": self.versions,
        }


def union_of(label: str, members: list[Score]) -> Score:
    """Returns the per-sample minimum over attacks in one norm, on the images that all of them attacked.

    Where broken images leave, the images are those that all complete attacks saw, and attacks on the first images only count
    where they have a result.
    """
    complete = members
    if any(score.cumulative for score in members):
        complete = [score for score in members if not score.partial] or members
    ids = sorted(set.intersection(*(set(map(int, score.ids)) for score in complete)))
    distances = metrics.union([_on(score, ids) for score in members])
    seconds = sum(score.seconds for score in members)
    return Score(
        label,
        members[0].norm,
        members[0].epsilon,
        distances,
        np.array(ids, np.int64),
        seconds,
        cumulative=any(score.cumulative for score in members),
        minimal=_minimal(members),
    )


def _on(score: Score, ids: list[int]) -> np.ndarray:
    """The distances of these samples; infinite where the attack did not see one."""
    known = dict(zip(map(int, score.ids), score.distances, strict=True))
    return np.array([known.get(sample, np.inf) for sample in ids])


def _minimal(members: list[Score]) -> np.ndarray | None:
    if not any(score.cumulative for score in members):
        return None
    minimising = [score.ids for score in members if not score.cumulative]
    return functools.reduce(np.intersect1d, minimising) if minimising else np.array([], np.int64)
