"""The gradient disagrees with what small steps really change: thresholds, rounding, shattered or made-up gradients."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

_DIRECTIONS = 8
# Half the length of the differences, as shares of the threshold: curvature spoils long ones, and rounding spoils short ones.
_STEPS = (1 / 256, 1 / 64, 1 / 16, 1 / 4)
# Likewise.
_NOISE = 0.25
_AGREES = 0.5


def _measure(subject: Subject) -> Measurement:
    predicted, measured = derivatives(subject)
    errors = np.linalg.norm(measured - predicted, axis=1)
    sizes = np.maximum(np.linalg.norm(measured, axis=1), np.linalg.norm(predicted, axis=1))
    # Where nothing changes and nothing is predicted, that step tells nothing.
    relative = np.divide(errors, sizes, out=np.full_like(errors, np.inf), where=sizes > 0.0)
    return {"value": float(np.mean(relative.min(axis=0) > _AGREES)), "samples": len(subject)}


def derivatives(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Returns directional derivatives of the margin: predicted by the gradient, and as central differences.

    Each row of random signs is a direction. The differences are taken around images that leave room for them in [0, 1].

    Returns:
        Two arrays, float64, (steps, directions, n).
    """
    generator, images = np.random.default_rng(subject.batch.seed), subject.batch.images
    signs = generator.choice(np.array([-1.0, 1.0], np.float32), (_DIRECTIONS, *images.shape))
    predicted, measured = [], []
    for step in subject.epsilon * np.array(_STEPS):
        # Noise, as networks have kinks where many pixels are equal, black or white.
        room = step + _NOISE * subject.epsilon * generator.random(images.shape)
        centres = np.clip(images, room, 1.0 - room).astype(np.float32)
        _, gradient = subject.margins_and_gradients(centres)
        predicted.append(np.einsum("nhwc,dnhwc->dn", gradient, signs, dtype=np.float64))
        ends = [subject.margins((centres + way * step * signs).astype(np.float32)) for way in (1.0, -1.0)]
        measured.append((ends[0] - ends[1]) / (2.0 * step))
    return np.stack(predicted), np.stack(measured)


SIGN = Sign(
    "finite_differences",
    "Gradient disagrees with finite differences",
    _measure,
    lambda m: share_of_images(m, "at every step size"),
)
