"""The Carlini-Wagner L2 attack: CleverHans' method, repaired, with a separate schedule for every sample.

`cleverhans.tf2.attacks.carlini_wagner_l2` 4.0.0 does not run with Keras 3, keeps an image-shaped constant that mixes the
samples of one-channel images, becomes targeted when labels are given, and carries the whole batch to the end.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Choices
from cortexzoo.evaluation.attacks.constant_search import ConstantSearchAttack
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, finite, wide, wrong_by

_BETA1, _BETA2, _ADAM_EPSILON = 0.9, 0.999, 1e-7
# Keeps atanh finite for black and white pixels, as in CleverHans.
_INSIDE = 0.999999


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarliniWagnerL2(ConstantSearchAttack):
    """Minimises ||x' - x||^2 + c max(0, Z_true - max Z_other + confidence) over x' = (tanh(w) + 1) / 2, for several c.

    Source: Carlini and Wagner 2017, https://arxiv.org/abs/1608.04644. Other attributes: `ConstantSearchAttack`.

    Attributes:
        learning_rate: Adam's.
    """

    name: ClassVar[str] = "cleverhans/carlini_wagner_l2 (repaired)"
    version: ClassVar[int] = 2
    choices: ClassVar[Choices] = {"norm": ("l2",)}

    norm: str = "l2"
    learning_rate: float = 5e-2

    def fresh_state(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the unconstrained image w, Adam's moments and its step count."""
        free = np.arctanh((2 * images - 1) * np.float32(_INSIDE))
        return free, np.zeros_like(images), np.zeros_like(images), np.zeros(len(images), np.float32)

    def step(self, logits_of: Callable, decide: Callable, images, labels, constant, state, best) -> tuple:
        """See `ConstantSearchAttack.step`."""
        (free, first, second, time), (least, found, lowest) = state, best
        with tf.GradientTape() as tape:
            tape.watch(free)
            current = (tf.tanh(free) + 1) / 2
            logits = logits_of(current)
            distance = tf.reduce_sum(tf.square(current - images), axis=(1, 2, 3))
            loss = distance + constant * tf.nn.relu(self.confidence - wrong_by(logits, labels))
        gradient = finite(tape.gradient(loss, free))
        decisive = decide(logits, current)
        wrong = tf.logical_and(clearly_wrong(decisive, labels), wrong_by(decisive, labels) > self.confidence)
        better = tf.logical_and(wrong, distance < least)
        least, found = tf.where(better, distance, least), tf.where(wide(better), current, found)
        time = time + 1
        first, second = _BETA1 * first + (1 - _BETA1) * gradient, _BETA2 * second + (1 - _BETA2) * tf.square(gradient)
        rate = self.learning_rate * tf.sqrt(1 - _BETA2**time) / (1 - _BETA1**time)
        free = free - wide(rate) * first / (tf.sqrt(second) + _ADAM_EPSILON)
        return (free, first, second, time), (least, found, tf.minimum(lowest, loss))
