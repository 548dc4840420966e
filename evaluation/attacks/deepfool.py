"""DeepFool: steps to the nearest face of the linearised decision region."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, shrink
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, finite, l2_norm, wide
from cortexzoo.evaluation.classifier import Classifier

# Steps between two checks for finished samples.
_BLOCK = 5
# Faces that a step considers, those of the likeliest other classes: all of them where there are ten classes.
_CANDIDATES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """Moosavi-Dezfooli et al. 2016, https://arxiv.org/abs/1511.04599, with the defaults of Foolbox 3.

    Samples leave the batch when they are adversarial. The classes are looked at one after the other, so that memory does
    not grow with their number.

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
        candidates = min(_CANDIDATES, classifier.num_classes - 1)

        def step(images, current, total, labels, done):
            """To the nearest face of the linearised region, for the samples that are not adversarial yet."""
            logits = attacked(current)
            decision = logits if endpoint == "logits" else decisive(current)
            done = tf.logical_or(done, clearly_wrong(decision, labels, classifier.noise))
            total = tf.where(wide(done), total, total + self._step(attacked, current, logits, labels, candidates))
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

    def _step(
        self, attacked: Callable, current: tf.Tensor, logits: tf.Tensor, labels: tf.Tensor, candidates: int
    ) -> tf.Tensor:
        """The smallest step that takes the linearised logits to a face of the region of the label."""
        true = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
        others = tf.math.top_k(tf.where(true, logits.dtype.min, logits), candidates).indices
        lead, own = tf.gather(logits, labels, batch_dims=1), _slope(attacked, current, labels)

        def look(k, least, nearest, length):
            """The face of the k-th other class, where it is nearer than those before."""
            slope = _slope(attacked, current, others[:, k]) - own
            size = tf.reduce_sum(tf.abs(slope), axis=(1, 2, 3)) if self.norm == "linf" else l2_norm(slope)
            distance = tf.abs(tf.gather(logits, others[:, k], batch_dims=1) - lead) / (size + 1e-8)
            nearer = distance < least
            nearest = tf.where(wide(nearer), slope, nearest)
            return k + 1, tf.where(nearer, distance, least), nearest, tf.where(nearer, size, length)

        start = (tf.constant(0), tf.fill(tf.shape(lead), lead.dtype.max), tf.zeros_like(current), tf.zeros_like(lead))
        loop = tf.while_loop(lambda k, *_: k < candidates, look, start, parallel_iterations=1)
        _, distance, slope, length = loop
        if self.norm == "linf":
            return wide(distance + 1e-4) * tf.sign(slope)
        return wide((distance + 1e-4) / (length + 1e-8)) * slope


def _slope(logits_of: Callable, images: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """The gradient of the logit of a class of each sample's own.

    Each has a forward pass of its own: TensorFlow cannot differentiate a loaded loop twice.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        chosen = tf.gather(logits_of(images), classes, batch_dims=1)
    return finite(tape.gradient(chosen, images, unconnected_gradients=tf.UnconnectedGradients.ZERO))
