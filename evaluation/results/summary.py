"""What the store says of one model under one suite: the numbers behind every table, figure and card."""

import dataclasses
import math
from typing import Any

import numpy as np
from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.norms import THRESHOLDS
from cortexzoo.evaluation.results import diagnostics, metrics
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.running.runner import endpoints
from cortexzoo.evaluation.suites import Suite
from cortexzoo.norms import NORMS


@dataclasses.dataclass(frozen=True)
class Score:
    """One attack, or the union of several, at one threshold.

    Attributes:
        label: name in tables.
        norm: the norm of the distances.
        epsilon: the threshold.
        distances: float64, (n,): 0 for misclassified images, infinity where the attack failed.
        ids: int64, (n,): the sample ids.
        seconds: time of the attack, in all runs together.
        settings: of the attack; empty for a union.
        uses_gradients: whether the attack follows gradients.
        endpoints: the endpoints attacked.
        versions: package versions under which the attack ran; empty for a union.
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

    @property
    def samples(self) -> int:
        """How many images were attacked."""
        return len(self.ids)

    @property
    def accuracy(self) -> float:
        """Share of images with a distance beyond the threshold."""
        return metrics.accuracy_at(self.distances, self.epsilon)

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % Wilson interval."""
        return metrics.wilson_interval(int(np.sum(metrics.survivors(self.distances, self.epsilon))), self.samples)

    @property
    def median(self) -> float:
        """Median distance over all images; it may be infinite."""
        return metrics.median_distance(self.distances)

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


@dataclasses.dataclass(frozen=True)
class Summary:
    """One model under one suite.

    Attributes:
        name: the model's.
        digest: the model's.
        dataset: the data set.
        suite: the suite's name.
        seed: seed of the attacks.
        correct: correctly classified clean test images.
        clean_samples: all clean test images.
        attacks: one score an attack: the minimum over its endpoints.
        unions: one score a norm: the minimum over the norm's attacks, on the images that all of them attacked.
        checks: signs of gradient masking.
    """

    name: str
    digest: str
    dataset: DatasetInfo
    suite: str
    seed: int
    correct: int
    clean_samples: int
    attacks: list[Score]
    unions: list[Score]
    checks: list[diagnostics.Check]

    @property
    def clean_accuracy(self) -> float:
        """Accuracy on all clean test images."""
        return self.correct / self.clean_samples

    @property
    def minimal_accuracy(self) -> float | None:
        """The least union accuracy over the four norms; None while a norm has no attack."""
        by_norm = {score.norm: score.accuracy for score in self.unions}
        return min(by_norm.values()) if set(by_norm) == set(NORMS) else None

    def union(self, norm: str) -> Score | None:
        """Returns the minimum over the attacks of a norm; None where it has none."""
        return next((score for score in self.unions if score.norm == norm), None)

    def wide_union(self, norm: str) -> Score | None:
        """Returns the minimum over those attacks of a norm that saw the most images; None where all saw as many."""
        members = [score for score in self.attacks if score.norm == norm]
        most = max((score.samples for score in members), default=0)
        wide = [score for score in members if score.samples == most]
        if len(wide) == len(members):
            return None
        left_out = ", ".join(score.label for score in members if score.samples < most)
        return union_of(f"all but {left_out}", wide)

    def clean_json(self) -> dict[str, Any]:
        """Returns the clean accuracy as a card keeps it."""
        interval = metrics.wilson_interval(self.correct, self.clean_samples)
        return {
            "correct": self.correct,
            "samples": self.clean_samples,
            "official_samples": self.dataset.official_test_size,
            "accuracy": self.clean_accuracy,
            "interval": list(interval),
        }

    def robust_json(self) -> dict[str, Any]:
        """Returns the robust accuracies as a card keeps them."""
        return {
            "seed": self.seed,
            "attacks": [score.as_json() for score in self.attacks],
            "unions": {score.norm: score.as_json() for score in self.unions},
        }


def summarize(
    store: Store,
    digest: str,
    info: DatasetInfo,
    suite: Suite,
    *,
    seed: int,
    endpoints_of_classifier: tuple[str, ...],
    samples: int,
) -> Summary:
    """Computes the numbers of one model from the store alone.

    Args:
        store: the results.
        digest: the model's.
        info: the data set.
        suite: the attacks; those that the store lacks are left out.
        seed: seed of the attacks.
        endpoints_of_classifier: endpoints of the model that were attacked.
        samples: how many of the first images count.
    """
    ids, labels, predictions = store.clean(digest, info.name)
    attacks = []
    for member in suite.members_on(endpoints_of_classifier):
        score = _score(
            store, digest, info, member, seed, endpoints(endpoints_of_classifier, member.attack, member.endpoints), samples
        )
        if score is not None:
            attacks.append(score)
    return Summary(
        name=store.models()[digest],
        digest=digest,
        dataset=info,
        suite=suite.name,
        seed=seed,
        correct=int(np.sum(labels == predictions)),
        clean_samples=len(ids),
        attacks=attacks,
        unions=_unions(attacks),
        checks=diagnostics.from_scores(attacks) + diagnostics.from_store(store, digest, info.name),
    )


def _score(store, digest, info, member, seed, names, samples) -> Score | None:
    runs = [store.find_run(RunKey(digest, info.name, name, seed, settings(member.attack))) for name in names]
    if None in runs:
        return None
    count = min(samples, member.samples or samples)
    results = [store.distances(run) for run in runs]
    ids = sorted(i for i in set.intersection(*map(set, results)) if i < count)
    if not ids:
        return None
    distances = metrics.union([np.array([result[i] for i in ids]) for result in results])
    return Score(
        label=member.label,
        norm=member.attack.norm,
        epsilon=THRESHOLDS[member.attack.norm],
        distances=distances,
        ids=np.array(ids),
        seconds=sum(store.seconds(run) for run in runs),
        settings=settings(member.attack),
        uses_gradients=member.attack.uses_gradients,
        endpoints=names,
        versions=store.versions(runs[0]),
    )


def _unions(attacks: list[Score]) -> list[Score]:
    by_norm = [(norm, [score for score in attacks if score.norm == norm]) for norm in NORMS]
    unions = [union_of(f"all {norm}", members) for norm, members in by_norm if members]
    return [score for score in unions if score.samples]


def union_of(label: str, members: list[Score]) -> Score:
    """The minimum over attacks of one norm, on the images that all of them attacked."""
    norm = members[0].norm
    ids = sorted(set.intersection(*(set(map(int, score.ids)) for score in members)))
    distances = metrics.union([score.distances[np.isin(score.ids, ids)] for score in members])
    seconds = sum(score.seconds for score in members)
    return Score(label, norm, THRESHOLDS[norm], distances, np.array(ids), seconds)
