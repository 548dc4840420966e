"""The base class of all summaries."""

import dataclasses

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class ModelResults:
    """One model under one suite.

    Attributes:
        evaluation: what was evaluated, and the store with the results.
        suite: the suite's name.
    """

    evaluation: Evaluation
    suite: str

    @property
    def name(self) -> str:
        """The model's name."""
        return self.evaluation.model.name

    @property
    def digest(self) -> str:
        """The model's identity in the store."""
        return self.evaluation.digest

    @property
    def dataset(self) -> DatasetInfo:
        """The data set, with the thresholds of this evaluation."""
        return self.evaluation.info

    @property
    def seed(self) -> int:
        """The seed of the attacks or shifts."""
        return self.evaluation.seed
