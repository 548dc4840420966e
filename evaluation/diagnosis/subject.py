"""The model under diagnosis with the images on which it is measured, and what several signs ask of it."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks import Attack, Batch, GradientAttack
from cortexzoo.evaluation.attacks.batching import at_most
from cortexzoo.evaluation.attacks.tensors import GRADIENT_SCALE, finite, loss_values
from cortexzoo.evaluation.classifier import DIFFERENTIABLE_ENDPOINTS, Classifier
from cortexzoo.evaluation.diagnosis.flips import flip_one_by_one
from cortexzoo.evaluation.diagnosis.single_pixels import Scan, is_costly, scan
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import plain_twin
from cortexzoo.evaluation.results.diagnostics import has_no_gradient

SAMPLES = 64
# Of large images, and of a random model, which is asked many times for each answer.
FEW_SAMPLES = 12
# Correctly classified images are looked for among this many.
_LOOKED_AT = 512
_BATCH = 128
_STEPS = 40
# Of float32, between batches of different sizes.
_ROUNDING = 1e-3


class Subject:
    """A model and its first correctly classified images.

    Attributes:
        classifier: the model.
        batch: the images, `SAMPLES` or fewer.
        epsilon: the threshold of L-infinity.
        pixels: the threshold of L0.
        sources: ids of models in the catalogue from which adversarial images are transferred.
        endpoints: the model's endpoints that attacks differentiate.
        stabilized: the endpoint with the most precise gradient.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation, self.classifier = evaluation, evaluation.classifier
        split = evaluation.split.first(_LOOKED_AT)
        # A model may answer differently than it did when its predictions were stored.
        correct = np.flatnonzero(self.classifier.predict(split.images) == split.labels)
        correct = correct[: FEW_SAMPLES if is_costly(self.classifier) else SAMPLES]
        self.batch = Batch(split.images, split.labels, split.ids, evaluation.seed).take(correct)
        self.epsilon, self.pixels = evaluation.info.thresholds["linf"], round(evaluation.info.thresholds["l0"])
        self.sources = sources_of(evaluation)
        self.endpoints = tuple(name for name in DIFFERENTIABLE_ENDPOINTS if name in self.classifier.endpoints)
        precise = ("logits_stable", "logits_float64", "attack_logits", "logits")
        self.stabilized = next(name for name in precise if name in self.classifier.endpoints)

    def __len__(self) -> int:
        return len(self.batch)

    def no_gradient(self, endpoint: str, loss: str) -> np.ndarray:
        """Returns on which images the gradient of a loss is zero everywhere, bool, (n,)."""
        return has_no_gradient(self.classifier, endpoint, self.batch, loss)

    @functools.cached_property
    def gradient(self) -> np.ndarray:
        """The gradient of the margin of `logits` at the images, float32, (n, height, width, channels)."""
        return self.margins_and_gradients(self.batch.images)[1]

    @functools.cached_property
    def single_pixels(self) -> Scan:
        """What changes of single pixels do to the first images."""
        return scan(self.classifier, self.batch)

    @functools.cached_property
    def pixels_found(self) -> np.ndarray:
        """Which of the images in `single_pixels` a search for pixels breaks, bool."""
        batch = self.single_pixels.batch
        images = [self.single_pixels.search(self.classifier, i, self.pixels) for i in range(len(batch))]
        return self.classifier.misclassifies(np.stack(images), batch.labels)

    @functools.cached_property
    def pixels_missed(self) -> np.ndarray:
        """Which images withstand pixels that are ranked by the gradient, anew after each one, bool, (n,)."""
        images, labels = self.batch.images, self.batch.labels
        flipped = [flip_one_by_one(self.classifier, name, images, labels, self.pixels) for name in self.endpoints]
        return ~np.any([self.misclassified(found) for found in flipped], axis=0)

    @functools.cached_property
    def withstand(self) -> np.ndarray:
        """Which images the plain gradient attack leaves, bool, (n,): projected gradient descent on the cross-entropy."""
        return self.after_descent(np.ones(len(self), bool), self.epsilon, _STEPS)

    @functools.cached_property
    def withstand_margin(self) -> np.ndarray:
        """Which of these images the same attack leaves that raises the margin, bool, (n,)."""
        return self.after_descent(self.withstand, self.epsilon, _STEPS, loss="margin")

    def after_descent(self, chosen: np.ndarray, epsilon: float, steps: int, loss: str = "cross_entropy") -> np.ndarray:
        """Returns which of the chosen images gradient steps leave, from the image and a random start on every endpoint."""
        left = chosen.copy()
        for endpoint in self.endpoints:
            for random_start in (False, True):
                left &= ~self.broken_by(descent(epsilon, steps, random_start=random_start, loss=loss), endpoint, left)
        return left

    def broken_by(self, attack: Attack, endpoint: str, chosen: np.ndarray) -> np.ndarray:
        """Returns which of the chosen images an attack of one epsilon breaks, bool, (n,)."""
        images = self.batch.images.copy()
        if chosen.any():
            images[chosen] = attack.run(self.classifier, endpoint, self.batch.take(chosen))
        return chosen & self.misclassified(images)

    def misclassified(self, images: np.ndarray) -> np.ndarray:
        """Returns which images the model misclassifies, bool, (n,)."""
        return self.classifier.misclassifies(images, self.batch.labels)

    def margins(self, images: np.ndarray) -> np.ndarray:
        """Returns by how much the best other logit exceeds the label's, float64, (..., n), for images (..., n, h, w, c)."""
        labels = np.broadcast_to(self.batch.labels, images.shape[:-3])
        flat = self.classifier.loses_by(images.reshape(-1, *images.shape[-3:]), labels.reshape(-1))
        return flat.reshape(images.shape[:-3]).astype(np.float64)

    def margins_and_gradients(self, images: np.ndarray, endpoint: str = "logits") -> tuple[np.ndarray, np.ndarray]:
        """Returns the margins, (n,), and their gradients, (n, height, width, channels), both float32.

        Args:
            images: as many as the subject has.
            endpoint: the endpoint. A float64 gradient is returned times `GRADIENT_SCALE`, and so does not underflow.
        """
        function = self.classifier.compiled(("margin and gradient", endpoint), lambda: _build(self.classifier, endpoint))
        size = at_most(self.classifier, _BATCH)
        parts = [
            function(images[first : first + size], self.batch.labels[first : first + size])
            for first in range(0, len(images), size)
        ]
        return tuple(np.concatenate([part[i].numpy() for part in parts]) for i in range(2))


