"""Gradient ascent over the sides of an input threshold, for models that see nothing else of an image."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch
from cortexzoo.evaluation.attacks.tensors import at_least_float32, finite, near_one, wrong_by
from cortexzoo.evaluation.attacks.threshold_flips import Sides, walk
from cortexzoo.evaluation.classifier import Classifier

# Shares of the last step's ranking that go into the next one: the less, the more often a flip is taken back.
_MOMENTA = (0.5, 0.9)
# Added to every cost, so that a flip of no cost does not outweigh all others.
_FLOOR = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdAscent(Attack):
    """Projected gradient ascent over the patterns that a model with a hard input threshold can be shown.

    Gradient steps in the image waste their budget on values that do not cross the threshold. Here the gradient is taken at
    the binarised image (a straight-through estimate, Bengio et al. 2013, https://arxiv.org/abs/1308.3432, or that of a
    steep sigmoid, as the endpoint has it), the backward pass of Athalye et al. (2018, https://arxiv.org/abs/1802.00420). It
    tells what each flip gains to first order. The projection is the greedy solution of a knapsack: the flips with the most
    gain for their cost, as many as epsilon allows; in L-inf every flip within reach is free. Gains are averaged over the
    steps with a momentum. Every value that flips moves just past the threshold. For each of two momenta, the ascent
    follows the margin and the margins of the likeliest other classes. From the best patterns, walks over exact single
    flips go on; see `ThresholdFlips`.

    Attributes:
        norm: "linf", "l2", "l1" or "l0". In L0 each channel of a pixel counts in the ascent.
        epsilon: the largest perturbation.
        threshold: that of the model; values equal to it count as above.
        steps: int. Steps of one ascent.
        targets: int. Number of other classes that are aimed at.
        flips: int. Steps of a walk.
        walks: int. Best patterns from which walks start.
    """

    name: ClassVar[str] = "threshold_ascent"
    chunk_size: ClassVar[int] = 200

    norm: str
    epsilon: float
    threshold: float = 0.5
    steps: int = 40
    targets: int = 4
    flips: int = 40
    walks: int = 4

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        sides, found = Sides(batch.images, self.threshold, self.norm, self.epsilon), batch.images.copy()
        patterns, margins = [], []
        active = np.arange(len(batch))
        for classes in self._aims(classifier, batch):
            for momentum in _MOMENTA:
                pattern, margin = self._ascend(classifier, endpoint, batch, sides, active, classes, momentum)
                images = sides.images(active, pattern[active]).reshape(-1, *batch.images.shape[1:])
                wrong = classifier.misclassifies(images, batch.labels[active])
                found[active[wrong]] = images[wrong]
                patterns.append(pattern)
                margins.append(margin)
                active = active[~wrong]
        starts = _best(np.stack(patterns, axis=1)[active], np.stack(margins, axis=1)[active], self.walks)
        found[active] = walk(classifier, batch.take(active), sides.take(active), starts, self.flips)
        return found

    def _aims(self, classifier: Classifier, batch: Batch) -> list[np.ndarray]:
        """The classes that the ascents aim at, int64, (n,) each; -1 for whichever is nearest."""
        order = np.argsort(-classifier.serving_logits(batch.images), axis=1, kind="stable")
        others = order[order != batch.labels[:, None]].reshape(len(batch), -1)
        # With one other class, to aim at it is to aim at none.
        count = min(self.targets, others.shape[1]) if others.shape[1] > 1 else 0
        return [np.full(len(batch), -1), *others.T[:count]]

    def _ascend(
        self,
        classifier: Classifier,
        endpoint: str,
        batch: Batch,
        sides: Sides,
        rows: np.ndarray,
        classes: np.ndarray,
        momentum: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best pattern of each sample, and its margin; none of other samples than those in `rows`."""
        ascend = classifier.compiled((ThresholdAscent, endpoint), lambda: _build(classifier, endpoint))
        patterns, margins = np.zeros(sides.own.shape, bool), np.full(len(batch), -np.inf, np.float32)
        if len(rows):
            outcome = ascend(
                sides.above[rows], sides.costs[rows], sides.budget, batch.labels[rows], classes[rows], momentum, self.steps,
                batch.seed,
            )  # fmt: skip
            patterns[rows], margins[rows] = (values.numpy() for values in outcome)
        return patterns, margins


def _best(patterns: np.ndarray, margins: np.ndarray, count: int) -> np.ndarray:
    """Each sample's patterns, (n, ascents, values), with the largest margins, (n, ascents)."""
    order = np.argsort(-margins, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(patterns, order[..., None], axis=1)


def _build(classifier: Classifier, endpoint: str) -> Callable:
    attacked, decisive = classifier.endpoint(endpoint), classifier.endpoint("logits")
    values = int(np.prod(classifier.image_shape))

    def shown(above, pattern):
        """The binarised images with the flips of a pattern."""
        return tf.reshape(tf.cast(tf.math.logical_xor(above, pattern), tf.float32), (-1, *classifier.image_shape))

    def gains(above, pattern, labels, classes, noise):
        """What each flip gains to first order, by the gradient at the binarised images."""
        images = shown(above, pattern)
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = at_least_float32(attacked(images))
            aimed = tf.gather(logits, tf.maximum(classes, 0), batch_dims=1) - tf.gather(logits, labels, batch_dims=1)
            objective = tf.where(classes < 0, wrong_by(logits, labels), aimed)
        gradient = finite(tape.gradient(objective, images, unconnected_gradients=tf.UnconnectedGradients.ZERO))
        nothing = tf.reduce_all(tf.equal(gradient, 0.0), axis=(1, 2, 3), keepdims=True)
        gradient = tf.reshape(near_one(tf.where(nothing, noise, gradient)), (-1, values))
        gain = tf.where(above, -gradient, gradient)
        return gain / tf.reduce_mean(tf.abs(gain), axis=1, keepdims=True)

    def project(ranking, costs, budget):
        """The flips with the most gain for their cost, as many as the budget allows."""
        wanted = tf.logical_and(ranking > 0.0, tf.math.is_finite(costs))
        order = tf.argsort(tf.where(wanted, tf.cast(ranking, tf.float64) / (costs + _FLOOR), -1.0), direction="DESCENDING")
        spent = tf.cumsum(tf.gather(tf.where(wanted, costs, np.inf), order, batch_dims=1), axis=1)
        return tf.gather(spent <= budget, tf.argsort(order), batch_dims=1)

    @tf.function(input_signature=_signature(values), autograph=False)
    def ascend(above, costs, budget, labels, classes, momentum, steps, seed):
        """Returns the best pattern of sides of the threshold within the budget that the steps find, and its margin."""

        def body(step, pattern, ranking, best, most):
            # Keyed by the step alone: a sample's ascent does not depend on its batch.
            noise = tf.random.stateless_normal(classifier.image_shape, tf.stack([seed, step]))
            ranking = momentum * ranking + gains(above, pattern, labels, classes, noise)
            pattern = project(ranking, costs, budget)
            margin = tf.cast(wrong_by(decisive(shown(above, pattern)), labels), tf.float32)
            better = margin > most
            return step + 1, pattern, ranking, tf.where(better[:, None], pattern, best), tf.where(better, margin, most)

        none, most = tf.zeros_like(above), tf.fill(tf.shape(labels), np.float32(-np.inf))
        start = (tf.constant(0), none, tf.zeros_like(costs, tf.float32), none, most)
        return tf.while_loop(lambda step, *_: step < steps, body, start, parallel_iterations=1)[3:]

    return ascend


def _signature(values: int) -> list[tf.TensorSpec]:
    """Sides, costs, budget, labels, wanted classes, momentum, number of steps and seed."""
    label, number = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)
    sides, costs = tf.TensorSpec((None, values), tf.bool), tf.TensorSpec((None, values), tf.float64)
    return [sides, costs, tf.TensorSpec((), tf.float64), label, label, tf.TensorSpec((), tf.float32), number, number]
