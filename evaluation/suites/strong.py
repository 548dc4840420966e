"""The strongest attacks known here: AutoAttack in four norms, attacks that minimise the distance, and adaptive ones.

Without its results a model has no robust accuracy, see `worst_case`. In each norm AutoAttack comes first, then what may
break the images that are left. In L0, for which AutoAttack has no attack, Sparse-RS takes its place. The fast minimum-norm
attack runs on the first images, broken or not, for their distances.

Further attacks are chosen by what a model is (Tramèr et al. 2020, https://arxiv.org/abs/2002.08347): by its endpoints, by
whether it thresholds its input, by whether it reconstructs the image for each class, and by the other models of its
data set.
"""

from cortexzoo import catalog
from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import (
    Attack,
    AutoPGD,
    BrendelBethge,
    FastGradientMethod,
    FastMinimumNorm,
    LatentDescent,
    MomentumIterativeMethod,
    PixelBeam,
    Refined,
    RescaledGradientAttack,
    SparseRS,
    ThresholdAscent,
    Transfer,
)
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.classifier import STABILIZED_ENDPOINTS
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model, plain_twin
from cortexzoo.evaluation.suites import standard
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.standard import in_a_row
from cortexzoo.norms import NORM_NAMES, NORMS

# Of the first images, so many have their distance minimised, and for so many every pixel is tried.
_FIRST, _FEW = 100, 10
# Adversarial images come from so many other models.
_SOURCES = 3


def _members(info: DatasetInfo) -> tuple[Member, ...]:
    sparse = SparseRS(epsilon=info.thresholds["l0"], queries=2000)
    return (*standard.members(info), *in_a_row([("Sparse-RS", sparse)], info.thresholds["l0"]))


def _adaptive(evaluation: Evaluation, info: DatasetInfo) -> tuple[Member, ...]:
    threshold = evaluation.input_threshold
    found = [*_minimal(threshold, info), *_scales(info), *_rescaled(info), *_transferred(info)]
    if any(name in evaluation.endpoints for name in STABILIZED_ENDPOINTS):
        found += _stabilized(info)
    if evaluation.reconstructs:
        found += in_a_row([("Latent descent", LatentDescent())], info.thresholds["l2"])
    return (*found, *(_searches(info) if threshold is None else _across(threshold, info)))


def _minimal(threshold: float | None, info: DatasetInfo) -> list[Member]:
    """Attacks that minimise the distance: one for the distances, and one for images that are left."""
    members = []
    for norm in NORMS:
        attacks: list[Attack] = [FastMinimumNorm(norm=norm), BrendelBethge(norm=norm)]
        if threshold is not None:
            attacks = [Refined(inner=attack, threshold=threshold) for attack in attacks]
        members.append(Member(attacks[0], f"FMN {NORM_NAMES[norm]}", _FIRST))
        members += in_a_row([("Brendel-Bethge", attacks[1])], info.thresholds[norm])
    return members


def _scales(info: DatasetInfo) -> list[Member]:
    """Other losses: where logits are small, as ratios are, the softmax is flat; and each class by its logit alone.

    The targeted margin raises one class and lowers the true one. In a model with an autoencoder for each class, that raises
    one internal model and lowers the other.
    """
    members = []
    for norm in ("linf", "l2", "l1"):
        common: dict = {"norm": norm, "epsilon": info.thresholds[norm], "large_radii": norm == "l1"}
        attacks: list[tuple[str, Attack]] = [
            ("APGD-CE x 10", AutoPGD(logit_scale=10.0, **common)),
            ("APGD margin-T", AutoPGD(loss="targeted_margin", target_classes=3, **common)),
        ]
        members += in_a_row(attacks, info.thresholds[norm])
    return members


def _rescaled(info: DatasetInfo) -> list[Member]:
    """Steps that no vanishing gradient stops, in Linf."""
    epsilon, classes = info.thresholds["linf"], min(info.num_classes - 1, 9)
    sizes = (epsilon,)
    margin = RescaledGradientAttack(epsilons=sizes, steps=60, restarts=2)
    targeted = RescaledGradientAttack(epsilons=sizes, steps=20, restarts=classes, loss="targeted_margin")
    endpoints = ("logits_softened", "logits_stable", "logits_float64", "logits")
    attacks = [("Rescaled margin", margin), ("Rescaled margin-T", targeted)]
    return [Member(attack, f"{name} L∞", endpoints=endpoints, leaves_at=epsilon) for name, attack in attacks]


def _stabilized(info: DatasetInfo) -> list[Member]:
    """For units that saturate, so that the gradient underflows."""
    members = []
    for norm in ("linf", "l2", "l1"):
        epsilon = info.thresholds[norm]
        attack = AutoPGD(norm=norm, epsilon=epsilon, loss="margin", restarts=2)
        for name in ("logits_stable", "logits_softened"):
            endpoints = (name, "logits_float64", "logits")
            label = f"APGD {name.removeprefix('logits_')} {NORM_NAMES[norm]}"
            members.append(Member(attack, label, endpoints=endpoints, leaves_at=epsilon))
    return members


def _searches(info: DatasetInfo) -> list[Member]:
    """For pixels that no gradient ranks."""
    sizes = {norm: info.thresholds[norm] for norm in ("l1", "l0")}
    attacks = {norm: PixelBeam(norm=norm, epsilon=size, width=2) for norm, size in sizes.items()}
    return [member for norm in sizes for member in in_a_row([("Pixel beam", attacks[norm])], sizes[norm], _FEW)]


def _across(threshold: float, info: DatasetInfo) -> list[Member]:
    """For models that see of their input only what is beyond a threshold."""
    members = []
    for norm in NORMS:
        common: dict = {"norm": norm, "epsilon": info.thresholds[norm], "threshold": threshold}
        # In L-infinity few values are within reach of the threshold. In other norms each may flip, and a step asks for each.
        walk = {"flips": 40, "walks": 4} if norm == "linf" else {"flips": 5, "walks": 2}
        # Gradients of all endpoints: the straight-through one, and that of the steep sigmoid.
        members += in_a_row([("Ascent", ThresholdAscent(**common, **walk))], common["epsilon"], endpoints=())
    return members


def _transferred(info: DatasetInfo) -> list[Member]:
    members = []
    for norm in ("linf", "l2"):
        epsilon = info.thresholds[norm]
        common: dict = {"norm": norm, "epsilon": epsilon, "loss": "margin"}
        steps = MomentumIterativeMethod(steps=20, relative_step=0.1, **common)
        attack = Transfer(attacks=(FastGradientMethod(**common), steps), epsilons=(epsilon,))
        members += in_a_row([("Transfer", attack)], epsilon)
    return members


def _sources(model: Model) -> tuple[str, ...]:
    """The model's plain twin, and the most accurate plain networks of other families on the same images."""
    cards = [card for card in catalog.list_models() if card.dataset == model.dataset and not card.variant]
    best = {card.family: card for card in sorted(cards, key=lambda card: card.clean_accuracy or 0.0)}
    others = [card.id for family, card in best.items() if family != model.family]
    return (*plain_twin(model), *sorted(others)[:_SOURCES])


STRONG = AttackSuite(
    "strong",
    "the strongest attacks in four norms, also those made for a kind of model; gives a model its robust accuracy",
    500,
    _members,
    sources=_sources,
    adaptive=_adaptive,
    diagnoses=True,
)
SUITES = (STRONG,)