def sources_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns the ids of the models from which images are transferred: those given, else the model's plain twin."""
    return tuple(model.name for model in evaluation.sources) or plain_twin(evaluation.model)


def descent(epsilon: float, steps: int, *, random_start: bool = False, loss: str = "cross_entropy") -> GradientAttack:
    """Returns projected gradient descent at one epsilon of L-infinity; one step of it is the fast gradient sign method."""
    return GradientAttack(
        norm="linf",
        epsilon=epsilon,
        rounds=1,
        steps=steps,
        relative_step=max(1.0 / steps, 0.1),
        random_start=random_start,
        loss=loss,
    )


def _build(classifier: Classifier, endpoint: str) -> Callable[[np.ndarray, np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
    logits_of = classifier.endpoint(endpoint)
    image, label = tf.TensorSpec((None, *classifier.image_shape), tf.float32), tf.TensorSpec((None,), tf.int64)

    @tf.function(input_signature=[image, label], autograph=False)
    def margin_and_gradient(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            margins = loss_values(logits_of(images), labels, "margin")
        scale = GRADIENT_SCALE if margins.dtype == tf.float64 else 1.0
        gradient = tape.gradient(
            margins, images, scale * tf.ones_like(margins), unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return tf.cast(margins, tf.float32), finite(gradient)

    return margin_and_gradient


def differs(logits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns where two answers for the same images differ by more than rounding, bool, (n,)."""
    # Relative to the largest of all: rounding depends on the values that were added up.
    return np.max(np.abs(logits - others), axis=1) > _ROUNDING * np.max(np.abs(others))
