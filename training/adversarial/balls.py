"""The balls of four norms within the box [0, 1]: where an attack starts, how it steps, and what brings it back.

All functions take and return float tensors, (batch, height, width, channels). A step moves by a given length in the ball's
own norm in the direction in which the loss rises fastest.
"""

from typing import Any, Protocol

import keras
from keras import ops

# A step in L1 is shared by this many of the coordinates, about 20 of 784; Maini et al. (2020) move 5 to 20. One alone, the
# steepest ascent, would need as many steps as coordinates to change.
_L1_SHARE = 1 / 40
_BISECTIONS = 30


class Ball(Protocol):
    """The points of the box within epsilon of their images in one norm."""

    def start(self, images: Any, epsilon: Any, seed: keras.random.SeedGenerator) -> Any:
        """Returns random points of the ball."""

    def step(self, images: Any, points: Any, gradient: Any, length: Any) -> Any:
        """Returns the points moved along the gradient by `length`; they may leave the ball and the box."""

    def project(self, images: Any, points: Any, epsilon: Any) -> Any:
        """Returns points of the ball: the nearest ones, or near ones where a comment says so."""


class LinfBall:
    """Each value may move by epsilon."""

    def start(self, images: Any, epsilon: Any, seed: keras.random.SeedGenerator) -> Any:
        noise = keras.random.uniform(ops.shape(images), -1.0, 1.0, seed=seed)
        return self.project(images, images + epsilon * noise, epsilon)

    def step(self, images: Any, points: Any, gradient: Any, length: Any) -> Any:
        return points + length * ops.sign(gradient)

    def project(self, images: Any, points: Any, epsilon: Any) -> Any:
        return ops.clip(points, ops.maximum(images - epsilon, 0.0), ops.minimum(images + epsilon, 1.0))


class L2Ball:
    """The Euclidean distance is at most epsilon."""

    def start(self, images: Any, epsilon: Any, seed: keras.random.SeedGenerator) -> Any:
        noise = keras.random.normal(ops.shape(images), seed=seed)
        radius = epsilon * keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=seed)
        return ops.clip(images + radius * _unit(noise), 0.0, 1.0)

    def step(self, images: Any, points: Any, gradient: Any, length: Any) -> Any:
        return points + length * _unit(gradient)

    def project(self, images: Any, points: Any, epsilon: Any) -> Any:
        # First the ball, then the box: clipping moves no coordinate away from its image. It is not the nearest point.
        moves = points - images
        return ops.clip(images + moves * ops.minimum(1.0, epsilon / ops.maximum(_length(moves), 1e-12)), 0.0, 1.0)


class L1Ball:
    """The changes add up to epsilon at most."""

    def start(self, images: Any, epsilon: Any, seed: keras.random.SeedGenerator) -> Any:
        # Laplace noise, divided by its L1 norm, is uniform on the sphere.
        shape = ops.shape(images)
        size = -ops.log(keras.random.uniform(shape, 1e-7, 1.0, seed=seed))
        noise = size * ops.sign(keras.random.uniform(shape, -1.0, 1.0, seed=seed))
        radius = epsilon * keras.random.uniform((shape[0], 1, 1, 1), seed=seed)
        return ops.clip(images + radius * noise / _sum(ops.abs(noise)), 0.0, 1.0)

    def step(self, images: Any, points: Any, gradient: Any, length: Any) -> Any:
        """Moves the coordinates with the largest gradients that have room to move, all by the same amount."""
        direction = ops.sign(gradient)
        has_room = ops.where(direction > 0.0, points < 1.0, points > 0.0)
        sizes = ops.where(has_room, ops.abs(gradient), 0.0)
        count = max(1, round(_L1_SHARE * _size(gradient)))
        least = ops.min(ops.top_k(_flat(sizes), count)[0], axis=1)[:, None, None, None]
        chosen = ops.cast(ops.logical_and(sizes >= least, sizes > 0.0), gradient.dtype)
        return points + length * direction * chosen / ops.maximum(_sum(chosen), 1.0)

    def project(self, images: Any, points: Any, epsilon: Any) -> Any:
        """The nearest point within ball and box (Croce and Hein 2021, https://arxiv.org/abs/2103.01208, section 3.1).

        A coordinate that moved by m, with room r in this direction, ends at a(t) = min(max(|m| - t, 0), r), where t >= 0 is
        the least with sum a(t) <= epsilon. Bisection finds it from above, so that the sum never exceeds epsilon.
        """
        moves = points - images
        room = ops.where(moves > 0.0, 1.0 - images, images)
        sizes = ops.abs(moves)

        def amounts(t: Any) -> Any:
            return ops.minimum(ops.maximum(sizes - t, 0.0), room)

        def halve(_: Any, bracket: Any) -> Any:
            low, high = bracket
            middle = (low + high) / 2
            fits = _sum(amounts(middle)) <= epsilon
            return ops.where(fits, low, middle), ops.where(fits, middle, high)

        high = ops.max(sizes, axis=(1, 2, 3), keepdims=True)
        _, threshold = ops.fori_loop(0, _BISECTIONS, halve, (ops.zeros_like(high), high))
        # A point within the ball stays where it is.
        threshold = ops.where(_sum(amounts(ops.zeros_like(high))) <= epsilon, 0.0, threshold)
        return images + ops.sign(moves) * amounts(threshold)


