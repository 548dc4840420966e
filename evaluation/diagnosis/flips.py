"""Pixels ranked by the gradient: the sparse attack that a network can learn to lead astray."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.batching import at_most
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, input_gradient, wide
from cortexzoo.evaluation.classifier import Classifier

_BATCH = 100
_Logits = Callable[[tf.Tensor], tf.Tensor]


def flipped(logits_of: _Logits, images: tf.Tensor, labels: tf.Tensor, count: int) -> tf.Tensor:
    """Returns images in which the `count` pixels that promise most, to first order, are flipped.

    A flipped pixel goes, in each channel, to the end of [0, 1] to which the gradient of the cross-entropy points. It
    promises the sum over its channels of gradient times change.

    Args:
        logits_of: a model.
        images: float32, (n, height, width, channels).
        labels: int64, (n,).
        count: int.
    """
    _, gradient = input_gradient(logits_of, "cross_entropy")(images, labels)
    ends = tf.where(gradient > 0.0, 1.0, 0.0)
    promise = tf.reduce_sum(gradient * (ends - images), axis=3)
    height, width = images.shape[1:3]
    _, best = tf.math.top_k(tf.reshape(promise, (-1, height * width)), count)
    chosen = tf.reduce_max(tf.one_hot(best, height * width), axis=1)
    return tf.where(tf.reshape(chosen, (-1, height, width, 1)) > 0.0, ends, images)


def flip_at_once(classifier: Classifier, endpoint: str, images: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Returns images with `count` flipped pixels, all by the gradient at the image itself; see `flipped`."""
    return _in_parts(classifier, endpoint, images, labels, 1, count)


def flip_one_by_one(classifier: Classifier, endpoint: str, images: np.ndarray, labels: np.ndarray, steps: int) -> np.ndarray:
    """Returns images after `steps` flips of one pixel, each by a new gradient; a misclassified image is left as it is.

    Args:
        classifier: the model.
        endpoint: the endpoint to differentiate.
        images: float32, (n, height, width, channels), in [0, 1].
        labels: int64, (n,).
        steps: int. Most pixels that change.
    """
    return _in_parts(classifier, endpoint, images, labels, steps, 1)


def _in_parts(
    classifier: Classifier, endpoint: str, images: np.ndarray, labels: np.ndarray, steps: int, count: int
) -> np.ndarray:
    attack = classifier.compiled(("flips", endpoint), lambda: _build(classifier, endpoint))
    size = at_most(classifier, _BATCH)
    parts = [slice(first, first + size) for first in range(0, len(images), size)]
    return np.concatenate([attack(images[part], labels[part], steps, count).numpy() for part in parts])


def _build(classifier: Classifier, endpoint: str) -> Callable[[np.ndarray, np.ndarray, int, int], tf.Tensor]:
    """A function of images, labels, the number of steps and that of the pixels that are flipped at each."""
    attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")
    image, label = tf.TensorSpec((None, *classifier.image_shape), tf.float32), tf.TensorSpec((None,), tf.int64)
    number = tf.TensorSpec((), tf.int32)

    @tf.function(input_signature=[image, label, number, number], autograph=False)
    def attack(images: tf.Tensor, labels: tf.Tensor, steps: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        def body(i, current):
            done = clearly_wrong(decisive(current), labels, classifier.noise)
            return i + 1, tf.where(wide(done), current, flipped(attacked, current, labels, count))

        return tf.while_loop(lambda i, _: i < steps, body, (0, images), parallel_iterations=1)[1]

    return attack
