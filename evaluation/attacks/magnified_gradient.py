"""Gradients of losses that are magnified, for each sample on its own, so that none of it underflows.

The gradient of a saturated network in a pixel may be 1e-100: its direction is right, but no float32 holds it. The factor
applies in the precision in which the endpoint computes, before the gradient becomes float32 like the image. It is a power of
two, which changes nothing else.
"""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.tensors import finite, wide

# Bounds of the factors, by the precision of the logits: the inverse is finite as well.
_LARGEST = {tf.float32: 2.0**100, tf.float64: 2.0**900}
# The factor by which a magnification without success is raised or lowered: a network may compute in half precision inside,
# where large ones overflow. Beyond `_MODERATE` they are for float64 alone.
_MODERATE, _RAISED, _LOWERED, _FAR = 2.0**100, 2.0**25, 2.0**12, 2.0**200


def evaluation(attacked: Callable, decisive: Callable | None, loss: Callable, averages: int) -> Callable:
    """Returns a function of images, labels, targets, scale and magnification (float64, (n,)).

    It gives the loss, (n,), of the precision of the logits; its magnified gradient, which may not be finite; and the model's
    own logits. All are means over `averages` evaluations.

    Args:
        attacked: the endpoint to differentiate.
        decisive: the endpoint that decides; None if it is the same.
        loss: of logits, labels, targets and scale.
        averages: more than 1 for a model with random outputs.
    """

    def evaluate(images, labels, targets, scale, magnification):
        """Returns the loss, its gradient times `magnification`, and the logits that decide."""
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = attacked(images)
            values = loss(logits, labels, targets, scale)
        gradient = tape.gradient(
            values,
            images,
            output_gradients=tf.cast(magnification, values.dtype),
            # Thresholding and rounding have no gradient at all for TensorFlow: zeros, not an error.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return values, gradient, logits if decisive is None else decisive(images)

    return evaluate if averages == 1 else _mean(evaluate, averages)


def _mean(evaluate: Callable, averages: int) -> Callable:
    def mean(*inputs):
        _, total = tf.while_loop(
            lambda i, _: i < averages,
            lambda i, total: (i + 1, tuple(a + b for a, b in zip(total, evaluate(*inputs), strict=True))),
            (tf.constant(1), evaluate(*inputs)),
            parallel_iterations=1,
        )
        return tuple(value / averages for value in total)

    return mean


def usable(gradient: tf.Tensor, magnification: tf.Tensor, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns a gradient to follow, which samples have none, and the magnification to go on with.

    Pixels whose slope is not finite do not count, unless no others are left: then the slope has overflown, and its sign is
    right.

    Args:
        gradient: magnified, float32, (n, height, width, channels).
        magnification: float64, (n,).
        dtype: of the logits.

    Returns:
        float32, finite, the shape of `gradient`; bool, (n,); float64, (n,).
    """
    kept = finite(gradient)
    steepest = tf.reduce_max(tf.abs(kept), axis=(1, 2, 3))
    without = tf.equal(steepest, 0.0)

    def with_signs():
        signs = tf.where(tf.math.is_inf(gradient), tf.sign(gradient), 0.0)
        overflown = tf.logical_and(without, tf.reduce_any(tf.not_equal(signs, 0.0), axis=(1, 2, 3)))
        return tf.where(wide(overflown), signs, kept), overflown

    kept, overflown = tf.cond(tf.reduce_any(without), with_signs, lambda: (kept, tf.zeros_like(without)))
    followed = _followed(magnification, tf.cast(steepest, tf.float64), overflown, _LARGEST[dtype])
    return kept, tf.logical_and(without, tf.logical_not(overflown)), followed


def _followed(magnification: tf.Tensor, steepest: tf.Tensor, overflown: tf.Tensor, largest: float) -> tf.Tensor:
    """The factor that brings the steepest slope near 1; without any slope the next one to try, and 1 after the largest."""
    exponent = tf.floor(tf.math.log(tf.maximum(steepest, 1e-300)) / math.log(2.0))
    exact = magnification * tf.pow(np.float64(2.0), -exponent)
    moderate = magnification <= _MODERATE
    lowered = magnification / tf.where(moderate, np.float64(_LOWERED), np.float64(_FAR))
    raised = magnification * tf.where(magnification < _MODERATE, np.float64(_RAISED), np.float64(_FAR))
    raised = tf.where(magnification < largest, raised, 1.0)
    followed = tf.where(steepest > 0.0, exact, tf.where(overflown, lowered, raised))
    return tf.clip_by_value(followed, 1.0 / largest, largest)
