"""AutoPGD written down from the two papers for one image at a time, in NumPy and without regard to speed."""

from collections.abc import Callable

import numpy as np

# An image to its loss and its gradient.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def project(image: np.ndarray, point: np.ndarray, epsilon: float, norm: str) -> np.ndarray:
    """Onto the ball, then onto the box; in L1 onto their intersection, by bisection."""
    move = point - image
    if norm == "linf":
        move = np.clip(move, -epsilon, epsilon)
    if norm == "l2":
        move = move * min(1.0, epsilon / max(np.linalg.norm(move), 1e-300))
    if norm == "l1":
        room = np.where(move > 0, 1.0 - image, image)

        def shortened(threshold: float) -> np.ndarray:
            return np.minimum(np.maximum(np.abs(move) - threshold, 0.0), room)

        low, high = 0.0, np.abs(move).max()
        for _ in range(100 if shortened(0.0).sum() > epsilon else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if shortened(middle).sum() > epsilon else (low, middle)
        move = np.sign(move) * shortened(high if low else 0.0)
    return np.clip(image + move, 0.0, 1.0)


def auto_pgd(
    image: np.ndarray, start: np.ndarray, objective: Objective, epsilon: float, steps: int, norm: str
) -> np.ndarray:
    """Algorithm 1 of https://arxiv.org/abs/2003.01690: the images of all steps, (steps + 1, ...)."""
    size, path = 2 * epsilon, [start]
    checkpoints, window = [0], max(int(0.22 * steps), 1)
    while checkpoints[-1] + window <= steps:
        checkpoints.append(checkpoints[-1] + window)
        window = max(window - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
    current, previous = start, start
    value, gradient = objective(current)
    best, best_value, best_gradient = current, value, gradient
    sizes, bests, rises = [size], [best_value], 0
    for step in range(1, steps + 1):
        direction = np.sign(gradient) if norm == "linf" else gradient / np.linalg.norm(gradient)
        stepped = project(image, current + size * direction, epsilon, norm)
        alpha = 1.0 if step == 1 else 0.75
        following = current + alpha * (stepped - current) + (1 - alpha) * (current - previous)
        previous, current = current, project(image, following, epsilon, norm)
        path.append(current)
        before, (value, gradient) = value, objective(current)
        rises += value > before
        if value > best_value:
            best, best_value, best_gradient = current, value, gradient
        if step in checkpoints:
            passed = step - checkpoints[checkpoints.index(step) - 1]
            unchanged = len(sizes) > 1 and sizes[-1] == sizes[-2] and best_value == bests[-1]
            if rises < 0.75 * passed or unchanged:
                size /= 2
                current, value, gradient = best, best_value, best_gradient
            sizes.append(size)
            bests.append(best_value)
            rises = 0
    return np.array(path)


def sparse_auto_pgd(
    image: np.ndarray, start: np.ndarray, objective: Objective, epsilon: float, steps: int, count: float, changed: float
) -> np.ndarray:
    """Algorithm 1 of https://arxiv.org/abs/2103.01208 within one radius: the images of all steps."""
    size, path, current = epsilon, [start], start
    value, gradient = objective(current)
    best, best_value, best_gradient = current, value, gradient
    for step in range(1, steps + 1):
        slope = np.where(np.where(gradient > 0, current < 1, current > 0), np.abs(gradient), 0.0)
        chosen = np.argsort(-slope, axis=None, kind="stable")[: max(round(count), 1)]
        signs = np.zeros(image.size)
        signs[chosen] = np.sign(gradient.ravel()[chosen]) * (slope.ravel()[chosen] > 0)
        move = size * signs.reshape(image.shape) / max(np.abs(signs).sum(), 1)
        current = project(image, current + move, epsilon, "l1")
        path.append(current)
        value, gradient = objective(current)
        if value > best_value:
            best, best_value, best_gradient = current, value, gradient
        if step % max(int(0.04 * steps), 1) == 0:
            now = np.sum(np.abs(best - image) > 1e-6)
            count = now / 1.5
            if now < 0.95 * changed:
                size, current, gradient = epsilon, best, best_gradient
            else:
                size = max(size / 1.5, epsilon / 10)
            changed = now
    return np.array(path)
