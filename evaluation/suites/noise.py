"""Noise at ten levels."""

import numpy as np

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.shifts import GaussianNoise, SaltAndPepperNoise, UniformNoise
from cortexzoo.evaluation.shifts.member import ShiftMember
from cortexzoo.evaluation.suites.shift_suite import ShiftSuite

_LEVELS = 10


def ten_levels(most: float) -> tuple[float, ...]:
    """Returns ten evenly spaced levels up to `most`."""
    # Rounded, because the level is part of the identity in the store.
    return tuple(np.round(np.linspace(most / _LEVELS, most, _LEVELS), 6).tolist())


def _members(info: DatasetInfo, sources: tuple[Model, ...]) -> tuple[ShiftMember, ...]:
    # Noise of 0.1 already hides the classes of natural images; digits and clothes on black withstand 0.5.
    gaussian, uniform, impulses = (0.1, 0.1, 0.1) if info.natural else (0.5, 0.5, 0.3)
    return (
        ShiftMember(GaussianNoise(levels=ten_levels(gaussian)), "Gaussian noise", "standard deviation"),
        ShiftMember(UniformNoise(levels=ten_levels(uniform)), "Uniform noise", "half width"),
        ShiftMember(SaltAndPepperNoise(levels=ten_levels(impulses)), "Salt and pepper", "share of the values"),
    )


NOISE = ShiftSuite("noise", "Gaussian, uniform and salt-and-pepper noise at ten levels", 1000, _members)
SUITES = (NOISE,)
