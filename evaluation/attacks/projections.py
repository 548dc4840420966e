"""Projections onto the part of the box [0, 1] that lies within a norm of an image."""

import tensorflow as tf

from cortexzoo.evaluation.attacks.tensors import l2_norm, near_one, wide

# How far the L1 norm may end from epsilon, relative to it.
_TOLERANCE = 1e-6
# Newton's steps end after about six; halving the bracket instead would take forty at most.
_ITERATIONS = 60


def unit_l2(values: tf.Tensor) -> tf.Tensor:
    """Returns each sample's values divided by their L2 norm, however small they are; zeros stay."""
    values = near_one(values)
    return values / wide(tf.maximum(l2_norm(values), 1.0))


def within_l2(images: tf.Tensor, points: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Returns the points moved straight towards their images until they are within epsilon, then clipped to [0, 1].

    Args:
        images: float32, (n, height, width, channels), in [0, 1].
        points: the same shape.
        epsilon: float32, ().
    """
    moves = points - images
    share = tf.minimum(1.0, epsilon / tf.maximum(l2_norm(moves), 1e-12))
    return tf.clip_by_value(images + moves * wide(share), 0.0, 1.0)


def nearest_within_l1(images: tf.Tensor, points: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Returns the nearest points, in L2, that lie in [0, 1] and within epsilon of their images in L1.

    The projection onto the intersection of the L1 ball and the box (Croce and Hein 2021, https://arxiv.org/abs/2103.01208,
    section 3.1): a coordinate that moved by m, and has room r up to the box in this direction, ends at the distance

        a(t) = min(max(|m| - t, 0), r),    where t >= 0 is the least with sum_i a_i(t) <= epsilon.

    The sum is piecewise linear and falls with t, so that Newton's method within a bracket ends at the exact t, but for
    rounding: its last step solves the linear piece. That takes a few passes over the coordinates and no sorting.

    Args:
        images: float32, (n, height, width, channels), in [0, 1].
        points: the same shape; they may lie outside the box.
        epsilon: float32, (). Positive.

    Returns:
        float32, the shape of `images`. Coordinates that did not move are those of the image, to the bit.
    """
    moves = points - images
    flat = (tf.shape(moves)[0], tf.size(moves[0]))
    length = tf.reshape(tf.abs(moves), flat)
    room = tf.reshape(tf.where(moves > 0.0, 1.0 - images, images), flat)
    amounts = tf.reshape(_shortened(length, room, _threshold(length, room, epsilon)), tf.shape(moves))
    return tf.clip_by_value(images + tf.sign(moves) * amounts, 0.0, 1.0)


def _shortened(length: tf.Tensor, room: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    return tf.minimum(tf.maximum(length - threshold, 0.0), room)


def _threshold(length: tf.Tensor, room: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """The least t at which the sum of min(max(length - t, 0), room) is at most epsilon, (n, 1)."""

    def body(i, t, lower, upper, _):
        amounts = _shortened(length, room, t)
        total = tf.reduce_sum(amounts, axis=1, keepdims=True)
        sliding = tf.logical_and(amounts > 0.0, amounts < room)
        slope = tf.reduce_sum(tf.cast(sliding, tf.float32), axis=1, keepdims=True)
        too_long = total > epsilon * (1.0 + _TOLERANCE)
        lower, upper = tf.where(too_long, t, lower), tf.where(too_long, upper, t)
        settled = tf.logical_and(tf.logical_not(too_long), tf.logical_or(total >= epsilon * (1.0 - _TOLERANCE), t <= 0.0))
        newton = t + (total - epsilon) / tf.maximum(slope, 1.0)
        inside = tf.logical_and(newton > lower, newton < upper)
        following = tf.where(settled, t, tf.where(inside, newton, (lower + upper) / 2))
        return i + 1, following, lower, upper, tf.reduce_all(settled)

    zero = tf.zeros_like(length[:, :1])
    start = (tf.constant(0), zero, zero, tf.reduce_max(length, axis=1, keepdims=True), tf.constant(False))
    loop = tf.while_loop(
        lambda i, *values: tf.logical_and(i < _ITERATIONS, tf.logical_not(values[-1])), body, start, parallel_iterations=1
    )
    # The upper end of the bracket never leaves the ball.
    return loop[3]
