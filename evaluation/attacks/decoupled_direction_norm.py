"""DDN: gradient steps on a sphere that shrinks while the image is adversarial and grows while it is not."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, shrink
from cortexzoo.evaluation.attacks.tensors import LOSSES, clearly_wrong, input_gradient, l2_norm, near_one, wide
from cortexzoo.evaluation.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoupledDirectionNorm(Attack):
    """Rony et al. 2019, https://arxiv.org/abs/1811.09600, with the defaults of Foolbox 3.

    Where the gradient is zero in every pixel, the step is random, as in Foolbox. The random direction of a step is the same
    for all samples; it depends on the seed and the step.

    Attributes:
        steps: int.
        initial_epsilon: first radius.
        gamma: relative change of the radius in a step.
        loss: one of `LOSSES`.
    """

    name: ClassVar[str] = "ddn"
    version: ClassVar[int] = 2
    choices: ClassVar[Choices] = {"norm": ("l2",), "loss": LOSSES}

    norm: str = "l2"
    steps: int = 100
    initial_epsilon: float = 1.0
    gamma: float = 0.05
    loss: str = "cross_entropy"

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        minimise = classifier.compiled((self, endpoint), lambda: self._build(classifier, endpoint))
        images, found = (value.numpy() for value in minimise(batch.images, batch.labels, batch.seed))
        images[found] = shrink(classifier, batch.take(found), images[found])
        return images

    def _build(self, classifier: Classifier, endpoint: str) -> Callable:
        attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")
        gradient_of = input_gradient(attacked, self.loss)

        def step(i, images, labels, seed, farthest, delta, epsilon, best, least):
            """Along the gradient, then onto the sphere of the new radius."""
            current = images + delta
            logits, gradient = gradient_of(current, labels)
            adversarial = clearly_wrong(logits if endpoint == "logits" else decisive(current), labels, classifier.noise)
            length = l2_norm(delta)
            better = tf.logical_and(adversarial, length <= least)
            best, least = tf.where(wide(better), delta, best), tf.where(better, length, least)
            # From 1 to 0.01 along a cosine.
            rate = 0.01 + 0.99 * (1 + tf.cos(np.pi * tf.cast(i, tf.float32) / self.steps)) / 2
            nothing = tf.reduce_all(tf.equal(gradient, 0.0), axis=(1, 2, 3), keepdims=True)
            noise = tf.random.stateless_normal(classifier.image_shape, tf.stack([seed, i]))
            direction = tf.where(nothing, noise, near_one(gradient))
            delta += rate * direction / wide(tf.maximum(l2_norm(direction), 1e-12))
            epsilon = tf.minimum(epsilon * tf.where(adversarial, 1 - self.gamma, 1 + self.gamma), farthest)
            delta *= wide(epsilon / tf.maximum(l2_norm(delta), 1e-12))
            return tf.clip_by_value(images + delta, 0.0, 1.0) - images, epsilon, best, least

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, *classifier.image_shape), tf.float32),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((), tf.int32),
            ],
            autograph=False,
        )
        def minimise(images, labels, seed):
            farthest = l2_norm(tf.maximum(images, 1 - images))
            zeros, endless = tf.zeros_like(images), tf.fill(tf.shape(labels), np.float32(np.inf))
            state = (zeros, self.initial_epsilon * tf.ones_like(farthest), zeros, endless)
            loop = tf.while_loop(
                lambda i, *_: i < self.steps,
                lambda i, *values: (i + 1, *step(i, images, labels, seed, farthest, *values)),
                (tf.constant(0), *state),
                parallel_iterations=1,
            )
            return tf.clip_by_value(images + loop[3], 0.0, 1.0), tf.math.is_finite(loop[4])

        return minimise
