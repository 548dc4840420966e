"""The stored results of one model under a shift suite: the numbers behind tables and figures."""

import dataclasses
from typing import Any

import numpy as np

from cortexzoo.card import ModelCard
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.keys import shift_key
from cortexzoo.evaluation.results.model_results import ModelResults
from cortexzoo.evaluation.shifts.member import ShiftMember


@dataclasses.dataclass(frozen=True)
class Curve:
    """One model under one shift.

    Attributes:
        label: the shift's name in tables and figures.
        unit: the unit of the levels.
        ordinal: whether levels are mere ranks, see `Shift.ordinal`.
        levels: float, (k,), ascending, without 0.
        ids: int64, (n,). The sample ids.
        clean: bool, (n,): which unchanged images are classified correctly.
        correct: bool, (k, n): which images are classified correctly at each level.
        seconds: duration, summed over all runs.
        settings: identifies the shift at the last level in the store.
        nested: whether an image broken at one level counts as broken at all larger ones, see `Shift.nested`.
    """

    label: str
    unit: str
    ordinal: bool
    levels: np.ndarray
    ids: np.ndarray
    clean: np.ndarray
    correct: np.ndarray
    seconds: float
    settings: dict[str, Any]
    nested: bool = False

    @property
    def samples(self) -> int:
        """The number of images."""
        return len(self.clean)

    @property
    def accuracy(self) -> np.ndarray:
        """The share of correctly classified images at each level, (k,)."""
        return self.correct.mean(axis=1)

    @property
    def intervals(self) -> np.ndarray:
        """The 95 % Wilson interval of the accuracy at each level, (k, 2)."""
        return np.array([metrics.wilson_interval(int(count), self.samples) for count in self.correct.sum(axis=1)])

    @property
    def clean_interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy on unchanged images."""
        return metrics.wilson_interval(int(self.clean.sum()), self.samples)

    @property
    def area(self) -> float:
        """The area under accuracy against level, relative to the maximum; for ranks the mean accuracy."""
        return float(self.image_areas.mean())

    @property
    def image_areas(self) -> np.ndarray:
        """Each image's contribution to the area, in [0, 1], (n,): the share of the levels at which it is right."""
        if self.ordinal:
            return self.correct.mean(axis=0)
        levels, right = np.append(0.0, self.levels), np.vstack([self.clean, self.correct]).astype(float)
        return np.trapezoid(right, levels, axis=0) / levels[-1]

    @property
    def area_interval(self) -> tuple[float, float]:
        """The area's 95 % Wilson interval over images.

        It is conservative: the images' areas lie in [0, 1], so they vary at most as much as values of 0 and 1 with the same
        mean.
        """
        return metrics.wilson_interval(min(self.area, 1.0) * self.samples, self.samples)

    def as_json(self) -> dict[str, Any]:
        """Returns the curve as plain JSON values, as in a model card."""
        return {
            "label": self.label,
            "unit": self.unit,
            "samples": self.samples,
            "levels": self.levels.tolist(),
            "accuracies": self.accuracy.tolist(),
            "intervals": self.intervals.tolist(),
            "area": self.area,
            "area_interval": list(self.area_interval),
            "settings": self.settings,
        }


@dataclasses.dataclass(frozen=True)
class ShiftSummary(ModelResults):
    """One model under one shift suite.

    Attributes:
        curves: one per shift of which the store has every level.
    """

    curves: list[Curve]

    def curve(self, label: str) -> Curve | None:
        """Returns the curve of a shift; None if the store lacks it."""
        return next((curve for curve in self.curves if curve.label == label), None)

    def as_json(self) -> dict[str, Any]:
        """Returns the curves as in a model card."""
        return {"seed": self.seed, "shifts": [curve.as_json() for curve in self.curves]}

    def card_changes(self, card: ModelCard) -> dict[str, Any]:
        """Returns the fields to change in the model's card; scores of other suites stay."""
        return {"shifts": {**card.shifts, self.suite: self.as_json()}}


def summarize_shifts(evaluation: Evaluation, suite: str, members: tuple[ShiftMember, ...], default: int) -> ShiftSummary:
    """Computes the numbers of one model, from the store only.

    Args:
        evaluation: what was evaluated.
        suite: the suite's name.
        members: the shifts; a shift with a missing level is left out.
        default: the number of first images to count if the evaluation gives none.
    """
    ids, labels, predictions = evaluation.store.clean(evaluation.digest, evaluation.info.name)
    clean = {int(i): (int(label), bool(label == found)) for i, label, found in zip(ids, labels, predictions, strict=True)}
    found = [_curve(evaluation, member, clean, evaluation.samples or default) for member in members]
    return ShiftSummary(evaluation, suite, [curve for curve in found if curve is not None])


def _curve(evaluation: Evaluation, member: ShiftMember, clean: dict[int, tuple[int, bool]], samples: int) -> Curve | None:
    shift, store = member.shift, evaluation.store
    runs = [store.find_run(shift_key(evaluation, shift, level)) for level in shift.levels]
    if None in runs:
        return None
    results = [store.predictions(run) for run in runs]
    ids = sorted(i for i in set.intersection(*map(set, results)) if i < samples)
    if not ids:
        return None
    labels = np.array([clean[i][0] for i in ids])
    unchanged = np.array([clean[i][1] for i in ids])
    right = np.array([[result[i] for i in ids] for result in results]) == labels
    if shift.nested:
        # An image broken at one radius is broken at all larger ones.
        right = np.logical_and.accumulate(np.vstack([unchanged, right]), axis=0)[1:]
    return Curve(
        label=member.label,
        unit=member.unit,
        ordinal=shift.ordinal,
        levels=np.array(shift.levels),
        ids=np.array(ids),
        clean=unchanged,
        correct=right,
        seconds=sum(store.seconds(run) for run in runs),
        settings=shift.settings(shift.levels[-1]),
        nested=shift.nested,
    )
