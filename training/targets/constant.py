"""A control: the same similarity for all pairs."""

import numpy as np

from cortexzoo.training.targets.base import SimilarityTarget
from cortexzoo.training.targets.specification import TargetSpecification


class ConstantSimilarity(SimilarityTarget):
    """The same similarity for all pairs.

    Args:
        images: the regularisation set.
        value: float, in [-1, 1]. Defaults to 0: no two images shall be alike.

    Raises:
        ValueError: `value` is outside [-1, 1].
    """

    def __init__(self, images: np.ndarray, value: float = 0.0) -> None:
        super().__init__(images)
        if not -1.0 <= value <= 1.0:
            raise ValueError(f"Expected -1 <= `value` <= 1. Received: value={value}")
        self.value = value

    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.full(len(first), self.value)


def build(images: np.ndarray, seed: int, *, value: float = 0.0) -> SimilarityTarget:
    """Returns a `ConstantSimilarity`; `seed` is not used."""
    return ConstantSimilarity(images, value)


TARGET = TargetSpecification(
    name="constant",
    title="similarity 0 for all pairs",
    description="A control: the network is trained towards similarity 0 for all pairs, whatever they show.",
    build=build,
)
