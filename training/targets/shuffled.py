"""A control: the similarities of another target, given to the wrong pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cortexzoo.training.targets import registry
from cortexzoo.training.targets.base import SimilarityTarget
from cortexzoo.training.targets.specification import Setting, TargetSpecification


class ShuffledSimilarity(SimilarityTarget):
    """The similarities of another target after one permutation of the images: the same values, for other pairs.

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

    def sources(self) -> Sequence[str]:
        """See `SimilarityTarget.sources`."""
        return self._target.sources()

    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._target.similarity(self.permutation[first], self.permutation[second])

    def _includes(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._target._includes(self.permutation[first], self.permutation[second])


def build(images: np.ndarray, seed: int, *, of: str = "pixel", **options: Any) -> SimilarityTarget:
    """Returns the target called `of`, shuffled.

    Args:
        images: the regularisation set.
        seed: int. Seed of the permutation and of the other target.
        of: name of the other target. Defaults to "pixel".
        options: options of the other target.
    """
    return ShuffledSimilarity(registry.build(of, images, seed=seed, **options), seed)


TARGET = TargetSpecification(
    name="shuffled",
    title="shuffled similarities",
    description=("A control: the similarities are those of other pairs. They have the right distribution and no meaning."),
    build=build,
    settings=(Setting("shuffled_of", "pixel", option="of", shared=True),),
    wraps="shuffled_of",
)
