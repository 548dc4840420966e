"""FMN: gradient steps in a ball that is fitted to the distance of the boundary."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, nearest_of, shrink
from cortexzoo.evaluation.attacks.pointwise import take_back
from cortexzoo.evaluation.attacks.projections import nearest_within_l1, within_l2
from cortexzoo.evaluation.attacks.starting_points import STARTS, to_boundary
from cortexzoo.evaluation.attacks.tensors import (
    LOSSES,
    clearly_wrong,
    input_gradient,
    l2_norm,
    lp_norm,
    near_one,
    wide,
    wrong_by,
)
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.norms import NORMS

# By the Hölder inequality, a step of length 1 in the norm changes a linear function by at most the slope's dual norm.
_DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
_STEP_SIZES = {"linf": 10.0, "l2": 1.0, "l1": 1.0, "l0": 10.0}
# What the schedules end at: a hundredth of the first step, and this change of the radius.
_LAST_STEP, _LAST_GAMMA = 0.01, 0.001
# See `norms.distances`.
_CHANGED = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastMinimumNorm(Attack):
    """Pintor et al. 2021, https://arxiv.org/abs/2102.12827.

    A step follows the normalised gradient and is projected onto a ball around the image. While no adversarial is known, the
    ball reaches just beyond the linearised boundary. Later it shrinks where the step is adversarial and grows where it is
    not. In L0, where no slope tells the distance, it grows from one pixel; a pixel with several channels counts once. Where
    the gradient is zero in every pixel, the step is random: the same for all samples, by seed and step.

    There are three differences:

    - The published walks begin at the image or at an adversarial. Here the first restart begins at the image, and each other
      one where the way to one of `Batch.starts` crosses the boundary; the nearest result counts. The gradient at the image
      of a robust network may lead nowhere, and that at its boundary does.
    - The cross-entropy is the default, as the paper's margin follows one class alone.
    - At the end an adversarial is pulled towards its image, and in L0 changed pixels are taken back.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        steps: int. Of each restart.
        restarts: int, from 1 to 1 + `starting_points.STARTS`.
        step_size: L2 length of the first step, which falls to a hundredth along a cosine; None for 1, and in Linf and L0,
            where every step is cut down in most pixels, 10.
        gamma: first relative change of the radius; it falls to 0.001 along a cosine.
        loss: one of `LOSSES`.
    """

    name: ClassVar[str] = "fmn"
    version: ClassVar[int] = 2
    choices: ClassVar[Choices] = {"norm": NORMS, "loss": LOSSES}

    norm: str
    steps: int = 100
    restarts: int = 3
    step_size: float | None = None
    gamma: float = 0.05
    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.restarts <= 1 + STARTS:
            raise ValueError(f"`restarts` must be from 1 to {1 + STARTS}. Received: {self.restarts}")

    @property
    def needs_starts(self) -> bool:
        """Whether a restart begins at an adversarial."""
        return self.restarts > 1

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        walks = (self._walk(classifier, endpoint, batch, restart) for restart in range(self.restarts))
        return nearest_of(classifier, batch, self.norm, walks)

    def _walk(self, classifier: Classifier, endpoint: str, batch: Batch, restart: int) -> np.ndarray:
        start = batch.images if restart == 0 else to_boundary(classifier, batch, batch.starts[:, restart - 1], self.norm)
        key = (type(self), self.norm, self.loss, endpoint)
        minimise = classifier.compiled(key, lambda: _compile(classifier, endpoint, self.norm, self.loss))
        step_size = _STEP_SIZES[self.norm] if self.step_size is None else self.step_size
        numbers = np.int32(batch.seed), np.int32(self.steps), np.float32(step_size), np.float32(self.gamma)
        images, found = (value.numpy() for value in minimise(batch.images, start, batch.labels, *numbers))
        images[found] = _pulled(classifier, batch.take(found), images[found], self.norm)
        return images


def _pulled(classifier: Classifier, batch: Batch, adversarials: np.ndarray, norm: str) -> np.ndarray:
    """Adversarials nearer to their images, by forward passes alone."""
    if norm != "l0":
        return shrink(classifier, batch, adversarials)
    wrong = classifier.misclassifies(adversarials, batch.labels)
    part, change = batch.take(wrong), np.sum(np.square(adversarials - batch.images)[wrong], axis=-1)
    # Those that changed least first.
    order = np.argsort(change.reshape(len(part), math.prod(change.shape[1:])), axis=1, kind="stable")
    adversarials[wrong] = take_back(classifier, part, adversarials[wrong], order)
    return adversarials


def _compile(classifier: Classifier, endpoint: str, norm: str, loss: str) -> Callable:
    attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")
    gradient_of = input_gradient(attacked, loss)

    def step(i, images, labels, seed, falling, step_size, gamma, current, radius, best, least):
        """Notes an adversarial, fits the radius, and moves along the gradient within it (algorithm 1 of the paper)."""
        logits, gradient = gradient_of(current, labels)
        adversarial = clearly_wrong(logits if endpoint == "logits" else decisive(current), labels, classifier.noise)
        length = _length(current - images, norm)
        better = tf.logical_and(adversarial, length < least)
        best, least = tf.where(wide(better), current, best), tf.where(better, length, least)
        change = _LAST_GAMMA + (gamma - _LAST_GAMMA) * falling
        radius = _fitted(radius, change, adversarial, length, least, wrong_by(logits, labels), gradient, norm)
        radius = tf.clip_by_value(radius, *_bounds(images, norm))
        # Keyed by the step alone: a sample's walk does not depend on its batch.
        noise = tf.random.stateless_normal(classifier.image_shape, tf.stack([seed, i]))
        nothing = tf.reduce_all(tf.equal(gradient, 0.0), axis=(1, 2, 3), keepdims=True)
        direction = tf.where(nothing, noise, near_one(gradient))
        rate = step_size * (_LAST_STEP + (1 - _LAST_STEP) * falling)
        moved = current + rate * direction / wide(l2_norm(direction))
        return _PROJECTIONS[norm](images, moved, radius), radius, best, least

    image, whole, number = (
        tf.TensorSpec((None, *classifier.image_shape), tf.float32),
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((), tf.float32),
    )

    @tf.function(
        input_signature=[image, image, tf.TensorSpec((None,), tf.int64), whole, whole, number, number], autograph=False
    )
    def minimise(images, start, labels, seed, steps, step_size, gamma):
        def body(i, *state):
            falling = (1 + tf.cos(np.pi * tf.cast(i, tf.float32) / tf.cast(steps, tf.float32))) / 2
            return i + 1, *step(i, images, labels, seed, falling, step_size, gamma, *state)

        radius = _length(start - images, norm)
        state = (tf.constant(0), start, radius, start, np.inf * tf.ones_like(radius))
        *_, best, least = tf.while_loop(lambda i, *_: i < steps, body, state, parallel_iterations=1)
        return best, tf.math.is_finite(least)

    return minimise


def _length(change: tf.Tensor, norm: str) -> tf.Tensor:
    if norm != "l0":
        return lp_norm(change, norm)
    return tf.reduce_sum(tf.cast(tf.reduce_any(tf.abs(change) > _CHANGED, axis=-1), tf.float32), axis=(1, 2))


def _bounds(images: tf.Tensor, norm: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest and the largest radius of use."""
    if norm == "l0":
        return tf.constant(1.0), tf.cast(tf.size(images[0, :, :, 0]), tf.float32)
    return tf.constant(0.0), lp_norm(tf.maximum(images, 1 - images), norm)


