"""Adversarial training of any classifier inside Keras `fit`."""

from typing import Any

import keras
from keras import ops

from cortexzoo.training.adversarial.attack_losses import kl_divergence
from cortexzoo.training.adversarial.perturbation import Batch, Perturbation


class AdversarialTrainer(keras.Model):
    """Fits a classifier on perturbed images, made for each batch from the current weights.

    >>> model = cz.load_model("mnist/cnn")
    >>> trainer = AdversarialTrainer(model, ProjectedGradient("linf", epsilon=0.3, steps=7))
    >>> trainer.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    >>> trainer.fit(images, labels, validation_data=(more_images, more_labels))
    >>> cz.export_model(model, "my_model/1")

    Loss, metrics, callbacks and regularisers work as in any Keras model. In training they are those of the perturbed images,
    in `evaluate` and on validation data those of clean ones; `RobustValidation` adds the accuracy under attack. What is
    random comes from one seed generator. Runs on TensorFlow and on JAX.

    Args:
        classifier: a built model from images in [0, 1], (batch, height, width, channels), to logits, (batch, classes). Its
            weights are trained in place.
        perturbation: what is done to the images, such as `ProjectedGradient`, `WorstOf` or `PixelFlips`.
        trades: float or None. With a number beta the loss is that of the clean images plus beta times the divergence
            KL(p(x) || p(x')) of the predictions on the clean and the perturbed image (TRADES, Zhang et al. 2019,
            https://arxiv.org/abs/1901.08573; beta = 6 there, and the attack's loss "kl"). Metrics then see both.
        seed: int or None. Seed of the perturbations.

    Attributes:
        scale: scalar variable, 1 at first. Share of every epsilon; a curriculum sets it, see
            `cortexzoo.training.annealing.AnnealedVariable`.

    Raises:
        ValueError: `trades` is not positive, or the perturbation then has several copies.
    """

    def __init__(
        self, classifier: keras.Model, perturbation: Perturbation, trades: float | None = None, seed: int | None = None
    ) -> None:
        super().__init__()
        if trades is not None and (trades <= 0.0 or perturbation.copies != 1):
            raise ValueError(
                "Expected `trades` > 0, and a perturbation with one copy of each image. "
                f"Received: trades={trades}, perturbation={perturbation}"
            )
        self.classifier, self.perturbation, self.trades = classifier, perturbation, trades
        self.scale = self.add_weight((), keras.initializers.Constant(1.0), trainable=False, name="scale")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        return self.classifier(images, training=training)

    def perturb(self, images: Any, labels: Any) -> Any:
        """Returns perturbed images in [0, 1], (copies * batch, height, width, channels).

        Args:
            images: float32, (batch, height, width, channels), in [0, 1].
            labels: int, (batch,). The true labels.
        """
        logits = lambda values: self.classifier(values, training=False)  # noqa: E731
        return self.perturbation(Batch(images, labels, logits, ops.convert_to_tensor(self.scale), self.seed_generator))

    def train_step(self, *arguments: Any) -> Any:
        """Replaces the images by perturbed ones; the rest is the step of Keras, which on JAX takes the state as well."""
        if keras.backend.backend() == "jax":
            return super().train_step(*self._perturbed_state(*arguments))
        return super().train_step(self._perturbed(*arguments))

    def _perturbed(self, data: Any) -> tuple[Any, Any, Any]:
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        perturbed, copies = self.perturb(images, labels), self.perturbation.copies
        if self.trades is not None:
            perturbed, copies = ops.concatenate([images, perturbed]), 2
        return perturbed, _repeated(labels, copies), None if weights is None else _repeated(weights, copies)

    def _perturbed_state(self, state: tuple, data: Any) -> tuple[tuple, tuple]:
        """On JAX variables are values that the step passes on: those that the perturbation changes, seeds, are taken up."""
        trainable, other, *rest = state
        values = [*zip(self.trainable_variables, trainable, strict=True)]
        values += zip(self.non_trainable_variables, other, strict=True)
        with keras.StatelessScope(state_mapping=values) as scope:
            data = self._perturbed(data)
        other = [scope.get_current_value(variable) for variable in self.non_trainable_variables]
        return (trainable, other, *rest), data

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        if self.trades is None or not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        half = ops.shape(y_pred)[0] // 2
        weights = None if sample_weight is None else sample_weight[:half]
        loss = super().compute_loss(x, y[:half], y_pred[:half], weights, training)
        return loss + self.trades * ops.mean(kl_divergence(y_pred[half:], y[:half], y_pred[:half]))


def _repeated(values: Any, copies: int) -> Any:
    return values if copies == 1 else ops.concatenate([values] * copies)
