"""CleverHans' gradient attacks with a radius for each sample, in compiled loops that drop the samples that are done.

CleverHans 4.0.0 takes one epsilon for the whole batch, checks it with Python asserts, and carries every sample to the end.
Here its own update rules, `optimize_linear` and `clip_eta`, run with one epsilon a sample, and a sample stops at its first
adversarial iterate. For one common epsilon the iterates are those of CleverHans' own functions, as tests show. Tiny
gradients are the exception: there CleverHans' floor under the L2 norm shortens the steps, which here keep their length.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf
from cleverhans.tf2.utils import clip_eta, optimize_linear

from cortexzoo.evaluation.attacks.base import Batch, Choices, EpsilonSearch, random_directions
from cortexzoo.evaluation.attacks.tensors import LOSSES, clearly_wrong, input_gradient, near_one, wide
from cortexzoo.evaluation.classifier import Classifier

# CleverHans names its norms like NumPy.
_ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
# Steps between two checks for finished samples: often enough to save work, rarely enough to cost nothing.
_BLOCK = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientAttack(EpsilonSearch):
    """Steps of steepest ascent on the loss within a ball: FGM, BIM, PGD, Madry's attack and MIM differ in the settings.

    Attributes:
        steps: int.
        relative_step: step size as a share of epsilon.
        random_start: start from a uniformly random point of the ball.
        decay: momentum of MIM; None for no momentum.
        loss: "cross_entropy" as in CleverHans, or "margin" (best wrong logit minus the true one).
        logit_scale: factor on the logits inside the cross-entropy, against flat or saturated softmaxes.
        restarts: int. Runs from different random starts; the first success counts.
    """

    name: ClassVar[str] = "cleverhans/gradient_attack"
    choices: ClassVar[Choices] = {"norm": ("linf", "l2"), "loss": LOSSES}

    steps: int
    relative_step: float
    random_start: bool = False
    decay: float | None = None
    loss: str = "cross_entropy"
    logit_scale: float = 1.0
    restarts: int = 1

    @property
    def version(self) -> int:
        """2 where version 1 took shorter steps along small gradients."""
        return 2 if self.norm == "l2" and self.decay is None else 1

    def perturb(self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int) -> np.ndarray:
        """See `EpsilonSearch.perturb`."""
        results = batch.images.copy()
        remaining = np.arange(len(batch))
        for restart in range(self.restarts):
            # Convolutions refuse an empty batch.
            if len(remaining) == 0:
                break
            images = self._ascend(
                classifier, endpoint, batch.take(remaining), epsilon[remaining], draw * self.restarts + restart
            )
            results[remaining] = images
            if restart + 1 < self.restarts:
                remaining = remaining[~classifier.misclassifies(images, batch.labels[remaining])]
        return results

    def maximize(self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray) -> np.ndarray:
        """Returns images within `epsilon` (float32, (n,)) after all steps, whether they were adversarial before or not.

        For transfer: an image that has only just crossed this model's boundary rarely crosses that of another.
        """
        return self._ascend(classifier, endpoint, batch, epsilon, 0, stops=False)

    def _ascend(
        self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, stream: int, stops: bool = True
    ) -> np.ndarray:
        # Attacks of another size or length share what is compiled.
        alike = dataclasses.replace(self, epsilon=1.0, rounds=1, tolerance=1.0, steps=1, restarts=1, random_start=False)
        advance = classifier.compiled((alike, endpoint, stops), lambda: self._build(classifier, endpoint, stops))
        radius = epsilon[:, None, None, None]
        start = batch.images
        if self.random_start:
            start = np.clip(start + radius * random_directions(batch, self.norm, stream), 0.0, 1.0)
        results = start.copy()
        active = np.arange(len(batch))
        state = [tf.constant(values) for values in (batch.images, start, np.zeros_like(start), batch.labels, radius)]
        for first in range(0, self.steps, _BLOCK):
            images, current, momentum, labels, radius = state
            steps = min(_BLOCK, self.steps - first)
            current, momentum, done = advance(images, current, momentum, labels, radius, steps)
            results[active] = current.numpy()
            kept = np.flatnonzero(~done.numpy())
            if len(kept) == 0:
                break
            active = active[kept]
            state = [tf.gather(values, kept) for values in (images, current, momentum, labels, radius)]
        return results

    def _build(self, classifier: Classifier, endpoint: str, stops: bool) -> Callable:
        decisive = classifier.endpoint("logits")
        gradient_of = input_gradient(classifier.endpoint(endpoint), self.loss, self.logit_scale)
        image = tf.TensorSpec((None, *classifier.image_shape), tf.float32)
        signature = [
            image,
            image,
            image,
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None, 1, 1, 1), tf.float32),
            tf.TensorSpec((), tf.int32),
        ]

        def step(images, current, momentum, labels, radius, done):
            logits, gradient = gradient_of(current, labels)
            if stops:
                # A surrogate endpoint may decide otherwise; the model's own decision counts.
                decision = logits if endpoint == "logits" else decisive(current)
                done = tf.logical_or(done, clearly_wrong(decision, labels, classifier.noise))
            moved, momentum = self._update(images, current, momentum, gradient, radius)
            return tf.where(wide(done), current, moved), momentum, done

        @tf.function(input_signature=signature, autograph=False)
        def advance(images, current, momentum, labels, radius, steps):
            _, current, momentum, done = tf.while_loop(
                lambda i, *_: i < steps,
                lambda i, current, momentum, done: (i + 1, *step(images, current, momentum, labels, radius, done)),
                (tf.constant(0), current, momentum, tf.zeros_like(labels, tf.bool)),
                parallel_iterations=1,
            )
            return current, momentum, done

        return advance

    def _update(self, images, current, momentum, gradient, radius):
        """One step of `projected_gradient_descent` or, with a decay, of `momentum_iterative_method`."""
        direction = gradient
        if self.decay is not None:
            mean = tf.reduce_mean(tf.abs(gradient), axis=(1, 2, 3), keepdims=True)
            momentum = self.decay * momentum + gradient / tf.maximum(1e-12, mean)
            direction = momentum
        order = _ORDERS[self.norm]
        # `optimize_linear` never divides by an L2 norm below 1e-6: along the tiny gradient of a confident softmax it would
        # hardly move.
        moved = current + optimize_linear(near_one(direction), self.relative_step * radius, order)
        if self.decay is None:
            # One of CleverHans' two functions clips to the image range before it projects, the other does not.
            moved = tf.clip_by_value(moved, 0.0, 1.0)
        if order == 1:
            # One L1 step of the full radius stays in the ball by construction; `clip_eta` has no L1 projection.
            return moved, momentum
        return tf.clip_by_value(images + clip_eta(moved - images, order, radius), 0.0, 1.0), momentum


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastGradientMethod(GradientAttack):
    """One full step (Goodfellow et al. 2015, https://arxiv.org/abs/1412.6572): `cleverhans.tf2` `fast_gradient_method`.

    The success of a single step is not monotonic in epsilon, so the search takes more rounds than for iterative attacks.
    """

    name: ClassVar[str] = "cleverhans/fast_gradient_method"
    choices: ClassVar[Choices] = {**GradientAttack.choices, "norm": ("linf", "l2", "l1")}

    steps: int = 1
    relative_step: float = 1.0
    rounds: int = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class BasicIterativeMethod(GradientAttack):
    """Small steps from the image (Kurakin et al. 2017, https://arxiv.org/abs/1607.02533): `basic_iterative_method`."""

    name: ClassVar[str] = "cleverhans/basic_iterative_method"

    steps: int = 10
    relative_step: float = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectedGradientDescent(GradientAttack):
    """Larger steps from a random point: `projected_gradient_descent` with `rand_init=True`."""

    name: ClassVar[str] = "cleverhans/projected_gradient_descent"

    steps: int = 40
    relative_step: float = 1 / 12
    random_start: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadryEtAl(GradientAttack):
    """Madry et al. (2018), https://arxiv.org/abs/1706.06083, with their steps of 0.01 at eps 0.3: `madry_et_al`.

    CleverHans draws the start from a ball of 0.3 whatever epsilon is; here the start is drawn from the ball of epsilon.
    """

    name: ClassVar[str] = "cleverhans/madry_et_al"

    steps: int = 40
    relative_step: float = 1 / 30
    random_start: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class MomentumIterativeMethod(GradientAttack):
    """Dong et al. (2018), https://arxiv.org/abs/1710.06081: `momentum_iterative_method`, 10 steps of eps / 5 as there."""

    name: ClassVar[str] = "cleverhans/momentum_iterative_method"

    steps: int = 10
    relative_step: float = 0.2
    decay: float | None = 1.0
