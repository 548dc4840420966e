"""Attacks that minimise distance + c * margin: the search for the weight c."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, shrink
from cortexzoo.evaluation.classifier import Classifier

_NO_CONSTANT = 1e10


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantSearchAttack(Attack):
    """Base class of Carlini-Wagner and EAD: a descent for each of several constants, with a schedule for every sample.

    Each sample bisects for its own constant c. The descent for one c ends when the loss has not improved over a window; the
    sample then goes on to its next c at once, so that the batch stays full until the last samples.

    Attributes:
        norm: of the distances.
        search_steps: int. Values of c tried for a sample.
        steps: int. Most steps for one c.
        initial_constant: the first c.
        confidence: margin by which the wrong logit must win.
        window: steps between two checks of the loss.
        improvement: relative decrease of the lowest loss that a window must bring for the descent to go on.
    """

    chunk_size: ClassVar[int] = 200

    norm: str
    search_steps: int = 9
    steps: int = 1000
    initial_constant: float = 1e-2
    confidence: float = 0.0
    window: int = 25
    improvement: float = 1e-3

    def fresh_state(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the state in which a descent begins; its last array counts each sample's steps, float32, (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must implement `fresh_state`.")

    def step(self, logits_of: Callable, decide: Callable, images, labels, constant, state, best) -> tuple:
        """Takes one step, compiled.

        Args:
            logits_of: the endpoint to differentiate.
            decide: a function of logits of the endpoint and images that gives the model's own logits.
            images: the samples.
            labels: their labels.
            constant: float32, (n,).
            state: see `fresh_state`.
            best: least distance, its image, lowest loss; infinities where there are none yet.

        Returns:
            The new state and the new `best`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `step`.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        advance = classifier.compiled((self, endpoint), lambda: self._build(classifier, endpoint))
        best, least = batch.images.copy(), np.full(len(batch), np.inf, np.float32)
        search = _Constants(len(batch), self.initial_constant)
        active, state = np.arange(len(batch)), list(self.fresh_state(batch.images))
        while len(active):
            outcome = advance(batch.images[active], batch.labels[active], search.constant[active], state)
            state, (distance, found, lowest) = ([value.numpy() for value in values] for values in outcome)
            improved = distance < least[active]
            least[active[improved]] = distance[improved]
            best[active[improved]] = found[improved]
            ended = search.record(active, np.isfinite(distance), lowest, self.improvement) | (state[-1] >= self.steps)
            search.next_constant(active[ended])
            for values, fresh in zip(state, self.fresh_state(batch.images[active[ended]]), strict=True):
                values[ended] = fresh
            kept = search.tried[active] < self.search_steps
            active, state = active[kept], [values[kept] for values in state]
        succeeded = np.isfinite(least)
        best[succeeded] = shrink(classifier, batch.take(succeeded), best[succeeded])
        return best

    def _build(self, classifier: Classifier, endpoint: str) -> Callable:
        attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")

        def decide(logits, images):
            # A surrogate endpoint may decide otherwise; the model's own decision counts.
            return logits if endpoint == "logits" else decisive(images)

        @tf.function(autograph=False, reduce_retracing=True)
        def advance(images, labels, constant, state):
            endless = tf.fill(tf.shape(labels), np.float32(np.inf))

            def body(i, state, best):
                return i + 1, *self.step(attacked, decide, images, labels, constant, state, best)

            start = (tf.constant(0), tuple(state), (endless, images, endless))
            return tf.while_loop(lambda i, *_: i < self.window, body, start, parallel_iterations=1)[1:]

        return advance


class _Constants:
    """Each sample's constant: up tenfold until the attack succeeds, then between failure and success."""

    def __init__(self, count: int, initial: float) -> None:
        self.constant = np.full(count, initial, np.float32)
        self.tried = np.zeros(count, int)
        self._low, self._high = np.zeros(count, np.float32), np.full(count, _NO_CONSTANT, np.float32)
        self._succeeded, self._lowest = np.zeros(count, bool), np.full(count, np.inf, np.float32)

    def record(self, active: np.ndarray, succeeded: np.ndarray, lowest: np.ndarray, improvement: float) -> np.ndarray:
        """Records the results of a window, and returns which samples' loss has stalled."""
        self._succeeded[active] |= succeeded
        stalled = lowest > (1 - improvement) * self._lowest[active]
        self._lowest[active] = np.minimum(self._lowest[active], lowest)
        return stalled

    def next_constant(self, ended: np.ndarray) -> None:
        """Ends the descent of these samples and sets their next constant."""
        constant, succeeded = self.constant[ended], self._succeeded[ended]
        self._high[ended] = np.where(succeeded, np.minimum(self._high[ended], constant), self._high[ended])
        self._low[ended] = np.where(succeeded, self._low[ended], np.maximum(self._low[ended], constant))
        bracketed = self._high[ended] < _NO_CONSTANT
        self.constant[ended] = np.where(bracketed, (self._low[ended] + self._high[ended]) / 2, 10 * constant)
        self._succeeded[ended], self._lowest[ended] = False, np.inf
        self.tried[ended] += 1
