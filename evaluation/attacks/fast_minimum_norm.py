"""FMN: gradient steps in a ball that is fitted to the distance of the boundary."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, shrink
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
# What the schedules end at: a hundredth of the first step, and this change of the radius.
_LAST_STEP, _LAST_GAMMA = 0.01, 0.001
# Newton's method ends after about ten.
_ITERATIONS = 100
# See `norms.distances`.
_CHANGED = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastMinimumNorm(Attack):
    """Pintor et al. 2021, https://arxiv.org/abs/2102.12827, from the image itself.

    A step follows the normalised gradient and is projected onto a ball around the image, then onto the box. While no
    adversarial is known, the ball reaches to the linearised boundary. Later it shrinks where the step is adversarial and
    grows where it is not. In L0, where no slope tells the distance, it starts with one pixel; a pixel with several channels
    counts once. Where the gradient is zero in every pixel, the step is random: the same for all samples, by seed and step.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        steps: int.
        step_size: L2 length of the first step; it falls to a hundredth along a cosine.
        gamma: first relative change of the radius; it falls to 0.001 along a cosine.
        loss: one of `LOSSES`. The paper's is the margin.
    """

    name: ClassVar[str] = "fmn"
    choices: ClassVar[Choices] = {"norm": NORMS, "loss": LOSSES}

    norm: str
    steps: int = 100
    step_size: float = 1.0
    gamma: float = 0.05
    loss: str = "margin"

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        key = (type(self), self.norm, self.loss, endpoint)
        minimise = classifier.compiled(key, lambda: _compile(classifier, endpoint, self.norm, self.loss))
        numbers = np.int32(batch.seed), np.int32(self.steps), np.float32(self.step_size), np.float32(self.gamma)
        images, found = (value.numpy() for value in minimise(batch.images, batch.labels, *numbers))
        if self.norm != "l0":
            images[found] = shrink(classifier, batch.take(found), images[found])
        return images


def _compile(classifier: Classifier, endpoint: str, norm: str, loss: str) -> Callable:
    attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")
    gradient_of = input_gradient(attacked, loss)

    def step(i, images, labels, seed, falling, step_size, gamma, delta, radius, best, least):
        """Notes an adversarial, fits the radius, and moves along the gradient within it (algorithm 1 of the paper)."""
        current = images + delta
        logits, gradient = gradient_of(current, labels)
        adversarial = clearly_wrong(logits if endpoint == "logits" else decisive(current), labels, classifier.noise)
        length = _length(delta, norm)
        better = tf.logical_and(adversarial, length < least)
        best, least = tf.where(wide(better), delta, best), tf.where(better, length, least)
        change = _LAST_GAMMA + (gamma - _LAST_GAMMA) * falling
        radius = _fitted(radius, change, adversarial, length, least, wrong_by(logits, labels), gradient, norm)
        radius = tf.clip_by_value(radius, *_bounds(images, norm))
        # Keyed by the step alone: a sample's walk does not depend on its batch.
        noise = tf.random.stateless_normal(classifier.image_shape, tf.stack([seed, i]))
        nothing = tf.reduce_all(tf.equal(gradient, 0.0), axis=(1, 2, 3), keepdims=True)
        direction = tf.where(nothing, noise, near_one(gradient))
        rate = step_size * (_LAST_STEP + (1 - _LAST_STEP) * falling)
        moved = _PROJECTIONS[norm](delta + rate * direction / wide(l2_norm(direction)), radius)
        return tf.clip_by_value(images + moved, 0.0, 1.0) - images, radius, best, least

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *classifier.image_shape), tf.float32),
            tf.TensorSpec((None,), tf.int64),
            *[tf.TensorSpec((), tf.int32)] * 2,
            *[tf.TensorSpec((), tf.float32)] * 2,
        ],
        autograph=False,
    )
    def minimise(images, labels, seed, steps, step_size, gamma):
        def body(i, *state):
            falling = (1 + tf.cos(np.pi * tf.cast(i, tf.float32) / tf.cast(steps, tf.float32))) / 2
            return i + 1, *step(i, images, labels, seed, falling, step_size, gamma, *state)

        endless = tf.fill(tf.shape(labels), np.float32(np.inf))
        start = (tf.constant(0), tf.zeros_like(images), tf.ones_like(endless), tf.zeros_like(images), endless)
        *_, best, least = tf.while_loop(lambda i, *_: i < steps, body, start, parallel_iterations=1)
        return tf.clip_by_value(images + best, 0.0, 1.0), tf.math.is_finite(least)

    return minimise


def _length(delta: tf.Tensor, norm: str) -> tf.Tensor:
    if norm != "l0":
        return lp_norm(delta, norm)
    return tf.reduce_sum(tf.cast(tf.reduce_any(tf.abs(delta) > _CHANGED, axis=-1), tf.float32), axis=(1, 2))


def _bounds(images: tf.Tensor, norm: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest and the largest radius of use."""
    if norm == "l0":
        pixels = tf.cast(tf.size(images[0, :, :, 0]), tf.float32)
        return tf.ones_like(images[:, 0, 0, 0]), tf.fill(tf.shape(images)[:1], pixels)
    return tf.zeros_like(images[:, 0, 0, 0]), lp_norm(tf.maximum(images, 1 - images), norm)


