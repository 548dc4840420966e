"""The identity in the store of an attack, or of one level of a shift, on a model."""

import hashlib

from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.classifier import DIFFERENTIABLE_ENDPOINTS
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results.store import RunKey
from cortexzoo.evaluation.shifts import Shift


def endpoints(known: tuple[str, ...], attack: Attack, preferred: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Returns the endpoints that an attack runs on. A gradient-free attack sees only the model's own logits.

    Args:
        known: the model's endpoints.
        attack: the attack.
        preferred: endpoints to choose from, the best first. If empty, all of `DIFFERENTIABLE_ENDPOINTS` that the model has.
    """
    if not attack.uses_gradients:
        return ("logits",)
    if preferred:
        return (next(name for name in preferred if name in known),)
    return tuple(name for name in DIFFERENTIABLE_ENDPOINTS if name in known)


def run_keys(evaluation: Evaluation, member: Member) -> list[RunKey]:
    """Returns the identities of one attack in the store, one per attacked endpoint."""
    names = endpoints(evaluation.endpoints, member.attack, member.endpoints)
    dataset, plain = evaluation.images.info.name, settings(member.attack)
    if evaluation.targets is not None:
        plain = {**plain, "targets": hashlib.sha256(evaluation.targets.astype("<i8").tobytes()).hexdigest()}
    return [RunKey(evaluation.digest, dataset, name, evaluation.seed, plain) for name in names]


def shift_key(evaluation: Evaluation, shift: Shift, level: float) -> RunKey:
    """Returns the identity in the store of one level of a shift on a model."""
    endpoint = "+".join(evaluation.endpoints) if shift.uses_gradients else "logits"
    return RunKey(evaluation.digest, evaluation.images.info.name, endpoint, evaluation.seed, shift.settings(level))
