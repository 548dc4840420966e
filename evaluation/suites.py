"""Named lists of attacks with their settings."""

import dataclasses
import difflib

from evaluation.attacks import (
    SPSA,
    Attack,
    BasicIterativeMethod,
    CarliniWagnerL2,
    FastGradientMethod,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
)


@dataclasses.dataclass(frozen=True)
class Member:
    """One attack of a suite.

    Attributes:
        attack: the attack with its settings.
        label: its name in tables.
        samples: at most this many of the evaluated images; None for all.
    """

    attack: Attack
    label: str
    samples: int | None = None


@dataclasses.dataclass(frozen=True)
class Suite:
    """A named list of attacks.

    Attributes:
        name: the name on the command line.
        description: one line for people.
        members: the attacks, cheap and strong first.
        samples: how many test images it attacks unless told otherwise.
    """

    name: str
    description: str
    members: tuple[Member, ...]
    samples: int


# The thresholds of Schott et al. and Liu et al. on MNIST; elsewhere they are a convention of ours.
THRESHOLDS = {"linf": 0.3, "l2": 1.5, "l1": 8.0, "l0": 12.0}


def _both(attack_class: type, label: str, **options: object) -> tuple[Member, Member]:
    return tuple(
        Member(attack_class(norm=norm, epsilon=THRESHOLDS[norm], **options), f"{label} {name}")
        for norm, name in (("linf", "L∞"), ("l2", "L2"))
    )


_FAST_GRADIENT_L1 = Member(FastGradientMethod(norm="l1", epsilon=THRESHOLDS["l1"]), "FGM L1")
CLEAN = Suite("clean", "clean accuracy on the whole test split, no attack", (), 0)
QUICK = Suite(
    "quick",
    "FGM and PGD-40, a minute for one model",
    (*_both(ProjectedGradientDescent, "PGD"), *_both(FastGradientMethod, "FGM"), _FAST_GRADIENT_L1),
    200,
)
CLEVERHANS = Suite(
    "cleverhans",
    "every attack of CleverHans at full strength",
    (
        *_both(ProjectedGradientDescent, "PGD"),
        *_both(MadryEtAl, "Madry"),
        *_both(BasicIterativeMethod, "BIM"),
        *_both(MomentumIterativeMethod, "MIM"),
        *_both(FastGradientMethod, "FGM"),
        _FAST_GRADIENT_L1,
        Member(CarliniWagnerL2(), "C&W L2", samples=200),
        Member(SPSA(epsilon=THRESHOLDS["linf"]), "SPSA L∞", samples=200),
    ),
    1000,
)
SUITES: dict[str, Suite] = {suite.name: suite for suite in (CLEAN, QUICK, CLEVERHANS)}


def find(name: str) -> Suite:
    """Returns the suite called `name`.

    Raises:
        ValueError: there is none; the message lists close matches.
    """
    if name not in SUITES:
        close = difflib.get_close_matches(name, SUITES, n=3, cutoff=0.4) or list(SUITES)
        raise ValueError(
            f"`suite` must be one of {', '.join(SUITES)}. Received: {name!r}. Did you mean: {', '.join(close)}?"
        )
    return SUITES[name]
