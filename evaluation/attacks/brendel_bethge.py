"""The Brendel-Bethge attack: follows the boundary to the adversarial that is nearest in L0, L1, L2 or Linf.

In each step a small problem is solved for each sample: the point nearest to the image in the norm, among those on the
linearised boundary, within the box and within a trust region around the current point:

    min_d ||z - d||_p   subject to   b . d = c,   ||d||_2 <= r,   low <= d <= high,       z = image - current.

For multipliers lam of the boundary and mu of the region, every coordinate has a closed form d_i(lam, mu), b . d grows with
lam and ||d|| falls with mu: two nested one-dimensional searches of fixed length solve it, for all samples at once.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from evaluation.attacks.base import Batch, shrink
from evaluation.attacks.tensors import clearly_wrong, input_gradient, wide, wrong_by
from evaluation.norms import distances, largest_distance
from evaluation.target import Target

# Steps between two looks at the learning rate, at least.
_INNER, _OUTER = 18, 10
_LARGEST = 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrendelBethge:
    """Brendel et al. 2019, https://arxiv.org/abs/1907.01003, with the defaults of Foolbox 3.

    Differences: the start is `Batch.starts`; the trust region does not depend on the batch (there its radius is 0.001 times
    the number of values in the whole batch: for some tens of images it begins as wide as the box); the problem of a step
    is solved as said above, in bounded time, and not by compiled BFGS and Nelder-Mead searches.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        steps: int.
        overshoot: how far beyond the boundary a step aims.
        learning_rate: first radius of the trust region, a share of the greatest L2 distance between two images.
        decay: factor on the learning rate, `decays` times in all.
        decays: int.
        momentum: of the boundary's normal.
    """

    name: ClassVar[str] = "brendel_bethge"
    version: ClassVar[int] = 1
    chunk_size: ClassVar[int] = 200
    uses_gradients: ClassVar[bool] = True
    needs_starts: ClassVar[bool] = True

    norm: str
    steps: int = 1000
    overshoot: float = 1.1
    learning_rate: float = 0.5
    decay: float = 0.5
    decays: int = 20
    momentum: float = 0.8

    def run(self, target: Target, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        follow = target.compiled((self, endpoint), lambda: self._build(target, endpoint))
        best = batch.starts.copy()
        found = np.flatnonzero(target.misclassifies(best, batch.labels))
        if len(found) == 0:
            return best
        part = batch.take(found)
        start = self._to_boundary(target, part, best[found])
        images = follow(part.images, part.labels, start).numpy()
        wrong = target.misclassifies(images, part.labels)
        images[~wrong] = start[~wrong]
        best[found] = images if self.norm == "l0" else shrink(target, part, images)
        nearer = distances(part.images, best[found], self.norm) < distances(part.images, images, self.norm)
        best[found[~nearer]] = images[~nearer]
        return best

    def _to_boundary(self, target: Target, batch: Batch, far: np.ndarray) -> np.ndarray:
        """Ten bisections between image and start, along the path that is natural in the norm."""
        low, high, best = np.zeros(len(batch)), np.ones(len(batch)), far
        for _ in range(10):
            middle = (low + high) / 2
            points = _between(batch.images, far, middle[:, None, None, None].astype(np.float32), self.norm)
            wrong = target.misclassifies(points, batch.labels)
            best = np.where(wrong[:, None, None, None], points, best)
            low, high = np.where(wrong, low, middle), np.where(wrong, middle, high)
        return best

    def _build(self, target: Target, endpoint: str) -> Callable:
        decisive, gradient_of = target.endpoint("logits"), input_gradient(target.endpoint(endpoint), "margin")
        size = largest_distance(target.image_shape, "l2")
        interval = max(1, self.steps // self.decays)
        image = tf.TensorSpec((None, *target.image_shape), tf.float32)

        def step(i, images, labels, current, normal, best, least):
            logits, slope = gradient_of(current, labels)
            adversarial = clearly_wrong(logits if endpoint == "logits" else decisive(current), labels)
            distance = _distance(images - current, self.norm)
            better = tf.logical_and(adversarial, distance < least)
            best, least = tf.where(wide(better), current, best), tf.where(better, distance, least)
            normal = tf.where(i == 0, slope, (1 - self.momentum) * slope + self.momentum * normal)
            # The margin by which the label loses is to become 0, and somewhat more, so that the point stays adversarial.
            lead = wrong_by(logits, labels)
            wanted = tf.where(lead < 0, -self.overshoot * lead, -(2 - self.overshoot) * lead)
            radius = size * self.learning_rate * self.decay ** tf.cast((i + 2) // interval, tf.float32)
            move = _nearest_on_boundary(images - current, normal, wanted, -current, 1 - current, radius, self.norm)
            return tf.clip_by_value(current + move, 0.0, 1.0), normal, best, least

        @tf.function(input_signature=[image, tf.TensorSpec((None,), tf.int64), image], autograph=False)
        def follow(images, labels, start):
            least = _distance(images - start, self.norm)
            loop = tf.while_loop(
                lambda i, *_: i < self.steps,
                lambda i, *values: (i + 1, *step(i, images, labels, *values)),
                (tf.constant(0), start, tf.zeros_like(images), start, least),
                parallel_iterations=1,
            )
            return loop[3]

        return follow


def _between(images: np.ndarray, far: np.ndarray, share: np.ndarray, norm: str) -> np.ndarray:
    """A point between the image (share 0) and another (share 1)."""
    difference = far - images
    if norm == "l2":
        return images + share * difference
    if norm == "linf":
        return images + np.clip(difference, -share, share)
    if norm == "l1":
        return images + np.sign(difference) * np.maximum(np.abs(difference) - (1 - share), 0)
    return np.where(np.abs(difference) < share, far, images)


def _distance(difference: tf.Tensor, norm: str) -> tf.Tensor:
    magnitude = tf.abs(difference)
    if norm == "linf":
        return tf.reduce_max(magnitude, axis=(1, 2, 3))
    if norm == "l2":
        return tf.reduce_sum(tf.square(magnitude), axis=(1, 2, 3))
    if norm == "l1":
        return tf.reduce_sum(magnitude, axis=(1, 2, 3))
    # Pixels first; among equal numbers the smaller change.
    changed = tf.reduce_any(magnitude > 1e-6, axis=-1)
    return tf.reduce_sum(tf.cast(changed, tf.float32), axis=(1, 2)) + 1e-4 * tf.reduce_sum(magnitude, axis=(1, 2, 3))


def _nearest_on_boundary(difference, normal, wanted, low, high, radius, norm: str) -> tf.Tensor:
    """Solves the problem of a step, see above; where the boundary is out of reach, goes towards it as far as allowed."""
    shape = tf.shape(difference)
    z, b, low, high = (tf.reshape(values, (shape[0], -1)) for values in (difference, normal, low, high))
    # Unit normals: the multipliers of all samples are of one scale.
    length = tf.sqrt(tf.reduce_sum(tf.square(b), axis=1, keepdims=True))
    b, c = b / tf.maximum(length, 1e-12), wanted[:, None] / tf.maximum(length, 1e-12)
    straight = _on_boundary(lambda lam: tf.clip_by_value(lam * b, low, high), b, c)
    reachable = _length(straight) <= radius
    # Out of reach: as far along the normal as the region and the box allow.
    scale = _largest(lambda t: _length(tf.clip_by_value(t * tf.sign(c) * b, low, high)) <= radius, c, _LARGEST)
    towards = tf.clip_by_value(scale * tf.sign(c) * b, low, high)
    best = _SOLVERS[norm](z, b, c, low, high, radius, straight)
    return tf.reshape(tf.where(reachable, best, towards), shape)


def _solve_linf(z, b, c, low, high, radius, straight):
    def attempt(epsilon):
        box = tf.maximum(low, z - epsilon), tf.minimum(high, z + epsilon)
        move = _on_boundary(lambda lam: tf.clip_by_value(lam * b, *box), b, c)
        return move, tf.logical_and(_length(move) <= radius, _meets(move, b, c))

    # The image itself is within reach of epsilon = |z|, whatever the box: straight to the boundary is, too.
    lowest = tf.zeros_like(c)
    highest = tf.reduce_max(tf.abs(z - straight), axis=1, keepdims=True)
    best = straight
    for _ in range(_OUTER + 4):
        middle = (lowest + highest) / 2
        move, feasible = attempt(middle)
        best = tf.where(feasible, move, best)
        lowest, highest = tf.where(feasible, lowest, middle), tf.where(feasible, middle, highest)
    return best


def _regional(coordinate: Callable) -> Callable:
    """A solver that searches mu, the price of leaving the trust region, over `coordinate(lam, mu)`."""

    def solve(z, b, c, low, high, radius, straight):
        def attempt(log_mu):
            mu = tf.pow(10.0, log_mu)
            move = _on_boundary(lambda lam: tf.clip_by_value(coordinate(z, b, lam, mu, low, high), low, high), b, c)
            return move, tf.logical_and(_length(move) <= radius, _meets(move, b, c))

        lowest, highest, best = tf.fill(tf.shape(c), -4.0), tf.fill(tf.shape(c), 4.0), straight
        free, within = attempt(lowest)
        for _ in range(_OUTER):
            middle = (lowest + highest) / 2
            move, feasible = attempt(middle)
            best = tf.where(feasible, move, best)
            lowest, highest = tf.where(feasible, lowest, middle), tf.where(feasible, middle, highest)
        return tf.where(within, free, best)

    return solve


def _l2_coordinate(z, b, lam, mu, low, high):
    """argmin_d (z - d)^2 / 2 + mu d^2 / 2 - lam b d."""
    return (z + lam * b) / (1 + mu)


def _l1_coordinate(z, b, lam, mu, low, high):
    """argmin_d |z - d| + mu d^2 / 2 - lam b d: z itself, or up to 1 / mu from where the others would go."""
    free = lam * b / mu
    return free + tf.clip_by_value(z - free, -1 / mu, 1 / mu)


def _l0_coordinate(z, b, lam, mu, low, high):
    """argmin_d [z != d] + mu d^2 / 2 - lam b d: the image's value, or the best other one where that gains more than 1."""

    def cost(d):
        return mu * tf.square(d) / 2 - lam * b * d

    inside, free = tf.clip_by_value(z, low, high), tf.clip_by_value(lam * b / mu, low, high)
    return tf.where(cost(inside) <= 1 + cost(free), inside, free)


