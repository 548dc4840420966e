"""What the compiled steps of several attacks share."""

from collections.abc import Callable

import tensorflow as tf

from cortexzoo.evaluation.classifier import CLEARLY

# A factor on what is differentiated, by which the gradient is divided again. An endpoint in float64 returns its gradient in
# float32, like the image, where it could underflow to 0. A power of two keeps every digit.
GRADIENT_SCALE = 2.0**64
# `keras.config.epsilon()`, written out: an evaluation does not depend on how Keras is set up.
_CLIPPED = 1e-7
LOSSES = ("cross_entropy", "margin", "clipped_probabilities")


def wide(values: tf.Tensor) -> tf.Tensor:
    """Returns one value per sample, (n,), in a shape that multiplies images, (n, 1, 1, 1)."""
    return values[:, None, None, None]


def l2_norm(values: tf.Tensor) -> tf.Tensor:
    """Returns each sample's L2 norm, (n,)."""
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=(1, 2, 3)))


def lp_norm(values: tf.Tensor, norm: str) -> tf.Tensor:
    """Returns each sample's norm, "linf", "l2" or "l1", (n,)."""
    if norm == "l2":
        return l2_norm(values)
    reduce = tf.reduce_max if norm == "linf" else tf.reduce_sum
    return reduce(tf.abs(values), axis=(1, 2, 3))


def at_least_float32(values: tf.Tensor) -> tf.Tensor:
    """Returns values in half precision as float32, in which a factor on them does not overflow, and others as they are."""
    return tf.cast(values, tf.float32) if values.dtype in (tf.float16, tf.bfloat16) else values


def wrong_by(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns the best other logit minus the true one, (n,): positive where the label loses."""
    # A signature may not tell how many logits it has.
    true = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.reduce_max(tf.where(true, logits.dtype.min, logits), axis=-1)
    return others - tf.reduce_max(tf.where(true, logits, logits.dtype.min), axis=-1)


def clearly_wrong(logits: tf.Tensor, labels: tf.Tensor, noise: float = 0.0) -> tf.Tensor:
    """Returns what `Classifier.misclassifies` decides, in a compiled function, bool, (n,).

    Args:
        logits: float, (n, classes).
        labels: int64, (n,).
        noise: `Classifier.noise`.
    """
    least = tf.maximum(CLEARLY * tf.reduce_max(tf.abs(logits), axis=-1), tf.cast(noise, logits.dtype))
    wins = wrong_by(logits, labels) > least
    return tf.logical_or(wins, tf.logical_not(tf.reduce_all(tf.math.is_finite(logits), axis=-1)))


def loss_values(logits: tf.Tensor, labels: tf.Tensor, loss: str, logit_scale: float = 1.0) -> tf.Tensor:
    """Returns what an attack increases, (n,), of the logits' type; see `input_gradient`."""
    logits = at_least_float32(logits)
    if loss == "margin":
        return wrong_by(logits, labels)
    if loss == "clipped_probabilities":
        return _clipped_cross_entropy(logits, labels)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logit_scale * logits)


def input_gradient(logits_of: Callable[[tf.Tensor], tf.Tensor], loss: str, logit_scale: float = 1.0) -> Callable:
    """Returns a function of images and labels that gives the logits and the loss' gradient in the images.

    Args:
        logits_of: an endpoint.
        loss: one of `LOSSES`; the margin is the best other logit minus the true one, "clipped_probabilities" what Keras
            computes from float32 probabilities.
        logit_scale: factor on the logits inside the cross-entropy.
    """

    def gradient_of(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = logits_of(images)
            values = loss_values(logits, labels, loss, logit_scale)
        # Thresholding and rounding have no gradient at all for TensorFlow: zeros, not an error.
        return logits, finite(tape.gradient(values, images, unconnected_gradients=tf.UnconnectedGradients.ZERO))

    return gradient_of


def finite(gradient: tf.Tensor) -> tf.Tensor:
    """Returns a gradient with 0 where it is NaN or infinite: a square root at 0 must not spoil the other pixels."""
    return tf.where(tf.math.is_finite(gradient), gradient, 0.0)


def near_one(gradient: tf.Tensor) -> tf.Tensor:
    """Returns each sample's gradient times the power of two that brings its largest value into [1, 2); zeros stay.

    The direction stays exact, and no floor under a norm shortens the step.
    """
    largest = tf.reduce_max(tf.abs(gradient), axis=(1, 2, 3), keepdims=True)
    # The exponent's bits alone are the power of two below a float32.
    power = tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(largest, tf.int32), 0x7F800000), tf.float32)
    return gradient / tf.where(power > 0.0, power, 1.0)


def _clipped_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The cross-entropy that Keras computes of float32 probabilities, clipped to [1e-7, 1 - 1e-7]: no gradient beyond."""
    probabilities = tf.clip_by_value(tf.nn.softmax(tf.cast(logits, tf.float32)), _CLIPPED, 1.0 - _CLIPPED)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.math.log(probabilities))
