"""Named lists of attacks with their settings."""

import dataclasses
import difflib

from cortexzoo.evaluation.attacks import (
    SPSA,
    Attack,
    BasicIterativeMethod,
    BoundaryAttack,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    FastGradientMethod,
    MadryEtAl,
    MomentumIterativeMethod,
    NearestStart,
    ProjectedGradientDescent,
    Refined,
    Transfer,
)
from cortexzoo.evaluation.norms import THRESHOLDS
from cortexzoo.evaluation.suites import brendel_bethge_comment as comment
from cortexzoo.evaluation.suites import paper42
from cortexzoo.evaluation.suites.shifts import SHIFT_SUITES, ShiftSuite
from cortexzoo.norms import NORM_NAMES, NORMS


@dataclasses.dataclass(frozen=True)
class Member:
    """One attack of a suite.

    Attributes:
        attack: the attack with its settings.
        label: its name in tables.
        samples: at most this many of the evaluated images; None for all.
        endpoints: the first of these that a model has is attacked, and "logits" is the last; none for those that every
            suite differentiates.
    """

    attack: Attack
    label: str
    samples: int | None = None
    endpoints: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Suite:
    """A named list of attacks.

    Attributes:
        name: the name on the command line.
        description: one line for people.
        members: the attacks, cheap and strong first.
        samples: how many test images it attacks unless told otherwise.
        refined: whether the adversarials of models with a surrogate endpoint are refined, see `Refined`.
        gradients: whether the all-zero gradients among the attacked images are counted, see `diagnostics.GRADIENTS`.
    """

    name: str
    description: str
    members: tuple[Member, ...]
    samples: int
    refined: bool = False
    gradients: bool = False

    @property
    def transfers(self) -> bool:
        """Whether an attack takes its adversarials from other models."""
        return any(isinstance(member.attack, Transfer) for member in self.members)

    def transferred_from(self, sources: tuple[str, ...]) -> "Suite":
        """Returns the suite with these models of the catalogue as sources of its transfer attacks; without any for none."""

        def with_sources(member: Member) -> Member:
            transfers = isinstance(member.attack, Transfer)
            return dataclasses.replace(member, attack=member.attack.from_sources(sources)) if transfers else member

        kept = [member for member in self.members if sources or not isinstance(member.attack, Transfer)]
        return dataclasses.replace(self, members=tuple(map(with_sources, kept)))

    def members_on(self, endpoints: tuple[str, ...]) -> tuple[Member, ...]:
        """Returns the attacks as a model with these endpoints meets them.

        What has no useful gradient, and so a surrogate, is a threshold as a rule. Other models share the results of an
        attack with the suites that do not refine.
        """
        if not self.refined or "attack_logits" not in endpoints:
            return self.members
        return tuple(dataclasses.replace(member, attack=Refined(inner=member.attack)) for member in self.members)


def _both(attack_class: type, label: str) -> tuple[Member, Member]:
    return tuple(
        Member(attack_class(norm=norm, epsilon=THRESHOLDS[norm]), f"{label} {NORM_NAMES[norm]}") for norm in ("linf", "l2")
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
BOUNDARY = Suite(
    "boundary",
    "the Boundary attack to its convergence, 25,000 steps at most, and DDN, which has gradients, to hold it against",
    (Member(NearestStart(inner=BoundaryAttack()), "Boundary L2"), Member(DecoupledDirectionNorm(), "DDN L2")),
    200,
)


def _paper42(hardened: bool, l1: bool) -> Suite:
    attacks = paper42.battery(hardened) + (paper42.sparse(hardened) if l1 else [])
    members = sorted(
        (Member(attack, f"{label} {NORM_NAMES[attack.norm]}") for label, attack in attacks),
        key=lambda member: NORMS.index(member.attack.norm),
    )
    name = "paper42" + ("_l1" if l1 else "") + ("_hardened" if hardened else "")
    more = " and six for sparse norms" if hardened else " and five for L1"
    text = "42 attacks of Liu et al. (inferred)" + (more if l1 else "")
    settings = "hardened, refined on binarised models" if hardened else "with the settings of Foolbox"
    return Suite(name, f"{text}, {settings}", tuple(members), 200, refined=hardened)


PAPER42 = tuple(_paper42(hardened, l1) for hardened in (False, True) for l1 in (False, True))
COMMENT = Suite(
    "brendel_bethge_comment",
    "plain, stabilised, transferred and decision-based attacks in L∞ against vanishing gradients",
    (
        # Those that follow `logits` alone show what its gradient hides; no surrogate takes their place.
        *(Member(attack, label, endpoints=("logits",)) for label, attack in comment.plain()),
        *(Member(attack, label, endpoints=wanted) for label, attack, wanted in comment.stabilized()),
        Member(comment.transferred(), comment.TRANSFER),
        Member(comment.decisions(), comment.DECISIONS, samples=200),
    ),
    1000,
    gradients=True,
)
SUITES: dict[str, Suite] = {suite.name: suite for suite in (CLEAN, QUICK, CLEVERHANS, BOUNDARY, *PAPER42, COMMENT)}


def find(name: str) -> Suite | ShiftSuite:
    """Returns the suite called `name`, of attacks or of shifts.

    Raises:
        ValueError: there is none; the message lists close matches.
    """
    known = {**SUITES, **SHIFT_SUITES}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
        raise ValueError(f"`suite` must be one of {', '.join(known)}. Received: {name!r}. Did you mean: {', '.join(close)}?")
    return known[name]
