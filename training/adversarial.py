"""Adversarial training with single-step (FGSM) and multi-step (PGD) attacks in the L-infinity norm, inside Keras `fit`."""

from typing import Any

import keras
from keras import ops

from cortexzoo.models import ImageClassifier


class AdversarialTraining(keras.Model):
    """Fits a classifier on adversarial images only, made for each batch from the current weights.

    The attack is projected gradient descent from a random start (Madry et al. 2018, https://arxiv.org/abs/1706.06083). With
    a single step slightly longer than epsilon it is the fast variant of Wong et al. (2020, https://arxiv.org/abs/2001.03994),
    FGSM from a random start. Without the random start a network learns to recognise the images of FGSM (label leaking,
    Kurakin et al. 2017) or to hide its gradient from a single step (catastrophic overfitting). It can do so even with it, so
    check the accuracy under many steps.

    Random starts come from a seed generator, which `cortexzoo.training.fitting` sets in each epoch. Works with the
    TensorFlow backend only.

    Args:
        classifier: a built model from images in [0, 1] to logits. Its weights are trained in place.
        epsilon: float. Radius of the L-infinity ball, in units of the image range. It becomes a scalar variable, `epsilon`,
            that can be annealed.
        steps: int. Steps of the attack.
        relative_step: float. Length of a step in units of epsilon.
        seed: int or None. Seed of the random starts.

    Raises:
        ValueError: `epsilon` is negative, `relative_step` is not positive, or `steps` is less than 1.
    """

    def __init__(
        self, classifier: ImageClassifier, epsilon: float, steps: int, relative_step: float, seed: int | None = None
    ) -> None:
        super().__init__()
        if epsilon < 0.0 or relative_step <= 0.0 or steps < 1:
            raise ValueError(
                "Expected `epsilon` >= 0, `relative_step` > 0 and `steps` >= 1. "
                f"Received: epsilon={epsilon}, relative_step={relative_step}, steps={steps}"
            )
        self.classifier, self.steps, self.relative_step = classifier, steps, relative_step
        self.epsilon = self.add_weight((), keras.initializers.Constant(epsilon), trainable=False, name="epsilon")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        return self.classifier(images, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Replaces the images by adversarial ones; the rest is the step of Keras."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        return super().train_step((self.perturb(images, labels), labels, weights))

    def perturb(self, images: Any, labels: Any) -> Any:
        """Returns adversarial images in [0, 1], within epsilon of the given ones.

        Args:
            images: float32, (batch, height, width, channels), in [0, 1].
            labels: int, (batch,). The true labels.
        """
        # Imported late: other recipes run where TensorFlow is not installed.
        import tensorflow as tf

        low, high = ops.maximum(images - self.epsilon, 0.0), ops.minimum(images + self.epsilon, 1.0)
        start = keras.random.uniform(ops.shape(images), -1.0, 1.0, seed=self.seed_generator)
        adversarial = ops.clip(images + self.epsilon * start, low, high)
        for _ in range(self.steps):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(adversarial)
                logits = self.classifier(adversarial, training=False)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            direction = ops.sign(tape.gradient(loss, adversarial))
            adversarial = ops.clip(adversarial + self.relative_step * self.epsilon * direction, low, high)
        return ops.stop_gradient(adversarial)
