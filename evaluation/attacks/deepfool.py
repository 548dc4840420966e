"""DeepFool: steps to the nearest face of the linearised decision region."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf
from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, shrink
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, finite, wide
from cortexzoo.evaluation.classifier import Classifier

# Steps between two looks at which samples are done.
_BLOCK = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """Moosavi-Dezfooli et al. 2016, https://arxiv.org/abs/1511.04599, with the defaults of Foolbox 3.

    The logits' gradients of all classes come from one forward pass, and samples leave the batch when they are adversarial.

    Attributes:
        norm: "linf" or "l2".
        steps: int. Most steps.
        overshoot: by how much more than the distance to the face a step goes.
    """

    name: ClassVar[str] = "deepfool"
    choices: ClassVar[Choices] = {"norm": ("linf", "l2")}

    norm: str
    steps: int = 50
    overshoot: float = 0.02

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        advance = classifier.compiled((self, endpoint), lambda: self._build(classifier, endpoint))
        results, total = batch.images.copy(), np.zeros_like(batch.images)
        active = np.arange(len(batch))
        for first in range(0, self.steps, _BLOCK):
            steps = min(_BLOCK, self.steps - first)
            images, moved, done = advance(batch.images[active], results[active], total[active], batch.labels[active], steps)
            results[active], total[active] = images.numpy(), moved.numpy()
            active = active[~done.numpy()]
            if len(active) == 0:
                break
        found = classifier.misclassifies(results, batch.labels)
        results[found] = shrink(classifier, batch.take(found), results[found])
        return results

    def _build(self, classifier: Classifier, endpoint: str) -> Callable:
        attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")
        image = tf.TensorSpec((None, *classifier.image_shape), tf.float32)

        def step(images, current, total, labels, done):
            """To the nearest face of the linearised region, for the samples that are not adversarial yet."""
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(current)
                logits = attacked(current)
                scores = tf.unstack(tf.reshape(logits, (-1, classifier.num_classes)), axis=1)
            slopes = tf.stack(
                [
                    finite(tape.gradient(score, current, unconnected_gradients=tf.UnconnectedGradients.ZERO))
                    for score in scores
                ],
                axis=1,
            )
            decision = logits if endpoint == "logits" else decisive(current)
            done = tf.logical_or(done, clearly_wrong(decision, labels))
            total = tf.where(wide(done), total, total + self._step(logits, slopes, labels))
            moved = tf.clip_by_value(images + (1 + self.overshoot) * total, 0.0, 1.0)
            return tf.where(wide(done), current, moved), total, done

        @tf.function(
            input_signature=[image, image, image, tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)],
            autograph=False,
        )
        def advance(images, current, total, labels, steps):
            loop = tf.while_loop(
                lambda i, *_: i < steps,
                lambda i, current, total, done: (i + 1, *step(images, current, total, labels, done)),
                (tf.constant(0), current, total, tf.zeros_like(labels, tf.bool)),
                parallel_iterations=1,
            )
            return loop[1:]

        return advance

    def _step(self, logits: tf.Tensor, slopes: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The smallest step that takes the linearised logits to a face of the region of the label."""
        lead = logits - tf.gather(logits, labels, batch_dims=1)[:, None]
        slopes = slopes - tf.gather(slopes, labels, batch_dims=1)[:, None]
        if self.norm == "linf":
            lengths = tf.reduce_sum(tf.abs(slopes), axis=(2, 3, 4))
        else:
            lengths = tf.sqrt(tf.reduce_sum(tf.square(slopes), axis=(2, 3, 4)))
        distances = tf.abs(lead) / (lengths + 1e-8)
        own = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
        nearest = tf.argmin(tf.where(own, logits.dtype.max, distances), axis=1)
        slope = tf.gather(slopes, nearest, batch_dims=1)
        distance = tf.gather(distances, nearest, batch_dims=1) + 1e-4
        if self.norm == "linf":
            return wide(distance) * tf.sign(slope)
        return wide(distance / (tf.gather(lengths, nearest, batch_dims=1) + 1e-8)) * slope