class L0Ball:
    """At most epsilon pixels change, all channels of a pixel together; how far is free."""

    def start(self, images: Any, epsilon: Any, seed: keras.random.SeedGenerator) -> Any:
        colours = keras.random.uniform(ops.shape(images), seed=seed)
        ranks = _ranks(keras.random.uniform(ops.shape(images)[:-1], seed=seed))
        return ops.where(ranks < _pixels(epsilon), colours, images)

    def step(self, images: Any, points: Any, gradient: Any, length: Any) -> Any:
        """Moves by the gradient, divided by its largest value: `length` is that of the pixel that moves farthest.

        After PGD_0 of Croce and Hein (2019, https://arxiv.org/abs/1909.05040), who divide it by its L1 norm.
        """
        return points + length * gradient / ops.maximum(ops.max(ops.abs(gradient), axis=(1, 2, 3), keepdims=True), 1e-30)

    def project(self, images: Any, points: Any, epsilon: Any) -> Any:
        """Keeps the pixels that moved farthest (Croce and Hein 2019, section 2)."""
        points = ops.clip(points, 0.0, 1.0)
        ranks = _ranks(ops.sum(ops.square(points - images), axis=-1))
        return ops.where(ranks < _pixels(epsilon), points, images)


BALLS: dict[str, Ball] = {"linf": LinfBall(), "l2": L2Ball(), "l1": L1Ball(), "l0": L0Ball()}


def _sum(values: Any) -> Any:
    return ops.sum(values, axis=(1, 2, 3), keepdims=True)


def _length(values: Any) -> Any:
    return ops.sqrt(_sum(ops.square(values)))


def _unit(values: Any) -> Any:
    """Values divided by their L2 norm, after the largest, so that the squares of tiny ones do not round to zero."""
    values = values / ops.maximum(ops.max(ops.abs(values), axis=(1, 2, 3), keepdims=True), 1e-30)
    return values / ops.maximum(_length(values), 1e-12)


def _size(values: Any) -> int:
    return int(values.shape[1] * values.shape[2] * values.shape[3])


def _flat(values: Any) -> Any:
    return ops.reshape(values, (ops.shape(values)[0], _size(values)))


def _ranks(values: Any) -> Any:
    """The place of each pixel, from 0, when those of an image are sorted from the largest; (batch, height, width, 1)."""
    shape = ops.shape(values)
    order = ops.argsort(-ops.reshape(values, (shape[0], values.shape[1] * values.shape[2])), axis=1)
    return ops.reshape(ops.argsort(order, axis=1), (*shape, 1))


def _pixels(epsilon: Any) -> Any:
    """The number of pixels; what floating-point arithmetic leaves below a whole number counts as it."""
    return ops.cast(ops.floor(ops.convert_to_tensor(epsilon) + 1e-4), "int32")
