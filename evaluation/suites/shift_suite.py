"""Shift suites: whether the model classifies each image correctly at each level."""

import dataclasses
from collections.abc import Callable

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.keys import shift_key
from cortexzoo.evaluation.results.shifts import ShiftSummary, summarize_shifts
from cortexzoo.evaluation.running.shifts import run_shifts
from cortexzoo.evaluation.shifts.member import ShiftMember
from cortexzoo.evaluation.suites.base import Suite


@dataclasses.dataclass(frozen=True)
class ShiftSuite(Suite):
    """A named list of shifts.

    Attributes:
        build: returns the shifts for a data set, given the models whose gradients are transferred.
        transfers: whether the suite transfers gradients of other models.
    """

    build: Callable[[DatasetInfo, tuple[Model, ...]], tuple[ShiftMember, ...]]
    transfers: bool = False

    @property
    def summary_type(self) -> type:
        """See `Suite.summary_type`."""
        return ShiftSummary

    def sources_of(self, model: Model) -> tuple[str, ...] | None:
        """See `Suite.sources_of`."""
        return () if self.transfers else None

    def members(self, evaluation: Evaluation) -> tuple[ShiftMember, ...]:
        """Returns the shifts with their levels for the data set.

        Raises:
            ValueError: the suite needs sources, but there are none.
        """
        if self.transfers and not evaluation.sources:
            raise ValueError(
                f"Expected --source=ID for the suite {self.name}: an unregularised network other than the evaluated ones. "
                "Received: none."
            )
        return self.build(evaluation.info, evaluation.sources)

    def run(self, evaluation: Evaluation) -> None:
        """See `Suite.run`."""
        run_shifts(evaluation, self.members(evaluation), self.samples)

    def summarize(self, evaluation: Evaluation) -> ShiftSummary:
        """See `Suite.summarize`.

        Raises:
            ValueError: the store does not have all levels of any shift.
        """
        summary = summarize_shifts(evaluation, self.name, self.members(evaluation), self.samples)
        if not summary.curves:
            which = f" with all levels of a shift of the suite {self.name}"
            raise ValueError(evaluation.nothing_stored(which))
        return summary

    def has_results(self, evaluation: Evaluation) -> bool:
        """See `Suite.has_results`."""
        if evaluation.store.check(evaluation.digest, evaluation.info.name, "endpoints") is None:
            return False
        levels = ((member.shift, level) for member in self.members(evaluation) for level in member.shift.levels)
        return any(evaluation.store.find_run(shift_key(evaluation, *pair)) is not None for pair in levels)

    def outline(self, info: DatasetInfo) -> list[str]:
        """See `Suite.outline`."""
        if self.transfers:
            return ["FGSM on each model named by --source"]
        members = self.build(info, ())
        levels = [", ".join(f"{level:.4g}" for level in member.shift.levels) for member in members]
        return [f"{member.label}, {member.unit}: {text}" for member, text in zip(members, levels, strict=True)]
