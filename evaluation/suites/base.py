"""What a suite is: a named list of attacks or shifts that knows how to run and to sum up."""

import abc
import dataclasses
from typing import Any

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model


@dataclasses.dataclass(frozen=True)
class Suite(abc.ABC):
    """A named list of members, attacks or shifts.

    Attributes:
        name: the name on the command line.
        description: one line for people.
        samples: how many test images it takes unless told otherwise.
    """

    name: str
    description: str
    samples: int

    @property
    @abc.abstractmethod
    def summary_type(self) -> type:
        """What `summarize` returns, to which reports are made."""

    @abc.abstractmethod
    def sources_of(self, model: Model) -> tuple[str, ...] | None:
        """Returns the ids of models that are always transferred from to this one; None where the suite transfers nothing."""

    @abc.abstractmethod
    def members(self, evaluation: Evaluation) -> tuple[Any, ...]:
        """Returns the attacks or shifts as the model meets them on these images."""

    @abc.abstractmethod
    def run(self, evaluation: Evaluation) -> None:
        """Computes what the store lacks."""

    @abc.abstractmethod
    def summarize(self, evaluation: Evaluation) -> Any:
        """Returns the numbers, from the store alone."""

    @abc.abstractmethod
    def has_results(self, evaluation: Evaluation) -> bool:
        """Tells whether the store has results of any member."""

    @abc.abstractmethod
    def outline(self, info: DatasetInfo) -> list[str]:
        """Returns lines for people that say what is in it."""
