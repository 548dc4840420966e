"""Targets that carry no information on which images are alike: what is left of an effect under them is not the target's."""

from typing import Any

import numpy as np
from cortexzoo.training.targets.base import SimilarityTarget


class ShuffledSimilarity(SimilarityTarget):
    """The similarities of another target, given to the wrong images: the same values as often, at other pairs.

    A fixed permutation p of the images is drawn once; the pair (i, j) gets the similarity of (p(i), p(j)). It stays a matrix
    of similarities (symmetric, 1 of an image to itself) with the same eigenvalues.

    Args:
        target: the target to shuffle.
        seed: int. Seed of the permutation.
    """

    def __init__(self, target: SimilarityTarget, seed: int) -> None:
        super().__init__(target.images)
        self.permutation = np.random.default_rng(seed).permutation(len(self.images))
        self._target = target

    def facts(self) -> dict[str, Any]:
        """See `SimilarityTarget.facts`."""
        return self._target.facts()

    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._target.similarity(self.permutation[first], self.permutation[second])

    def _includes(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._target._includes(self.permutation[first], self.permutation[second])


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


def build_constant(images: np.ndarray, seed: int, *, value: float = 0.0) -> SimilarityTarget:
    """Returns a `ConstantSimilarity`; `seed` is not used."""
    return ConstantSimilarity(images, value)
