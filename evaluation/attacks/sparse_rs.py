"""Sparse-RS: random search over few pixels."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Batch, Choices, sample_generator
from cortexzoo.evaluation.attacks.random_search import RandomSearch, as_rows, compile_block, scheduled, with_values
from cortexzoo.evaluation.classifier import Classifier

# After these queries, the share of the pixels that are exchanged is `alpha_init` divided by so much.
_QUERIES = (0, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_DIVISORS = (1, 2, 4, 5, 6, 8, 10, 12, 15, 20)

_Best = tuple[tf.Tensor, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseRS(RandomSearch):
    """Croce et al. 2022, https://arxiv.org/abs/2006.12834, in L0: changes so many pixels to corners of the colour cube.

    A query takes back some of the changed pixels and changes as many others, in the published schedule, rescaled to the
    number of queries. Unlike in the authors' version, a pixel that is taken back may come in again, with another colour:
    without that a walk that changes one pixel cannot try its other colours, and one that changes all pixels cannot move.

    Attributes:
        norm: "l0".
        epsilon: the number of pixels that change; a fraction is dropped.
        queries: int. Exchanges tried by a walk; the start is not counted.
        restarts: int. Walks for a sample that is not broken yet.
        alpha_init: share of the changed pixels that is exchanged at first, in (0, 1].
    """

    name: ClassVar[str] = "sparse_rs"
    choices: ClassVar[Choices] = {"norm": ("l0",)}

    norm: str = "l0"
    alpha_init: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.alpha_init <= 1.0:
            raise ValueError(f"`alpha_init` must be in (0, 1]. Received: alpha_init={self.alpha_init!r}.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        return super().run(classifier, endpoint, batch) if self.epsilon >= 1.0 else batch.images.copy()

    def start(self, batch: Batch, stream: int, epsilon: float) -> tuple[np.ndarray, ...]:
        """Returns images, and orders of their pixels, int32, (n, pixels), in which the changed ones come first."""
        count, (height, width, channels) = int(epsilon), batch.images.shape[1:]
        images = batch.images.reshape(len(batch), height * width, channels).copy()
        orders = np.empty((len(batch), height * width), np.int32)
        for row, order in enumerate(orders):
            generator = sample_generator(batch, row, stream)
            order[:] = generator.permutation(height * width)
            images[row, order[:count]] = generator.integers(2, size=(count, channels))
        return images.reshape(batch.images.shape), orders

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator, query: int) -> tuple[np.ndarray, ...]:
        """Draws an exchange.

        Returns:
            Positions in the order of the pixels, (m,), from which positions pixels come there, (m,), and the new colours of
            these pixels, (m, channels); -1 where a pixel gets its own colour back.
        """
        pixels, channels = shape[0] * shape[1], shape[2]
        count = min(int(self.epsilon), pixels)
        exchanged = self._exchanged(count, query + 1)
        out = generator.choice(count, exchanged, replace=False)
        drawn = generator.choice(exchanged + pixels - count, exchanged, replace=False)
        # The first of those that may come in are those that went out.
        new, stays = count + drawn[drawn >= exchanged] - exchanged, np.isin(np.arange(exchanged), drawn)
        colours = generator.integers(2, size=(exchanged, channels))
        return (
            np.concatenate([out[stays], out[~stays], new]),
            np.concatenate([out[stays], new, out[~stays]]),
            np.concatenate([colours, np.full((len(new), channels), -1)]),
        )

    def _exchanged(self, count: int, query: int) -> int:
        """How many of `count` pixels are exchanged at once."""
        share = self.alpha_init / _DIVISORS[np.searchsorted(_QUERIES, scheduled(query, self.queries))]
        return max(int(share * count), 1)

    def advance(self, classifier: Classifier) -> Callable:
        """See `RandomSearch.advance`."""
        channels, positions = classifier.image_shape[2], tf.TensorSpec((None, None), tf.int32)
        numbers = [positions, positions, tf.TensorSpec((None, None, channels), tf.float32)]
        return classifier.compiled(self.name, lambda: compile_block(classifier, _exchange, numbers, [positions]))


def _exchange(
    images: tf.Tensor, best: _Best, _: tf.Tensor, positions: tf.Tensor, sources: tf.Tensor, colours: tf.Tensor
) -> _Best:
    """Lets pixels come to other positions, and gives them new colours, or their own."""
    current, orders = best
    pixels = tf.gather(orders, sources, axis=1)
    own = tf.gather(as_rows(images), pixels, batch_dims=1)
    return with_values(current, pixels, tf.where(colours < 0.0, own, colours)), with_values(orders, positions, pixels)
