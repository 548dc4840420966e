"""EAD, the elastic-net attack, with a separate schedule for every sample."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Choices
from cortexzoo.evaluation.attacks.constant_search import ConstantSearchAttack
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, finite, wide, wrong_by


@dataclasses.dataclass(frozen=True, kw_only=True)
class ElasticNet(ConstantSearchAttack):
    """Minimises c max(0, Z_true - max Z_other) + ||x' - x||^2 + beta ||x' - x||_1 by FISTA, for several c.

    Source: Chen et al. 2018, https://arxiv.org/abs/1709.04114. Other attributes: `ConstantSearchAttack`.

    Attributes:
        step_size: the first; it falls with the root of the share of steps that are left.
        regularization: beta, the weight of the L1 term.
        decision_rule: "EN" keeps the adversarial of the least elastic-net distance, "L1" that of the least L1 distance.
    """

    name: ClassVar[str] = "elastic_net"
    choices: ClassVar[Choices] = {**Attack.choices, "decision_rule": ("EN", "L1")}

    norm: str = "l1"
    initial_constant: float = 1e-3
    step_size: float = 1e-2
    regularization: float = 1e-2
    decision_rule: str = "EN"

    def fresh_state(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the image, FISTA's point ahead of it and the step count."""
        return images.copy(), images.copy(), np.zeros(len(images), np.float32)

    def step(self, logits_of: Callable, decide: Callable, images, labels, constant, state, best) -> tuple:
        """See `ConstantSearchAttack.step`."""
        (current, ahead, time), (least, found, lowest) = state, best
        with tf.GradientTape() as tape:
            tape.watch(ahead)
            hinge = tf.nn.relu(self.confidence - wrong_by(logits_of(ahead), labels))
            loss = constant * hinge + tf.reduce_sum(tf.square(ahead - images), axis=(1, 2, 3))
        rate = self.step_size * tf.sqrt(tf.maximum(1 - time / self.steps, 0.0))
        moved = _soften(images, ahead - wide(rate) * finite(tape.gradient(loss, ahead)), self.regularization)
        ahead = moved + wide(time / (time + 3)) * (moved - current)
        taxicab = tf.reduce_sum(tf.abs(moved - images), axis=(1, 2, 3))
        elastic = self.regularization * taxicab + tf.reduce_sum(tf.square(moved - images), axis=(1, 2, 3))
        logits = decide(logits_of(moved), moved)
        wrong = tf.logical_and(clearly_wrong(logits, labels), wrong_by(logits, labels) > self.confidence)
        measure = taxicab if self.decision_rule == "L1" else elastic
        better = tf.logical_and(wrong, measure < least)
        least, found = tf.where(better, measure, least), tf.where(wide(better), moved, found)
        return (moved, ahead, time + 1), (least, found, tf.minimum(lowest, loss))


def _soften(images: tf.Tensor, values: tf.Tensor, threshold: float) -> tf.Tensor:
    """The proximal step of the L1 term within [0, 1]: small changes vanish, the others lose the threshold."""
    difference = values - images
    softened = tf.sign(difference) * tf.maximum(tf.abs(difference) - threshold, 0.0)
    return tf.clip_by_value(images + softened, 0.0, 1.0)
