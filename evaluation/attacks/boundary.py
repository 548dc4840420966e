"""The Boundary attack: a random walk along the boundary that needs decisions only."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, shrink
from cortexzoo.evaluation.attacks.batching import in_parts
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, l2_norm, wide
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances

# Steps between two updates of the step sizes.
_BLOCK = 10
_SPHERICAL_MEMORY, _STEP_MEMORY = 100, 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundaryAttack(Attack):
    """Steps on the sphere around the image, then towards it (Brendel et al. 2018, https://arxiv.org/abs/1712.04248).

    Foolbox 3's variant with its defaults, with two differences: the start is `Batch.starts`, and samples leave the batch
    when they have converged. The random directions of a step are the same for all samples, as there; they depend
    on the seed and the step alone, so that a sample's walk does not depend on its batch. Few samples ever converge by
    Foolbox's criterion; here a sample also ends when a long window has brought almost nothing.

    Attributes:
        steps: int. Most steps; a multiple of 10, like `window`.
        spherical_step: first size of the step on the sphere, a share of the distance.
        source_step: first size of the step towards the image, a share of the distance.
        convergence: a sample ends when its `source_step` is smaller.
        adaptation: factor on the step sizes.
        window: steps in which the distance must fall.
        improvement: relative decrease that a window must bring.
    """

    name: ClassVar[str] = "boundary"
    version: ClassVar[int] = 3
    chunk_size: ClassVar[int] = 200
    uses_gradients: ClassVar[bool] = False
    needs_starts: ClassVar[bool] = True
    choices: ClassVar[Choices] = {"norm": ("l2",)}

    norm: str = "l2"
    steps: int = 25_000
    spherical_step: float = 1e-2
    source_step: float = 1e-2
    convergence: float = 1e-7
    adaptation: float = 1.5
    window: int = 2000
    improvement: float = 5e-3

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        *_, (_, best) = self.walk(classifier, batch)
        return best

    def walk(self, classifier: Classifier, batch: Batch) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the steps done and the nearest adversarials so far, (n, height, width, channels), until all have converged.

        Begins with the starts, pulled to the boundary, after 0 steps. Where a start is no adversarial it stays. The array is
        the same each time and changes in place.
        """
        advance = classifier.compiled(("boundary", _BLOCK), lambda: _build(classifier))
        best = batch.starts[:, 0].copy()
        active = np.flatnonzero(classifier.misclassifies(best, batch.labels))
        best[active] = shrink(classifier, batch.take(active), best[active])
        yield 0, best
        mark = np.full(len(batch), np.inf)
        sizes = np.tile(np.float32([self.spherical_step, self.source_step]), (len(batch), 1))
        spherical, direct = _SuccessRate(len(batch), _SPHERICAL_MEMORY), _SuccessRate(len(batch), _STEP_MEMORY)
        for first in range(0, self.steps, _BLOCK):
            # Convolutions refuse an empty batch.
            if len(active) == 0:
                break
            seed = tf.constant([batch.seed, first], tf.int32)
            found, on_sphere, stepped = advance(
                batch.images[active], best[active], batch.labels[active], sizes[active], seed
            )
            best[active] = found.numpy()
            spherical.append(active, on_sphere.numpy())
            direct.append(active, stepped.numpy())
            # Too often or too seldom adversarial on the sphere: both steps are too small or too large.
            larger, smaller = spherical.outside(active, 0.2, 0.5)
            sizes[larger] *= self.adaptation
            sizes[smaller] /= self.adaptation
            larger, smaller = direct.outside(active, 0.1, 0.25)
            sizes[larger, 1] *= self.adaptation
            sizes[smaller, 1] /= self.adaptation
            active = active[sizes[active, 1] >= self.convergence]
            if (first + _BLOCK) % self.window == 0:
                reached = distances(batch.images[active], best[active], self.norm)
                goes_on = reached < (1 - self.improvement) * mark[active]
                mark[active] = reached
                active = active[goes_on]
            yield first + _BLOCK, best


def _build(classifier: Classifier) -> Callable:
    logits_of = in_parts(classifier, classifier.endpoint("logits"))
    image = tf.TensorSpec((None, *classifier.image_shape), tf.float32)

    def wrong(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return clearly_wrong(logits_of(images), labels, classifier.noise)

    @tf.function(
        input_signature=[
            image,
            image,
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None, 2), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        ],
        autograph=False,
    )
    def advance(images, best, labels, sizes, seed):
        """Takes a block of steps, and tells which points of the last step were adversarial: on the sphere, and after it."""
        noise = tf.random.stateless_normal((_BLOCK, *classifier.image_shape), seed)
        spherical, source = (wide(sizes[:, i]) for i in (0, 1))

        def step(i, best):
            return _propose(images, best, noise[i], spherical, source)

        def walk(i, best):
            _, candidates = step(i, best)
            return i + 1, _closer(images, best, candidates, wrong(candidates, labels))

        _, best = tf.while_loop(lambda i, _: i < _BLOCK - 1, walk, (tf.constant(0), best), parallel_iterations=1)
        sphere, candidates = step(_BLOCK - 1, best)
        both = wrong(tf.concat([sphere, candidates], axis=0), tf.concat([labels, labels], axis=0))
        on_sphere, stepped = tf.split(both, 2)
        return _closer(images, best, candidates, stepped), on_sphere, stepped

    return advance


def _propose(images, best, noise, spherical, source):
    """A point on the sphere around the image, and the same moved towards the image."""
    towards = images - best
    length = wide(l2_norm(towards))
    unit = towards / tf.maximum(length, 1e-12)
    tangent = noise - tf.reduce_sum(noise * unit, axis=(1, 2, 3), keepdims=True) * unit
    tangent *= spherical * length / tf.maximum(wide(l2_norm(tangent)), 1e-12)
    # Pythagoras takes the step back onto the sphere.
    sphere = tf.clip_by_value(images + (tangent - towards) / tf.sqrt(tf.square(spherical) + 1), 0.0, 1.0)
    inwards = images - sphere
    reached = wide(l2_norm(inwards))
    share = tf.maximum(source * length + reached - length, 0.0) / tf.maximum(reached, 1e-12)
    return sphere, tf.clip_by_value(sphere + share * inwards, 0.0, 1.0)


def _closer(images, best, candidates, wrong):
    better = tf.logical_and(wrong, l2_norm(candidates - images) < l2_norm(best - images))
    return tf.where(wide(better), candidates, best)


class _SuccessRate:
    """Each sample's share of successes among its last tries, once there are enough of them."""

    def __init__(self, count: int, memory: int) -> None:
        self._tries = np.zeros((count, memory), bool)
        self._seen = np.zeros(count, int)
        self._next = 0

    def append(self, active: np.ndarray, successes: np.ndarray) -> None:
        self._tries[active, self._next] = successes
        self._seen[active] += 1
        self._next = (self._next + 1) % self._tries.shape[1]

    def outside(self, active: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns which samples lie above and which below, and forgets their tries."""
        full = active[self._seen[active] >= self._tries.shape[1]]
        rate = self._tries[full].mean(axis=1)
        above, below = full[rate > high], full[rate < low]
        self._seen[above] = self._seen[below] = 0
        return above, below
