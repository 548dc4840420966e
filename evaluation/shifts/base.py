"""The base class of shifts, and random numbers that belong to a sample."""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch, sample_generator
from cortexzoo.evaluation.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """An immutable description of a change to images, with the levels at which it is evaluated.

    In the store a level is identified by `name`, `version`, the level itself and all fields except `levels`, so that another
    choice of levels reuses what is there. Raise `version` whenever a change of code changes images.

    Attributes:
        name: what it is called in the store.
        version: int.
        chunk_size: images that are changed, classified and stored at once.
        uses_gradients: whether the images depend on the model's endpoints.
        nested: whether an adversarial at one level also counts at all greater levels, where none is sought then.
        ordinal: whether levels are mere ranks: they have a mean, but no area under the curve.
        levels: positive, ascending.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    chunk_size: ClassVar[int] = 500
    uses_gradients: ClassVar[bool] = False
    nested: ClassVar[bool] = False
    ordinal: ClassVar[bool] = False

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.levels or list(self.levels) != sorted(set(self.levels)) or self.levels[0] <= 0:
            raise ValueError(f"`levels` must be positive and ascending. Received: {self.levels}.")

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """Returns the changed images.

        Args:
            classifier: the model under evaluation; None is enough where `uses_gradients` is False.
            batch: the samples, also those that the model misclassifies.
            level: one of `levels`.

        Returns:
            float32, the shape of `batch.images`, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `apply`.")

    def settings(self, level: float) -> dict[str, Any]:
        """Returns what identifies one level in the store, as plain JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "levels"}
        return {"shift": self.name, "version": self.version, "level": level, **fields}


class SampleGenerators:
    """A random generator for each sample, which depends on seed, shift, level and sample id, not on the rest of the batch.

    Each method draws the same shape for every sample and stacks the results, (n, *shape).

    Args:
        batch: the samples.
        shift: the shift's name.
        level: float.
    """

    def __init__(self, batch: Batch, shift: str, level: float) -> None:
        # NumPy's own numbers print differently.
        plain = level.item() if isinstance(level, np.generic) else level
        stream = zlib.crc32(f"{shift} {plain!r}".encode())
        self._generators = [sample_generator(batch, row, stream) for row in range(len(batch))]

    def __len__(self) -> int:
        return len(self._generators)

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Draws uniformly from [low, high), float64."""
        return self._stack(lambda generator: generator.uniform(low, high, shape))

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draws standard normal numbers, float64."""
        return self._stack(lambda generator: generator.standard_normal(shape))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """Draws integers from [low, high), int64."""
        return self._stack(lambda generator: generator.integers(low, high, shape))

    def poisson(self, means: np.ndarray) -> np.ndarray:
        """Draws Poisson numbers with these means, one array a sample, int64, the shape of `means`."""
        return np.stack([generator.poisson(mean) for generator, mean in zip(self._generators, means, strict=True)])

    def _stack(self, draw: Callable[[np.random.Generator], Any]) -> np.ndarray:
        return np.stack([draw(generator) for generator in self._generators])
