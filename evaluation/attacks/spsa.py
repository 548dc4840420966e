"""SPSA, which estimates gradients from forward passes: CleverHans' method, repaired and batched.

`cleverhans.tf2.attacks.spsa` 4.0.0 takes one image at a time and passes a Keras optimiser an argument that it refuses.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Batch, Choices, EpsilonSearch, random_directions
from cortexzoo.evaluation.attacks.batching import at_most, in_parts
from cortexzoo.evaluation.classifier import Classifier

_FORWARD_BATCH = 2048
_BETA1, _BETA2, _ADAM_EPSILON = 0.9, 0.999, 1e-7


@dataclasses.dataclass(frozen=True, kw_only=True)
class SPSA(EpsilonSearch):
    """Simultaneous perturbation stochastic approximation (Uesato et al. 2018, https://arxiv.org/abs/1802.05666).

    Adam descends the margin (true logit minus the best other) along gradients estimated from `directions` pairs of forward
    passes at x +- delta v, v of random signs. The v of a step are the same for every sample, so that a sample's result does
    not depend on its batch. A sample stops when it is misclassified.

    Attributes:
        steps: int. Updates.
        directions: int. Pairs of evaluations an update; CleverHans' `spsa_samples` is twice this.
        learning_rate: Adam's.
        delta: size of the probing perturbation.
    """

    name: ClassVar[str] = "cleverhans/spsa (repaired)"
    chunk_size: ClassVar[int] = 50
    uses_gradients: ClassVar[bool] = False
    choices: ClassVar[Choices] = {"norm": ("linf",)}

    norm: str = "linf"
    rounds: int = 1
    steps: int = 100
    directions: int = 64
    learning_rate: float = 0.01
    delta: float = 0.01

    def perturb(self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int) -> np.ndarray:
        """See `EpsilonSearch.perturb`."""
        estimate = classifier.compiled(
            ("spsa", self.directions, self.delta, endpoint), lambda: self._build(classifier, endpoint)
        )
        radius = epsilon[:, None, None, None]
        start = np.clip(batch.images + radius * random_directions(batch, self.norm, draw), 0.0, 1.0)
        results = start.copy()
        active = np.arange(len(batch))
        first, second = np.zeros_like(start), np.zeros_like(start)
        group = max(1, at_most(classifier, _FORWARD_BATCH) // (2 * self.directions))
        for step in range(1, self.steps + 1):
            seed = tf.constant([batch.seed, (draw * self.steps + step) % 2**31], tf.int32)
            parts = np.array_split(active, -(-len(active) // group))
            gradient = np.concatenate([estimate(results[part], batch.labels[part], seed).numpy() for part in parts])
            first[active] = _BETA1 * first[active] + (1 - _BETA1) * gradient
            second[active] = _BETA2 * second[active] + (1 - _BETA2) * gradient**2
            mean, variance = first[active] / (1 - _BETA1**step), second[active] / (1 - _BETA2**step)
            moved = results[active] - self.learning_rate * mean / (np.sqrt(variance) + _ADAM_EPSILON)
            images, bound = batch.images[active], radius[active]
            results[active] = np.clip(np.clip(moved, images - bound, images + bound), 0.0, 1.0)
            active = active[~classifier.misclassifies(results[active], batch.labels[active])]
            if len(active) == 0:
                break
        return results

    def _build(self, classifier: Classifier, endpoint: str) -> Callable:
        logits_of = in_parts(classifier, classifier.endpoint(endpoint))
        shape, pairs = classifier.image_shape, self.directions

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, *shape), tf.float32),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((2,), tf.int32),
            ],
            autograph=False,
        )
        def estimate(images, labels, seed):
            bits = tf.random.stateless_uniform((pairs, *shape), seed, 0, 2, tf.int32)
            signs = tf.cast(2 * bits - 1, tf.float32)
            probes = self.delta * tf.concat([signs, -signs], axis=0)
            points = tf.reshape(images[:, None] + probes[None], (-1, *shape))
            margins = tf.reshape(_margin(logits_of(points), tf.repeat(labels, 2 * pairs)), (-1, 2, pairs))
            # Central differences; 1 / v_i = v_i for signs.
            slopes = (margins[:, 0] - margins[:, 1]) / (2 * self.delta)
            return tf.tensordot(slopes, signs, axes=1) / pairs

        return estimate


def _margin(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The true logit minus the best other one: negative where misclassified."""
    # A signature may not tell how many logits it has.
    true = tf.one_hot(labels, tf.shape(logits)[-1], dtype=logits.dtype)
    return tf.reduce_sum(true * logits, axis=-1) - tf.reduce_max(tf.where(true > 0, logits.dtype.min, logits), axis=-1)
