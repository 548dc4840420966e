"""Targeted attacks: shows any attack a classifier with two classes, the wanted one and all others."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.classifier import Classifier


class TargetedView(Classifier):
    """A classifier with two logits: the largest of all other classes, and that of the wanted class.

    An image with label 0 is misclassified exactly if the classifier assigns it to the wanted class. An untargeted attack
    thus becomes a targeted one.

    Args:
        classifier: the classifier to wrap.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.__dict__.update(classifier.__dict__)
        self._whole = classifier
        # A variable, so that all wanted classes share the compiled functions.
        self._wanted = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._compiled = {}
        self._serve = self._view(classifier._serve)
        self.num_classes = 2

    def aim(self, wanted: int) -> None:
        """Sets the wanted class."""
        self._wanted.assign(wanted)

    def endpoint(self, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
        """See `Classifier.endpoint`."""
        return self._view(self._whole.endpoint(name))

    def _view(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
        def two_logits(images: tf.Tensor) -> tf.Tensor:
            logits = function(images)
            is_wanted = tf.equal(tf.range(tf.shape(logits)[-1], dtype=tf.int64), self._wanted)
            others = tf.reduce_max(tf.where(is_wanted, logits.dtype.min, logits), axis=-1)
            return tf.stack([others, tf.reduce_max(tf.where(is_wanted, logits, logits.dtype.min), axis=-1)], axis=-1)

        return two_logits


def check_targets(targets: np.ndarray | int, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns the wanted class of each image, int64, (n,).

    Args:
        targets: one class for all images, or one per image.
        labels: int, (n,). The true labels.
        classes: the number of classes.

    Raises:
        ValueError: the number of targets differs from the number of images, or one is not a class or equals the label.
    """
    wanted = np.broadcast_to(np.asarray(targets), labels.shape) if np.ndim(targets) == 0 else np.asarray(targets)
    if wanted.shape != labels.shape or not np.issubdtype(wanted.dtype, np.integer):
        raise ValueError(
            f"Expected `targets` to be a class or an array of {len(labels)} classes. "
            f"Received: shape {wanted.shape}, {wanted.dtype}."
        )
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < classes:
        raise ValueError(f"Expected `targets` from 0 to {classes - 1}. Received: {wanted.min()} to {wanted.max()}.")
    if np.any(wanted == labels) and np.ndim(targets) > 0:
        same = int(np.sum(wanted == labels))
        raise ValueError(f"Expected `targets` that differ from the labels. Received: the label itself for {same} images.")
    return wanted.astype(np.int64)
