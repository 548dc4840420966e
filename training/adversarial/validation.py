"""The accuracy under attack, which Keras does not log."""

from typing import Any

import keras
import numpy as np
from keras import ops

from cortexzoo.training.adversarial.perturbation import Batch, Perturbation
from cortexzoo.training.averaging import averaged_weights


class RobustValidation(keras.callbacks.Callback):
    """Logs `val_robust_accuracy`, the accuracy on perturbed validation images, at the end of each epoch.

    Choose no model by it that is then reported as robust to the same attack on the same images.

    Args:
        images: float32, (n, height, width, channels), in [0, 1].
        labels: int, (n,).
        perturbation: at its full epsilon, whatever the curriculum of the training. More steps than those of the training
            tell whether it has learnt to hide its gradient.
        batch_size: int. Defaults to 250.
        seed: int. Of what is random; the same in each epoch. Defaults to 0.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, perturbation: Perturbation, batch_size: int = 250, seed: int = 0
    ) -> None:
        super().__init__()
        self.images, self.labels, self.perturbation = images, labels, perturbation
        self.batch_size, self.seed = batch_size, seed

    def on_train_begin(self, logs: Any = None) -> None:
        # Traced once, not in each epoch.
        self._judge = _Judge(self.model, self.perturbation, self.batch_size, self.seed)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with averaged_weights(self.model):
            accuracy = self._judge.accuracy(self.images, self.labels)
        if logs is not None:
            logs["val_robust_accuracy"] = accuracy


def robust_accuracy(
    classifier: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    perturbation: Perturbation,
    batch_size: int = 250,
    seed: int = 0,
) -> float:
    """Returns the share of images that are classified correctly after a perturbation made against the classifier.

    It is a check of a training, quick and weak; `cortexzoo.evaluate` measures robustness.

    Args:
        classifier: a built model from images to logits.
        images: float32, (n, height, width, channels), in [0, 1].
        labels: int, (n,).
        perturbation: with several copies of an image all must be classified correctly.
        batch_size: int.
        seed: int. Of what is random.
    """
    return _Judge(classifier, perturbation, batch_size, seed).accuracy(images, labels)


class _Judge:
    """Perturbs images batch by batch and counts those that stay correct; the same each time for the same weights."""

    def __init__(self, classifier: keras.Model, perturbation: Perturbation, batch_size: int, seed: int) -> None:
        self.classifier, self.perturbation, self.batch_size = classifier, perturbation, batch_size
        self.generator = keras.random.SeedGenerator(seed)
        self._first_state = ops.convert_to_numpy(self.generator.state)
        self._answer = self._correct
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            self._answer = tf.function(self._correct, reduce_retracing=True)

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        self.generator.state.assign(self._first_state)
        correct = 0
        for start in range(0, len(images), self.batch_size):
            part = slice(start, start + self.batch_size)
            answers = self._answer(ops.convert_to_tensor(images[part]), ops.convert_to_tensor(labels[part]))
            correct += int(np.sum(ops.convert_to_numpy(answers)))
        return correct / len(images)

    def _correct(self, images: Any, labels: Any) -> Any:
        """Returns which images are classified correctly in all their copies, bool, (batch,)."""
        perturbed = self.perturbation(Batch(images, labels, self._logits, ops.ones(()), self.generator))
        predictions = ops.reshape(ops.argmax(self._logits(perturbed), axis=-1), (self.perturbation.copies, -1))
        return ops.all(predictions == ops.cast(labels, predictions.dtype)[None], axis=0)

    def _logits(self, images: Any) -> Any:
        return self.classifier(images, training=False)
