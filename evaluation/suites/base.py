"""The base class of suites: named lists of attacks or shifts that can be run and summarized."""

import abc
import dataclasses
from typing import Any

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model


@dataclasses.dataclass(frozen=True)
class Suite(abc.ABC):
    """A named list of members, which are attacks or shifts.

    Attributes:
        name: the name on the command line.
        description: one line of text.
        samples: the default number of test images.
    """

    name: str
    description: str
    samples: int

    @property
    @abc.abstractmethod
    def summary_type(self) -> type:
        """The type that `summarize` returns; reports depend on it."""

    @abc.abstractmethod
    def sources_of(self, model: Model) -> tuple[str, ...] | None:
        """Returns the ids of the models that are always sources for this one; None if the suite transfers nothing."""

    @abc.abstractmethod
    def members(self, evaluation: Evaluation) -> tuple[Any, ...]:
        """Returns the attacks or shifts for this model and these images."""

    @abc.abstractmethod
    def run(self, evaluation: Evaluation) -> None:
        """Computes all results that the store lacks."""

    @abc.abstractmethod
    def summarize(self, evaluation: Evaluation) -> Any:
        """Returns the numbers, from the store only."""

    @abc.abstractmethod
    def has_results(self, evaluation: Evaluation) -> bool:
        """Returns whether the store has results of any member."""

    @abc.abstractmethod
    def outline(self, info: DatasetInfo) -> list[str]:
        """Returns readable lines that list the members."""