def _fitted(radius, change, adversarial, length, least, margin, gradient, norm):
    """The radius of the next step: smaller where the image is adversarial, else larger."""
    smaller, larger = radius * (1 - change), radius * (1 + change)
    if norm == "l0":
        # Whole pixels, at least one more or less.
        smaller, larger = tf.floor(tf.minimum(radius - 1, smaller)), tf.floor(tf.maximum(radius + 1, larger))
    else:
        # Without any adversarial so far: to the boundary of the linearised margin, and beyond.
        boundary = length + tf.cast(tf.abs(margin), tf.float32) / lp_norm(gradient, _DUAL[norm])
        larger = tf.where(tf.math.is_finite(least), larger, boundary * (1 + change))
    return tf.where(adversarial, tf.minimum(smaller, least), larger)


def _within_linf(delta: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(delta, -wide(radius), wide(radius))


def _within_l2(delta: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    return delta * wide(tf.minimum(1.0, tf.math.divide_no_nan(radius, l2_norm(delta))))


def _within_l1(delta: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    """The Euclidean projection onto the L1 ball: all magnitudes fall by the t >= 0 that brings their sum to the radius.

    Newton's method from 0 ends at the exact t, as the sum is convex and piecewise linear (Michelot 1986).
    """
    magnitude = tf.abs(delta)

    def newton(t: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        left = magnitude > wide(t)
        total = tf.reduce_sum(tf.where(left, magnitude, 0.0), axis=(1, 2, 3))
        count = tf.reduce_sum(tf.cast(left, tf.float32), axis=(1, 2, 3))
        further = tf.maximum(t, tf.math.divide_no_nan(total - radius, count))
        return further, tf.reduce_any(further > t)

    start = (tf.zeros_like(radius), tf.constant(True))
    t, _ = tf.while_loop(lambda _, grows: grows, newton, start, parallel_iterations=1, maximum_iterations=_ITERATIONS)
    return tf.sign(delta) * tf.maximum(magnitude - wide(t), 0.0)


def _within_l0(delta: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    """Keeps as many pixels as the radius says, those that changed most."""
    change = tf.reduce_sum(tf.square(delta), axis=-1, keepdims=True)
    ordered = tf.sort(tf.reshape(change, (tf.shape(change)[0], -1)), axis=1, direction="DESCENDING")
    least = tf.gather(ordered, tf.cast(radius, tf.int32) - 1, batch_dims=1)
    return tf.where(change >= wide(least), delta, 0.0)


_PROJECTIONS = {"linf": _within_linf, "l2": _within_l2, "l1": _within_l1, "l0": _within_l0}
