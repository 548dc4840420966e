"""What an epoch of adversarial training costs, as a multiple of a clean one."""

import logging
import statistics
import time
from typing import Any

import keras
import numpy as np

from cortexzoo.training.batches import EpochBatches

_LOG = logging.getLogger(__name__)


class CleanEpochs(keras.callbacks.Callback):
    """Prints what an epoch costs as a multiple of one on clean images, whose steps it times first. TensorFlow only.

    A training step with k steps of an attack costs about k + 1 clean ones, as each is a forward and a backward pass. It is
    somewhat less, as only the training has the gradient of the weights.

    Args:
        classifier: the model that is trained.
        batches: those of the training.
        attack_steps: int. Gradients that the perturbation of one batch takes.
    """

    _WARM_UP, _TIMED = 2, 7

    def __init__(self, classifier: keras.Model, batches: EpochBatches, attack_steps: int) -> None:
        super().__init__()
        self.classifier, self.batches, self.attack_steps = classifier, batches, attack_steps

    def on_train_begin(self, logs: Any = None) -> None:
        self._clean_step = _clean_step_seconds(self.classifier, *self.batches[0], self._WARM_UP, self._TIMED)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batch_seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batch_seconds.append(time.perf_counter() - self._start)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        multiple = statistics.median(self._batch_seconds) / self._clean_step
        text = "Epoch %d cost %.1f clean epochs; %d steps of the attack and one of the training make %d."
        _LOG.info(text, epoch + 1, multiple, self.attack_steps, self.attack_steps + 1)


def _clean_step_seconds(classifier: keras.Model, images: np.ndarray, labels: np.ndarray, warm_up: int, timed: int) -> float:
    """The median time of the gradient of the cross-entropy on clean images in the weights, which stay as they are."""
    import tensorflow as tf

    @tf.function
    def gradients(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = classifier(x, training=False)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        return tape.gradient(loss, [weight.value for weight in classifier.trainable_weights])

    seconds = []
    for _ in range(warm_up + timed):
        start = time.perf_counter()
        gradients(tf.constant(images), tf.constant(labels))[-1].numpy()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warm_up:])
