"""How many images an attack shows to the model at once."""

from collections.abc import Callable

import tensorflow as tf

from cortexzoo.evaluation.classifier import Classifier


def at_most(classifier: Classifier, usual: int) -> int:
    """Returns the number of images to show at once: `usual`, or the classifier's limit where that is smaller."""
    limit = classifier.batch_limit
    return usual if limit is None else min(usual, limit)


def in_parts(classifier: Classifier, logits_of: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `logits_of`, called on no more images at a time than the classifier's limit.

    For compiled functions that make many images of one. Without a limit it is `logits_of` itself. It has no gradient.
    """
    limit = classifier.batch_limit
    if limit is None:
        return logits_of

    def logits_in_parts(images: tf.Tensor) -> tf.Tensor:
        count = tf.shape(images)[0]
        found = tf.TensorArray(tf.float32, size=(count + limit - 1) // limit, infer_shape=False)
        _, found = tf.while_loop(
            lambda i, _: i * limit < count,
            lambda i, found: (i + 1, found.write(i, tf.cast(logits_of(images[i * limit : (i + 1) * limit]), tf.float32))),
            (tf.constant(0), found),
            parallel_iterations=1,
        )
        return tf.ensure_shape(found.concat(), (None, classifier.num_classes))

    return logits_in_parts
