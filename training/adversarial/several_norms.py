"""Robustness in several norms at once: the worst of several attacks, all of them, or steepest descent in their union.

Tramèr and Boneh (2019, https://arxiv.org/abs/1904.13000) train on the worst or on all; Maini et al. (2020,
https://arxiv.org/abs/1909.04068) choose the norm anew at each step.
"""

import dataclasses
from typing import Any

from keras import ops

from cortexzoo.differentiation import batch_gradient
from cortexzoo.training.adversarial.attack_losses import AttackLoss, find_loss
from cortexzoo.training.adversarial.balls import BALLS
from cortexzoo.training.adversarial.perturbation import Batch, Perturbation
from cortexzoo.training.adversarial.projected_gradient import ProjectedGradient


@dataclasses.dataclass(frozen=True)
class WorstOf(Perturbation):
    """Of several perturbations of an image the one with the highest loss: the "max" strategy.

    Attributes:
        perturbations: each with one copy.
        loss: what is compared; see `ProjectedGradient`.
    """

    perturbations: tuple[Perturbation, ...]
    loss: str | AttackLoss = "cross_entropy"

    def __post_init__(self) -> None:
        _check(self.perturbations)

    def __call__(self, batch: Batch) -> Any:
        return _worst(batch, [perturbation(batch) for perturbation in self.perturbations], find_loss(self.loss))


@dataclasses.dataclass(frozen=True)
class AllOf(Perturbation):
    """All of several perturbations of an image: the "average" strategy. The batch grows by as many times.

    Attributes:
        perturbations: each with one copy.
    """

    perturbations: tuple[Perturbation, ...]

    def __post_init__(self) -> None:
        _check(self.perturbations)

    @property
    def copies(self) -> int:  # type: ignore[override]
        return len(self.perturbations)

    def __call__(self, batch: Batch) -> Any:
        return ops.concatenate([perturbation(batch) for perturbation in self.perturbations])


@dataclasses.dataclass(frozen=True)
class SteepestDescent(Perturbation):
    """Multi steepest descent: at each step every norm proposes a point of its ball, and the worst one is kept.

    A step costs one gradient and a forward pass for each norm.

    Attributes:
        attacks: one for each norm. Their epsilon and relative step count; their loss and number of steps do not.
        steps: their number.
        loss: what rises; see `ProjectedGradient`.
    """

    attacks: tuple[ProjectedGradient, ...]
    steps: int = 10
    loss: str | AttackLoss = "cross_entropy"

    def __post_init__(self) -> None:
        _check(self.attacks)
        if self.steps < 1:
            raise ValueError(f"Expected `steps` >= 1. Received: {self.steps}")

    def __call__(self, batch: Batch) -> Any:
        loss = find_loss(self.loss)
        clean = batch.logits(batch.images)
        starts = [
            BALLS[attack.norm].start(batch.images, attack.epsilon * batch.scale, batch.seed) for attack in self.attacks
        ]
        points = _worst(batch, starts, loss, clean)
        for _ in range(self.steps):
            gradient = batch_gradient(lambda x: loss(batch.logits(x), batch.labels, clean), points)
            points = _worst(batch, [_proposal(attack, batch, points, gradient) for attack in self.attacks], loss, clean)
        return ops.stop_gradient(points)


def _proposal(attack: ProjectedGradient, batch: Batch, points: Any, gradient: Any) -> Any:
    ball, epsilon = BALLS[attack.norm], attack.epsilon * batch.scale
    length = attack.relative_step * (batch.scale if attack.norm == "l0" else epsilon)
    return ball.project(batch.images, ball.step(batch.images, points, gradient, length), epsilon)


def _worst(batch: Batch, candidates: list[Any], loss: AttackLoss, clean: Any = None) -> Any:
    """Returns of each image's candidates the one with the highest loss."""
    clean = batch.logits(batch.images) if clean is None else clean
    losses = ops.stack([loss(batch.logits(points), batch.labels, clean) for points in candidates])
    best = ops.argmax(losses, axis=0)
    chosen = candidates[0]
    for i, points in enumerate(candidates[1:], start=1):
        chosen = ops.where((best == i)[:, None, None, None], points, chosen)
    return ops.stop_gradient(chosen)


def _check(perturbations: tuple[Perturbation, ...]) -> None:
    if not perturbations or any(perturbation.copies != 1 for perturbation in perturbations):
        raise ValueError(f"Expected at least one perturbation, each with one copy of an image. Received: {perturbations}")
