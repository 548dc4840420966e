"""The projection of the FAB attack: the point of a hyperplane within the box that is nearest to a given one.

For a point x in [0, 1]^d and a linear function f(x + d) = f + w . d (Croce and Hein 2020, https://arxiv.org/abs/1907.02044,
eq. 4):

    min_d ||d||_p   subject to   f + w . d = 0,   0 <= x + d <= 1.

Every coordinate moves against sign(f) w_i, by an amount a_i of at most its room r_i up to the box, so that what is left is

    min_a ||a||_p   subject to   sum_i |w_i| a_i = |f|,   0 <= a_i <= r_i.

In Linf all amounts are min(t, r_i), in L2 min(t |w_i|, r_i). The sum is then concave and piecewise linear in t, and Newton's
method from 0 ends at the exact t: every iteration but the last finds further coordinates at the box. In L1 the coordinates
of the steepest slopes are used up first, which takes one sort.
"""

from collections.abc import Callable

import tensorflow as tf

# Newton's method has ended long before, in about ten iterations. Fewer than needed would move too little.
_ITERATIONS = 100


def nearest_on_hyperplane(points: tf.Tensor, values: tf.Tensor, slopes: tf.Tensor, norm: str) -> tf.Tensor:
    """Returns the smallest moves that bring linear functions to 0.

    Args:
        points: float32, (n, size), in [0, 1].
        values: float32, (n,). The functions at the points.
        slopes: float32, (n, size).
        norm: "linf", "l2" or "l1"; what is smallest in it.

    Returns:
        float32, (n, size). The points stay in the box but for rounding. Where the box does not reach the hyperplane, the
        moves go towards it as far as the box allows; where a slope is 0, there is no move.
    """
    towards = -tf.sign(values)[:, None] * tf.sign(slopes)
    room = tf.where(towards > 0.0, 1.0 - points, points)
    return towards * _AMOUNTS[norm](tf.abs(slopes), room, tf.abs(values)[:, None])


def _same_for_all(gain: tf.Tensor, room: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The amounts of Linf: min(t, r_i)."""
    return _filled(tf.ones_like(gain), gain, room, wanted)


def _like_the_slope(gain: tf.Tensor, room: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The amounts of L2: min(t |w_i|, r_i)."""
    return _filled(gain, gain, room, wanted)


def _filled(speed: tf.Tensor, gain: tf.Tensor, room: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The amounts min(t s_i, r_i) of the least t at which sum_i |w_i| min(t s_i, r_i) reaches what is wanted."""
    gained, rate = gain * room, gain * speed

    def newton(t: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        full = t * speed >= room
        missing = wanted - _sum(tf.where(full, gained, 0.0))
        # Where nothing is left to move, t stays.
        further = tf.maximum(t, tf.math.divide_no_nan(missing, _sum(tf.where(full, 0.0, rate))))
        return further, tf.reduce_any(further > t)

    start = (tf.zeros_like(wanted), tf.constant(True))
    t, _ = tf.while_loop(lambda _, grows: grows, newton, start, parallel_iterations=1, maximum_iterations=_ITERATIONS)
    return tf.minimum(t * speed, room)


def _steepest_first(gain: tf.Tensor, room: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The amounts of L1: all room where the slope is steeper than some threshold; a share of it where it is as steep."""
    size = tf.shape(gain)[1]
    ordered = tf.math.top_k(gain, size)
    gained = tf.cumsum(ordered.values * tf.gather(room, ordered.indices, batch_dims=1), axis=1)
    # The first coordinate that reaches what is wanted, or else the last one.
    last = tf.minimum(tf.reduce_sum(tf.cast(gained < wanted, tf.int32), axis=1), size - 1)
    threshold = tf.gather(ordered.values, last, batch_dims=1)[:, None]
    steeper, as_steep = gain > threshold, tf.equal(gain, threshold)
    missing = wanted - _sum(tf.where(steeper, gain * room, 0.0))
    share = tf.math.divide_no_nan(missing, _sum(tf.where(as_steep, gain * room, 0.0)))
    return room * tf.where(steeper, 1.0, tf.where(as_steep, tf.clip_by_value(share, 0.0, 1.0), 0.0))


def _sum(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=1, keepdims=True)


_AMOUNTS: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "linf": _same_for_all,
    "l2": _like_the_slope,
    "l1": _steepest_first,
}
