"""Gradient steps that work with vanishing and underflowing gradients."""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, other_classes, random_directions
from cortexzoo.evaluation.attacks.epsilon_grid import check_epsilons
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, loss_values, wide
from cortexzoo.evaluation.classifier import Classifier

# Steps between two checks for finished samples.
_BLOCK = 5
# Bounds of the factor on the loss: a product with a gradient of ordinary size is finite, and so is the inverse.
_LARGEST = {tf.float16: 1e4, tf.bfloat16: 1e30, tf.float32: 1e30, tf.float64: 1e280}
_JUMP = 1e30


@dataclasses.dataclass(frozen=True, kw_only=True)
class RescaledGradientAttack(Attack):
    """Projected gradient descent in Linf (Madry et al. 2018, https://arxiv.org/abs/1706.06083) with rescaled gradients.

    The gradient of a saturated network in a pixel may be 1e-100: its sign is right, but no float32 holds it. Here every
    sample's loss has its own factor, which follows the size of its gradient, so that the gradient in the image is of order
    1. The factor applies in the precision in which the endpoint computes. Where the gradient is zero nevertheless, the step
    is random. Brendel and Bethge (2017, https://arxiv.org/abs/1704.01547) stabilise gradients for the same reason.

    The largest epsilon comes first. A sample that it breaks goes on to the next smaller one, with its perturbation scaled
    down, until an epsilon withstands all steps; each restart tries to get below that. The first start is the image itself,
    because noise of size epsilon may switch off every unit of a ReLU network; where its steps overshoot at the largest
    epsilon it tries the smaller ones, too. Other starts are random. Steps are signs, and their size falls to zero along a
    cosine.

    Attributes:
        epsilons: ascending.
        steps: int. At each epsilon.
        relative_step: size of the first step as a share of epsilon.
        restarts: int. Starts: the image, then different random points.
        loss: "margin", "cross_entropy", or "targeted_margin": a class's logit minus the true one, where the n-th restart
            aims at the class that is the n-th likeliest of the others for the image itself.
        logit_scale: factor on the logits inside the cross-entropy, an inverse temperature.
    """

    name: ClassVar[str] = "rescaled_gradient"
    version: ClassVar[int] = 3
    choices: ClassVar[Choices] = {"norm": ("linf",), "loss": ("margin", "cross_entropy", "targeted_margin")}

    norm: str = "linf"
    epsilons: tuple[float, ...]
    steps: int
    relative_step: float = 0.2
    restarts: int = 1
    loss: str = "margin"
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_epsilons(self.epsilons)

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        best = batch.images.copy()
        # The position of the smallest epsilon at which each sample is broken.
        reached = np.full(len(batch), len(self.epsilons))
        others = other_classes(classifier, batch)
        for restart in range(self.restarts):
            direction = random_directions(batch, self.norm, restart) if restart else np.zeros_like(batch.images)
            goes_on = np.ones(len(batch), bool)
            for level in reversed(range(len(self.epsilons))):
                unbroken = (reached == len(self.epsilons)) & (restart == 0)
                active = np.flatnonzero(unbroken | goes_on & (reached == level + 1))
                if len(active) == 0:
                    continue
                epsilon = np.float32(self.epsilons[level])
                start = np.clip(batch.images[active] + epsilon * direction[active], 0.0, 1.0)
                classes = others[active, restart % others.shape[1]]
                images = self._ascend(classifier, endpoint, batch.take(active), start, classes, epsilon)
                found = classifier.misclassifies(images, batch.labels[active])
                goes_on[active], active = found, active[found]
                best[active], reached[active] = images[found], level
                direction[active] = (images[found] - batch.images[active]) / epsilon
        return best

    def _ascend(
        self, classifier: Classifier, endpoint: str, batch: Batch, start: np.ndarray, classes: np.ndarray, epsilon: float
    ) -> np.ndarray:
        advance = classifier.compiled((self, endpoint), lambda: self._build(classifier, endpoint))
        results, active, magnification = start.copy(), np.arange(len(batch)), np.ones(len(batch))
        for first in range(0, self.steps, _BLOCK):
            part = batch.take(active)
            current, followed, done = advance(
                part.images, results[active], part.labels, classes[active], magnification[active], epsilon, batch.seed, first
            )
            results[active], magnification[active] = current.numpy(), followed.numpy()
            active = active[~done.numpy()]
            if len(active) == 0:
                break
        return results

    def _build(self, classifier: Classifier, endpoint: str) -> Callable:
        attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")

        def gradient_of(current, labels, classes, magnification):
            """The gradient of each sample's magnified loss, the logits, and the magnification to go on with."""
            with tf.GradientTape() as tape:
                tape.watch(current)
                logits = attacked(current)
                values = self._loss(logits, labels, classes)
            gradient = tape.gradient(
                values,
                current,
                output_gradients=tf.cast(magnification, values.dtype),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            size = tf.cast(tf.reduce_max(tf.abs(gradient), axis=(1, 2, 3)), tf.float64)
            followed = tf.where(size > 0, magnification / tf.maximum(size, 1e-300), magnification * _JUMP)
            followed = tf.where(tf.math.is_finite(size), followed, magnification / _JUMP)
            largest = _LARGEST[values.dtype]
            return gradient, logits, tf.clip_by_value(followed, 1 / largest, largest)

        def calibrate(current, labels, classes, magnification):
            """Magnifies until every sample has a gradient, or none that could be found."""

            def body(magnification, _):
                gradient, _, followed = gradient_of(current, labels, classes, magnification)
                nothing = tf.reduce_all(tf.equal(gradient, 0.0), axis=(1, 2, 3))
                return followed, tf.reduce_any(tf.logical_and(nothing, followed > magnification))

            start = (magnification, tf.constant(True))
            return tf.while_loop(lambda _, missing: missing, body, start, parallel_iterations=1)[0]

        def step(i, images, current, labels, classes, magnification, epsilon, seed, done):
            """Moves the images that are not done by one signed step and follows the size of their gradients."""
            gradient, logits, magnification = gradient_of(current, labels, classes, magnification)
            # A surrogate endpoint may decide otherwise; the model's own decision counts.
            decision = logits if endpoint == "logits" else decisive(current)
            done = tf.logical_or(done, clearly_wrong(decision, labels, classifier.noise))
            # Keyed by the step alone: a sample's walk does not depend on its batch.
            noise = tf.random.stateless_normal(classifier.image_shape, tf.stack([seed, i]))
            nothing = tf.reduce_all(tf.equal(gradient, 0.0), axis=(1, 2, 3), keepdims=True)
            # An infinite value still has a sign; NaN has none.
            direction = tf.where(nothing, noise, tf.where(tf.math.is_nan(gradient), 0.0, gradient))
            rate = self.relative_step * (1 + tf.cos(np.pi * tf.cast(i, tf.float32) / self.steps)) / 2
            moved = tf.clip_by_value(current + rate * epsilon * tf.sign(direction), images - epsilon, images + epsilon)
            return tf.where(wide(done), current, tf.clip_by_value(moved, 0.0, 1.0)), magnification, done

        @tf.function(input_signature=_signature(classifier.image_shape), autograph=False)
        def advance(images, current, labels, classes, magnification, epsilon, seed, first):
            """Takes a block of steps, beginning with the number `first`."""
            if_new = functools.partial(calibrate, current, labels, classes, magnification)
            magnification = tf.cond(tf.equal(first, 0), if_new, lambda: magnification)
            loop = tf.while_loop(
                lambda i, *_: i < tf.minimum(first + _BLOCK, self.steps),
                lambda i, current, magnification, done: (
                    i + 1,
                    *step(i, images, current, labels, classes, magnification, epsilon, seed, done),
                ),
                (first, current, magnification, tf.zeros_like(labels, tf.bool)),
                parallel_iterations=1,
            )
            return loop[1:]

        return advance

    def _loss(self, logits: tf.Tensor, labels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        if self.loss == "targeted_margin":
            return tf.gather(logits, classes, batch_dims=1) - tf.gather(logits, labels, batch_dims=1)
        return loss_values(logits, labels, self.loss, self.logit_scale)


def _signature(image_shape: tuple[int, int, int]) -> list[tf.TensorSpec]:
    """Images, current ones, labels, wanted classes, magnifications, epsilon, seed and number of the first step."""
    image, label = tf.TensorSpec((None, *image_shape), tf.float32), tf.TensorSpec((None,), tf.int64)
    magnification, epsilon, number = (
        tf.TensorSpec((None,), tf.float64),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((), tf.int32),
    )
    return [image, image, label, label, magnification, epsilon, number, number]
