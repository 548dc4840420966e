"""Projected gradient descent in four norms, of which a single step is a special case."""

import dataclasses
from typing import Any

from keras import ops

from cortexzoo.differentiation import batch_gradient
from cortexzoo.training.adversarial.attack_losses import AttackLoss, find_loss
from cortexzoo.training.adversarial.balls import BALLS
from cortexzoo.training.adversarial.perturbation import Batch, Perturbation


@dataclasses.dataclass(frozen=True)
class ProjectedGradient(Perturbation):
    """Steps that raise the loss, each followed by a projection (Madry et al. 2018, https://arxiv.org/abs/1706.06083).

    A single step a little longer than epsilon is the fast variant of Wong et al. (2020, https://arxiv.org/abs/2001.03994),
    FGSM from a random start. Without the random start a network learns to recognise the images of FGSM (label leaking,
    Kurakin et al. 2017) or to hide its gradient from a single step (catastrophic overfitting). It can do so even with it, so
    check the accuracy under many steps.

    Attributes:
        norm: "linf", "l2", "l1" or "l0" (pixels).
        epsilon: the radius, in units of the image range; in L0 a number of pixels.
        steps: their number.
        relative_step: length of a step in units of epsilon; in L0 how far the pixel that moves farthest does.
        random_start: whether the steps begin at a random point of the ball.
        loss: "cross_entropy", "margin", "kl", or a function; see `cortexzoo.training.adversarial.attack_losses`.

    Raises:
        ValueError: a setting has no meaning.
    """

    norm: str = "linf"
    epsilon: float = 0.3
    steps: int = 7
    relative_step: float = 0.25
    random_start: bool = True
    loss: str | AttackLoss = "cross_entropy"

    def __post_init__(self) -> None:
        if self.norm not in BALLS:
            raise ValueError(f"`norm` must be one of {', '.join(BALLS)}. Received: {self.norm!r}")
        if self.epsilon < 0.0 or self.relative_step <= 0.0 or self.steps < 1:
            raise ValueError(
                "Expected `epsilon` >= 0, `relative_step` > 0 and `steps` >= 1. "
                f"Received: epsilon={self.epsilon}, relative_step={self.relative_step}, steps={self.steps}"
            )
        find_loss(self.loss)

    def __call__(self, batch: Batch) -> Any:
        ball, loss, images = BALLS[self.norm], find_loss(self.loss), batch.images
        epsilon = self.epsilon * batch.scale
        length = self.relative_step * (batch.scale if self.norm == "l0" else epsilon)
        # Only this loss looks at the clean images; for others the pass would be in vain.
        clean = batch.logits(images) if self.loss == "kl" or callable(self.loss) else None
        points = ball.start(images, epsilon, batch.seed) if self.random_start else images
        for _ in range(self.steps):
            gradient = batch_gradient(lambda x: loss(batch.logits(x), batch.labels, clean), points)
            points = ball.project(images, ball.step(images, points, gradient, length), epsilon)
        return ops.stop_gradient(points)
