"""Suites of shifts: whether the model is right or wrong at each level."""

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
        build: the shifts on a data set, given the models whose gradients are transferred.
        transfers: whether it transfers the gradients of other models.
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
        """Returns the shifts with the levels for a data set.

        Raises:
            ValueError: the suite needs sources, and there are none.
        """
        if self.transfers and not evaluation.sources:
            raise ValueError(
                f"Expected --source=ID for the suite {self.name}: an unregularised network other than those evaluated. "
                "Received: none."
            )
        return self.build(evaluation.info, evaluation.sources)

    def run(self, evaluation: Evaluation) -> None:
        """See `Suite.run`."""
        run_shifts(evaluation, self.members(evaluation), self.samples)

    def summarize(self, evaluation: Evaluation) -> ShiftSummary:
        """See `Suite.summarize`.

        Raises:
            ValueError: the store has no shift at all levels.
        """
        summary = summarize_shifts(evaluation, self.name, self.members(evaluation), self.samples)
        if not summary.curves:
            which = f" under the suite {self.name}, of a shift at all levels,"
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
            return ["FGSM of each model that --source names"]
        members = self.build(info, ())
        levels = [", ".join(f"{level:.4g}" for level in member.shift.levels) for member in members]
        return [f"{member.label}, {member.unit}: {text}" for member, text in zip(members, levels, strict=True)]