_SOLVERS = {
    "linf": _solve_linf,
    "l2": _regional(_l2_coordinate),
    "l1": _regional(_l1_coordinate),
    "l0": _regional(_l0_coordinate),
}


def _length(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=1, keepdims=True))


def _meets(move: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    """Whether a move reaches the linearised boundary, up to 2 %; beyond it is adversarial all the same."""
    return tf.reduce_sum(b * move, axis=1, keepdims=True) >= c - 0.02 * tf.abs(c) - 1e-6


def _on_boundary(move_of: Callable, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    """Searches lam with b . move_of(lam) = c, which grows with lam."""
    low, high = -_LARGEST * tf.ones_like(c), _LARGEST * tf.ones_like(c)
    for _ in range(_INNER):
        # Halves the exponent far from zero and the number near it.
        middle = _signed_middle(low, high)
        above = tf.reduce_sum(b * move_of(middle), axis=1, keepdims=True) >= c
        low, high = tf.where(above, low, middle), tf.where(above, middle, high)
    return move_of(high)


def _signed_middle(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """The middle of two numbers on the scale asinh(1000 x), which is linear near zero and logarithmic beyond."""
    return tf.sinh((tf.asinh(1000 * low) + tf.asinh(1000 * high)) / 2) / 1000


def _largest(holds: Callable, like: tf.Tensor, most: float) -> tf.Tensor:
    """The largest t in [0, most] for which `holds`, by bisection on a logarithmic scale."""
    low, high = tf.zeros_like(like), most * tf.ones_like(like)
    for _ in range(_INNER):
        middle = _signed_middle(low, high)
        within = holds(middle)
        low, high = tf.where(within, middle, low), tf.where(within, high, middle)
    return low
