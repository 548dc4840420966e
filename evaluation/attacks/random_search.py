"""Attacks by random search: a random change of the image stays if it lowers the margin; no gradient is used."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.active_set import advance_until_done
from cortexzoo.evaluation.attacks.base import Attack, Batch
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, wrong_by
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import largest_distance

# Queries between two checks for samples that are broken.
_BLOCK = 50
# The published schedules are made for so many queries.
_SCHEDULED = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomSearch(Attack, abc.ABC):
    """Base class: runs the walks, all samples at a time.

    A sample's start is drawn from its own random numbers. Those of a query are drawn once for all samples, as in the code of
    the authors: they are keyed by the seed, the restart and the number of the query, so that a sample's walk does not depend
    on its batch.

    Attributes:
        norm: see the attacks.
        epsilon: see the attacks.
        queries: int. Changes tried by a walk; the start is not counted.
        restarts: int. Walks for a sample that is not broken yet.
    """

    chunk_size: ClassVar[int] = 200
    uses_gradients: ClassVar[bool] = False

    norm: str
    epsilon: float
    queries: int = 5000
    restarts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("queries", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)!r}.")

    @abc.abstractmethod
    def start(self, batch: Batch, stream: int, epsilon: float) -> tuple[np.ndarray, ...]:
        """Returns where the walks begin: images, the shape of `batch.images`, and what else belongs to each of them.

        Epsilon is `self.epsilon`, or the largest distance of an image of this shape where that is smaller.
        """

    @abc.abstractmethod
    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator, query: int) -> tuple[np.ndarray, ...]:
        """Returns the random numbers of a query for images of this shape.

        Where these are more in one query than in another, the last are repeated.
        """

    @abc.abstractmethod
    def advance(self, classifier: Classifier) -> Callable:
        """Returns the compiled function for a block of queries, see `compile_block`."""

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        results = batch.images.copy()
        active = np.flatnonzero(~classifier.misclassifies(batch.images, batch.labels))
        for restart in range(self.restarts):
            if len(active) == 0:
                break
            part = batch.take(active)
            results[active] = self._walk(classifier, part, restart)
            active = active[~classifier.misclassifies(results[active], part.labels)]
        return results

    def _walk(self, classifier: Classifier, batch: Batch, restart: int) -> np.ndarray:
        epsilon = min(self.epsilon, largest_distance(classifier.image_shape, self.norm))
        best = self.start(batch, 2 * restart, epsilon)
        done = classifier.misclassifies(best[0], batch.labels)
        margin = classifier.loses_by(best[0], batch.labels)
        advance, stream = self.advance(classifier), 2 * restart + 1

        def block(first: int, count: int, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            drawn = [
                self.draw(classifier.image_shape, _generator(batch.seed, stream, query), query)
                for query in range(first, first + count)
            ]
            return advance(np.float32(epsilon), [_stack(numbers) for numbers in zip(*drawn, strict=True)], *state)

        state = (done, margin, batch.images, batch.labels, *best)
        return advance_until_done(block, state, self.queries, _BLOCK)[4]


def _generator(seed: int, stream: int, query: int) -> np.random.Generator:
    """The counterpart of `base.sample_generator`; their streams must differ."""
    return np.random.Generator(np.random.Philox(key=(seed << 32) + stream, counter=query << 64))


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks arrays of different lengths, in which the last entry is repeated."""
    if arrays[0].ndim == 0:
        return np.array(arrays)
    longest = max(map(len, arrays))
    return np.stack([array[np.minimum(np.arange(longest), len(array) - 1)] for array in arrays])


def scheduled(query: int, queries: int) -> int:
    """Returns the number of a query on the scale of the published schedules, which have 10,000 of them."""
    return query * _SCHEDULED // queries


def compile_block(
    classifier: Classifier, propose: Callable, numbers: Sequence[tf.TensorSpec], others: Sequence[tf.TensorSpec] = ()
) -> Callable:
    """Compiles a block of queries.

    Args:
        classifier: the model.
        propose: a function of the images, of what was best so far (images, and what else belongs to them), epsilon, and a
            query's random numbers, that returns candidates, in the form of what was best.
        numbers: the random numbers of a block, with an axis of queries in front.
        others: what belongs to an image, with an axis of samples in front.

    Returns:
        A function of epsilon, the random numbers, and the state of the samples: whether each is done, its margin, image and
        label, and what was best so far. It returns which samples are done, and their state.
    """
    logits_of, image = classifier.endpoint("logits"), tf.TensorSpec((None, *classifier.image_shape), tf.float32)
    of_sample = [tf.TensorSpec((None,), kind) for kind in (tf.bool, tf.float32)]

    @tf.function(
        input_signature=[
            tf.TensorSpec((), tf.float32),
            list(numbers),
            *of_sample,
            image,
            tf.TensorSpec((None,), tf.int64),
            image,
            *others,
        ],
        autograph=False,
    )
    def advance(epsilon, numbers, done, margin, images, labels, *best):
        """Makes one query for each row of the numbers, and keeps for each image the candidate with the least margin."""

        def query(i, done, margin, *best):
            candidates = propose(images, best, epsilon, *(values[i] for values in numbers))
            logits = logits_of(candidates[0])
            found, wrong = wrong_by(logits, labels), clearly_wrong(logits, labels, classifier.noise)
            better = tf.logical_and(tf.logical_or(found > margin, wrong), tf.logical_not(done))
            # This copies whole rows, which is faster than a condition for each value.
            kept = (tf.raw_ops.Select(condition=better, x=new, y=old) for new, old in zip(candidates, best, strict=True))
            return i + 1, tf.logical_or(done, wrong), tf.where(better, found, margin), *kept

        _, done, margin, *best = tf.while_loop(
            lambda i, done, *_: tf.logical_and(i < tf.shape(numbers[0])[0], tf.logical_not(tf.reduce_all(done))),
            query,
            (tf.constant(0), done, margin, *best),
            parallel_iterations=1,
        )
        return done, done, margin, images, labels, *best

    return advance


def as_rows(images: tf.Tensor) -> tf.Tensor:
    """Returns images as rows of pixels, (n, pixels, channels)."""
    return tf.reshape(images, (tf.shape(images)[0], -1, images.shape[-1]))


def with_values(values: tf.Tensor, columns: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """Returns images with other pixels, or rows with other values, in some columns.

    Args:
        values: (n, height, width, channels) or (n, columns).
        columns: int32, (n, m), or (m,) for all rows.
        new: (n, m, channels) or (n, m); equal where a column occurs twice.
    """
    rows = as_rows(values) if values.shape.rank == 4 else values
    columns = tf.broadcast_to(columns, tf.shape(new)[:2])
    index = tf.stack([tf.broadcast_to(tf.range(tf.shape(new)[0])[:, None], tf.shape(columns)), columns], axis=-1)
    return tf.reshape(tf.tensor_scatter_nd_update(rows, index, new), tf.shape(values))