def _fitted(radius, change, adversarial, length, least, margin, gradient, norm):
    """The radius of the next step: smaller where the image is adversarial, else larger."""
    smaller, larger = radius * (1 - change), radius * (1 + change)
    if norm == "l0":
        # Whole pixels, at least one more or less.
        smaller, larger = tf.floor(tf.minimum(radius - 1, smaller)), tf.floor(tf.maximum(radius + 1, larger))
    else:
        # Without any adversarial so far: to the boundary of the linearised margin, and beyond, or else steps come ever
        # nearer to it and never cross it.
        boundary = length + tf.cast(tf.abs(margin), tf.float32) / _steepness(gradient, norm)
        larger = tf.where(tf.math.is_finite(least), larger, boundary * (1 + change))
    return tf.where(adversarial, tf.minimum(smaller, least), larger)


def _steepness(gradient: tf.Tensor, norm: str) -> tf.Tensor:
    """The gradient's dual norm, without squares that underflow or overflow."""
    size = lp_norm(gradient, "linf")
    return size * lp_norm(tf.math.divide_no_nan(gradient, wide(size)), _DUAL[norm])


def _within_linf(images: tf.Tensor, points: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(images + tf.clip_by_value(points - images, -wide(radius), wide(radius)), 0.0, 1.0)


def _within_l0(images: tf.Tensor, points: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    """Keeps as many pixels as the radius says, those that changed most."""
    change = tf.reduce_sum(tf.square(points - images), axis=-1, keepdims=True)
    ordered = tf.sort(tf.reshape(change, (tf.shape(change)[0], -1)), axis=1, direction="DESCENDING")
    least = tf.gather(ordered, tf.cast(radius, tf.int32) - 1, batch_dims=1)
    return tf.where(change >= wide(least), tf.clip_by_value(points, 0.0, 1.0), images)


_PROJECTIONS = {"linf": _within_linf, "l2": within_l2, "l1": nearest_within_l1, "l0": _within_l0}
