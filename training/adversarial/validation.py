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

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with averaged_weights(self.model):
            accuracy = robust_accuracy(
                self.model, self.images, self.labels, self.perturbation, batch_size=self.batch_size, seed=self.seed
            )
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
    generator = keras.random.SeedGenerator(seed)
    answer = _compiled(lambda x, y: _correct(classifier, perturbation, generator, x, y))
    correct = 0.0
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        correct += float(np.sum(ops.convert_to_numpy(answer(ops.convert_to_tensor(images[part]), labels[part]))))
    return correct / len(images)


def _correct(
    classifier: keras.Model, perturbation: Perturbation, seed: keras.random.SeedGenerator, images: Any, labels: Any
) -> Any:
    logits = lambda values: classifier(values, training=False)  # noqa: E731
    perturbed = perturbation(Batch(images, labels, logits, ops.ones(()), seed))
    predictions = ops.reshape(ops.argmax(logits(perturbed), axis=-1), (perturbation.copies, -1))
    return ops.all(predictions == ops.cast(labels, predictions.dtype)[None], axis=0)


def _compiled(function: Any) -> Any:
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, reduce_retracing=True)
