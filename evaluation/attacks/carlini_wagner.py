"""The Carlini-Wagner L2 attack: CleverHans' method, repaired, with every sample on a schedule of its own.

`cleverhans.tf2.attacks.carlini_wagner_l2` 4.0.0 does not run with Keras 3, keeps an image-shaped constant that mixes the
samples of one-channel images, is targeted as soon as labels are given, and carries the whole batch to the end.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from evaluation.attacks.base import Batch, shrink
from evaluation.target import Target

_BETA1, _BETA2, _ADAM_EPSILON = 0.9, 0.999, 1e-7
# Keeps atanh finite for black and white pixels, as in CleverHans.
_INSIDE = 0.999999
_NO_CONSTANT = 1e10


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarliniWagnerL2:
    """Minimises ||x' - x||^2 + c max(0, Z_true - max Z_other + confidence) over x' = (tanh(w) + 1) / 2, for several c.

    Source: Carlini and Wagner 2017, https://arxiv.org/abs/1608.04644. A sample's constant c is searched by its own
    bisection; the descent for one c ends when the sample's loss has not improved over a window, and the sample goes on to
    its next c at once, so that the batch is full of work until the last samples.

    Attributes:
        search_steps: int. Values of c tried for a sample.
        steps: int. Most Adam steps for one c.
        learning_rate: Adam's.
        initial_constant: the first c.
        confidence: margin by which the wrong logit must win.
        window: steps between two looks at the loss.
        improvement: relative decrease of the lowest loss that a window must bring for the descent to go on.
    """

    name: ClassVar[str] = "cleverhans/carlini_wagner_l2 (repaired)"
    version: ClassVar[int] = 1
    chunk_size: ClassVar[int] = 200
    uses_gradients: ClassVar[bool] = True

    norm: str = "l2"
    search_steps: int = 9
    steps: int = 1000
    learning_rate: float = 5e-2
    initial_constant: float = 1e-2
    confidence: float = 0.0
    window: int = 25
    improvement: float = 1e-3

    def run(self, target: Target, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        advance = target.compiled((self, endpoint), lambda: self._build(target, endpoint))
        best, best_square = batch.images.copy(), np.full(len(batch), np.inf, np.float32)
        search = _ConstantSearch(len(batch), self.initial_constant)
        active, state = np.arange(len(batch)), _fresh_state(batch.images)
        while len(active):
            outcome = advance(
                batch.images[active], batch.labels[active], search.constant[active], *(state[key] for key in _STATE)
            )
            values = {key: value.numpy() for key, value in zip((*_STATE, "square", "found", "lowest"), outcome, strict=True)}
            improved = values["square"] < best_square[active]
            best_square[active[improved]] = values["square"][improved]
            best[active[improved]] = values["found"][improved]
            search.succeeded[active] |= np.isfinite(values["square"])
            stalled = values["lowest"] > (1 - self.improvement) * search.lowest[active]
            search.lowest[active] = np.minimum(search.lowest[active], values["lowest"])
            ended = stalled | (values["time"] >= self.steps)
            search.next_constant(active[ended])
            fresh = _fresh_state(batch.images[active[ended]])
            for key in _STATE:
                values[key][ended] = fresh[key]
            kept = search.tried[active] < self.search_steps
            active, state = active[kept], {key: values[key][kept] for key in _STATE}
        succeeded = np.isfinite(best_square)
        best[succeeded] = shrink(target, batch.take(succeeded), best[succeeded])
        return best

    def _build(self, target: Target, endpoint: str) -> Callable:
        attacked, decisive = target.endpoint(endpoint), target.endpoint("logits")
        image, number = tf.TensorSpec((None, *target.image_shape), tf.float32), tf.TensorSpec((None,), tf.float32)

        def step(images, labels, constant, free, first, second, time, square, found, lowest):
            true = tf.one_hot(labels, target.num_classes)
            with tf.GradientTape() as tape:
                tape.watch(free)
                current = (tf.tanh(free) + 1) / 2
                logits = attacked(current)
                distance = tf.reduce_sum(tf.square(current - images), axis=(1, 2, 3))
                loss = distance + constant * tf.nn.relu(_margin(logits, true) + self.confidence)
            gradient = tape.gradient(loss, free)
            decision = logits if endpoint == "logits" else decisive(current)
            better = tf.logical_and(_margin(decision, true) + self.confidence < 0, distance < square)
            square, found = tf.where(better, distance, square), tf.where(better[:, None, None, None], current, found)
            time = time + 1
            first, second = _BETA1 * first + (1 - _BETA1) * gradient, _BETA2 * second + (1 - _BETA2) * tf.square(gradient)
            rate = self.learning_rate * tf.sqrt(1 - _BETA2**time) / (1 - _BETA1**time)
            free = free - rate[:, None, None, None] * first / (tf.sqrt(second) + _ADAM_EPSILON)
            return free, first, second, time, square, found, tf.minimum(lowest, loss)

        @tf.function(
            input_signature=[image, tf.TensorSpec((None,), tf.int64), number, image, image, image, number], autograph=False
        )
        def advance(images, labels, constant, free, first, second, time):
            endless = tf.fill(tf.shape(labels), np.float32(np.inf))
            loop = tf.while_loop(
                lambda i, *_: i < self.window,
                lambda i, *values: (i + 1, *step(images, labels, constant, *values)),
                (tf.constant(0), free, first, second, time, endless, images, endless),
                parallel_iterations=1,
            )
            return loop[1:]

        return advance


class _ConstantSearch:
    """Each sample's bisection of c: up tenfold until the attack succeeds, then between failure and success."""

    def __init__(self, count: int, initial: float) -> None:
        self.constant = np.full(count, initial, np.float32)
        self.low, self.high = np.zeros(count, np.float32), np.full(count, _NO_CONSTANT, np.float32)
        self.succeeded, self.tried = np.zeros(count, bool), np.zeros(count, int)
        self.lowest = np.full(count, np.inf, np.float32)

    def next_constant(self, ended: np.ndarray) -> None:
        """Ends the descent of these samples and sets their next constant."""
        constant, succeeded = self.constant[ended], self.succeeded[ended]
        self.high[ended] = np.where(succeeded, np.minimum(self.high[ended], constant), self.high[ended])
        self.low[ended] = np.where(succeeded, self.low[ended], np.maximum(self.low[ended], constant))
        bracketed = self.high[ended] < _NO_CONSTANT
        self.constant[ended] = np.where(bracketed, (self.low[ended] + self.high[ended]) / 2, 10 * constant)
        self.succeeded[ended], self.lowest[ended] = False, np.inf
        self.tried[ended] += 1


_STATE = ("free", "first", "second", "time")


def _fresh_state(images: np.ndarray) -> dict[str, Any]:
    """The unconstrained image w, Adam's moments and its step count."""
    free = np.arctanh((2 * images - 1) * np.float32(_INSIDE))
    return {
        "free": free,
        "first": np.zeros_like(images),
        "second": np.zeros_like(images),
        "time": np.zeros(len(images), np.float32),
    }


def _margin(logits: tf.Tensor, true: tf.Tensor) -> tf.Tensor:
    """The true logit minus the best other one: negative where misclassified."""
    return tf.reduce_sum(true * logits, axis=-1) - tf.reduce_max(logits - 1e9 * true, axis=-1)
