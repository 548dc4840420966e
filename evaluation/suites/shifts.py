"""Named lists of shifts; their levels depend on the data set."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.shifts.base import Shift
from cortexzoo.evaluation.shifts.corruptions import CORRUPTIONS, Corruption
from cortexzoo.evaluation.shifts.gradients import FastGradientTransfer, ProjectedGradient
from cortexzoo.evaluation.shifts.noise import GaussianNoise, SaltAndPepperNoise, UniformNoise

_LEVELS = 10


@dataclasses.dataclass(frozen=True)
class Source:
    """A network whose gradients are transferred.

    Attributes:
        name: for people.
        digest: SHA-256 over its files, its identity in the store.
        path: its SavedModel directory; None for one of which there are results alone.
    """

    name: str
    digest: str
    path: Path | None


@dataclasses.dataclass(frozen=True)
class ShiftMember:
    """One shift of a suite.

    Attributes:
        shift: the shift with its levels.
        label: its name in tables and figures.
        unit: what its levels are.
    """

    shift: Shift
    label: str
    unit: str


@dataclasses.dataclass(frozen=True)
class ShiftSuite:
    """A named list of shifts.

    Attributes:
        name: the name on the command line.
        description: one line for people.
        build: the shifts on a data set, given sources.
        samples: how many test images are changed unless told otherwise.
        needs_sources: whether it transfers gradients from other networks.
    """

    name: str
    description: str
    build: Callable[[DatasetInfo, tuple[Source, ...]], tuple[ShiftMember, ...]]
    samples: int
    needs_sources: bool = False

    def members_on(self, dataset: DatasetInfo, sources: tuple[Source, ...] = ()) -> tuple[ShiftMember, ...]:
        """Returns the shifts with the levels for a data set.

        Raises:
            ValueError: the suite needs sources, and there are none.
        """
        if self.needs_sources and not sources:
            raise ValueError(
                f"Expected --source=ID for the suite {self.name}: an unregularised network other than those evaluated. "
                "Received: none."
            )
        return self.build(dataset, sources)


def _is_natural(dataset: DatasetInfo) -> bool:
    """Natural images, whose classes noise of a tenth hides; digits and clothes on black stand half."""
    return dataset.tfds_name.startswith("cifar")


def _steps(most: float) -> tuple[float, ...]:
    # Rounded: the level is part of the identity in the store.
    return tuple(np.round(np.linspace(most / _LEVELS, most, _LEVELS), 6).tolist())


def _noise(dataset: DatasetInfo, sources: tuple[Source, ...]) -> tuple[ShiftMember, ...]:
    gaussian, uniform, impulses = (0.1, 0.1, 0.1) if _is_natural(dataset) else (0.5, 0.5, 0.3)
    return (
        ShiftMember(GaussianNoise(levels=_steps(gaussian)), "Gaussian noise", "standard deviation"),
        ShiftMember(UniformNoise(levels=_steps(uniform)), "Uniform noise", "half width"),
        ShiftMember(SaltAndPepperNoise(levels=_steps(impulses)), "Salt and pepper", "share of the values"),
    )


def _transfer(dataset: DatasetInfo, sources: tuple[Source, ...]) -> tuple[ShiftMember, ...]:
    levels = _steps(0.02 if _is_natural(dataset) else 0.5)
    members = []
    for source in sources:
        shift = FastGradientTransfer(source=source.path, digest=source.digest, dataset=dataset, levels=levels)
        members.append(ShiftMember(shift, f"FGSM of {source.name}", "ε, L∞"))
    return tuple(members)


def _corruptions(dataset: DatasetInfo, sources: tuple[Source, ...]) -> tuple[ShiftMember, ...]:
    return tuple(
        ShiftMember(Corruption(kind=kind), kind.replace("_", " ").capitalize().replace("Jpeg", "JPEG"), "severity")
        for kind in CORRUPTIONS
    )


def _white_box(dataset: DatasetInfo, sources: tuple[Source, ...]) -> tuple[ShiftMember, ...]:
    # Up to the usual thresholds, and down to where networks keep something that were not trained against attacks.
    if _is_natural(dataset):
        linf, l2 = tuple(eps / 255 for eps in (0.25, 0.5, 1, 2, 4, 8)), (0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
    else:
        linf, l2 = (0.005, 0.01, 0.02, 0.05, 0.1, 0.3), (0.1, 0.2, 0.5, 1.0, 1.5, 3.0)
    return (
        ShiftMember(ProjectedGradient(norm="linf", levels=linf), "PGD L∞", "ε, L∞"),
        ShiftMember(ProjectedGradient(norm="l2", levels=l2), "PGD L2", "ε, L2"),
    )


NOISE = ShiftSuite("noise", "Gaussian, uniform and salt-and-pepper noise at ten levels", _noise, 1000)
TRANSFER = ShiftSuite("transfer", "FGSM at ten levels, made on the networks of --source", _transfer, 1000, True)
CORRUPTION = ShiftSuite("corruptions", "15 common corruptions at five severities", _corruptions, 1000)
WHITE_BOX = ShiftSuite("white_box", "PGD-40 in L∞ and L2 at six radii, the worse of two losses", _white_box, 500)
SHIFT_SUITES: dict[str, ShiftSuite] = {suite.name: suite for suite in (NOISE, TRANSFER, CORRUPTION, WHITE_BOX)}
