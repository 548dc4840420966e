"""Projections onto the part of the box [0, 1] that lies within a norm of an image."""

import tensorflow as tf

from cortexzoo.evaluation.attacks.tensors import l2_norm, near_one, wide

# How far the L1 norm may end from epsilon, relative to it, unless float32 has no threshold closer than this share of it.
_TOLERANCE = 1e-6
_ROUNDING = 2.0**-22
# About five end it. Halving the bracket at every fifth ends it in any case.
_HALVING = 5
_ITERATIONS = 150


def unit_l2(values: tf.Tensor) -> tf.Tensor:
    """Returns each sample's values divided by their L2 norm, however small they are; zeros stay."""
    values = near_one(values)
    return values / wide(tf.maximum(l2_norm(values), 1.0))


def within_l2(images: tf.Tensor, points: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Returns the points moved straight towards their images until they are within epsilon, then clipped to [0, 1].

    Args:
        images: float32, (n, height, width, channels), in [0, 1].
        points: the same shape.
        epsilon: float32, () or (n,).
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
        epsilon: float32, () or (n,). Not negative.

    Returns:
        float32, the shape of `images`. Coordinates that did not move are those of the image, to the bit.
    """
    moves = points - images
    flat = (tf.shape(moves)[0], tf.size(moves[0]))
    length = tf.reshape(tf.abs(moves), flat)
    room = tf.reshape(tf.where(moves > 0.0, 1.0 - images, images), flat)
    epsilon = tf.reshape(epsilon, (-1, 1))
    amounts = _shortened(length, room, _threshold(length, room, epsilon))
    # What rounding leaves beyond the ball.
    amounts *= tf.math.divide_no_nan(epsilon, tf.maximum(_sum(amounts), epsilon))
    return tf.clip_by_value(images + tf.sign(moves) * tf.reshape(amounts, tf.shape(moves)), 0.0, 1.0)


def _shortened(length: tf.Tensor, room: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    return tf.minimum(tf.maximum(length - threshold, 0.0), room)


def _sum(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=1, keepdims=True)


def _threshold(length: tf.Tensor, room: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """The least t at which the sum of min(max(length - t, 0), room) is at most epsilon, (n, 1)."""

    def body(i, t, lower, upper, _):
        amounts = _shortened(length, room, t)
        excess = _sum(amounts) - epsilon
        slope = _sum(tf.cast(tf.logical_and(amounts > 0.0, amounts < room), tf.float32))
        lower, upper = tf.where(excess > 0.0, t, lower), tf.where(excess > 0.0, upper, t)
        newton = t + excess / tf.maximum(slope, 1.0)
        # A point within the ball stays: t = 0.
        settled = tf.logical_or(tf.abs(excess) <= tf.maximum(_TOLERANCE * epsilon, _ROUNDING * t * slope), upper <= 0.0)
        # Where the sum is flat, and now and then in any case, the bracket is halved.
        serves = (slope > 0.0) & (newton > lower) & (newton < upper) & (i % _HALVING < _HALVING - 1)
        following = tf.where(settled, t, tf.where(serves, newton, (lower + upper) / 2))
        return i + 1, following, lower, upper, tf.reduce_all(settled)

    zero = tf.zeros_like(length[:, :1])
    start = (tf.constant(0), zero, zero, tf.reduce_max(length, axis=1, keepdims=True), tf.constant(False))
    loop = tf.while_loop(
        lambda i, *values: tf.logical_and(i < _ITERATIONS, tf.logical_not(values[-1])), body, start, parallel_iterations=1
    )
    return loop[1]
