"""ABS and biABS of Schott et al.: a variational autoencoder for each class, trained side by side on its own images."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.loading import create_model
from cortexzoo.models import AnalysisBySynthesis
from cortexzoo.training.bases import load_base
from cortexzoo.training.class_batches import ClassBatches, in_cycles
from cortexzoo.training.fitting import fit
from cortexzoo.training.recipes.base import Recipe, Trained
from cortexzoo.training.recipes.cnn import PAPER

# Factors on the energy of a class that are tried for biABS; those of the authors are between 0.96 and 1.06.
_SCALES = np.linspace(0.9, 1.1, 41)
_SWEEPS = 3


def default_config() -> ConfigDict:
    """Config of ABS. `batch_size` counts images of all classes; each autoencoder sees its share."""
    return ConfigDict({"dataset": "mnist", "seed": 0, "epochs": 8, "batch_size": 160, "learning_rate": 3e-3})


class AutoencoderTraining(keras.Model):
    """Fits every class' autoencoder to its own images: squared error plus KL divergence, a mean over images.

    The images of a batch cycle through the classes, 0, 1, ..., 0, 1, ..., so that the stack of autoencoders takes the batch
    as a stack of images without a pass that counts for nothing.
    """

    def __init__(self, model: AnalysisBySynthesis) -> None:
        super().__init__()
        # Only these layers are tracked, and therefore trained.
        self.stage_layers = [model.sampling, *model.encoder, *model.decoder]
        self._terms, self.num_classes = model.evidence_terms, model.num_classes
        self.error, self.divergence = keras.metrics.Mean(name="error"), keras.metrics.Mean(name="divergence")

    def call(self, images: Any, training: bool = False) -> Any:
        """Returns squared error and divergence, (classes, batch / classes, 2)."""
        cycles = ops.reshape(images, (-1, self.num_classes, *images.shape[1:]))
        return ops.stack(self._terms(ops.transpose(cycles, (1, 0, 2, 3, 4)), training), axis=-1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The negative evidence lower bound, a mean over images."""
        return ops.mean(ops.sum(y_pred, axis=-1))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Adds the two terms of the bound."""
        self.error.update_state(y_pred[..., 0])
        self.divergence.update_state(y_pred[..., 1])
        return self.get_metrics_result()


def fit_autoencoders(config: ConfigDict, directory: Path) -> Trained:
    """Trains with Adam and a cosine schedule, and keeps the epoch of the highest evidence on the validation split."""
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    description = datasets.info(config.dataset)
    classes = description.num_classes
    model = AnalysisBySynthesis(image_shape=description.image_shape, num_classes=classes)
    model.build()
    stage = AutoencoderTraining(model)
    batches = ClassBatches(train.images, train.labels, config.batch_size, config.seed, classes)
    stage(batches[0][0][:classes])
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * len(batches))
    stage.compile(keras.optimizers.Adam(schedule), jit_compile=False)
    chosen = in_cycles(validation.labels, np.arange(len(validation)), classes)
    history = fit(
        stage,
        batches,
        (validation.images[chosen], validation.labels[chosen]),
        epochs=config.epochs,
        seed=config.seed,
        directory=directory / "autoencoders",
        monitor="val_loss",
        mode="min",
    )
    scores = {"accuracy": _accuracy(_likelihoods(model, validation.images), validation.labels)}
    return Trained(model, {**scores, "evidence lower bound": -min(history["val_loss"])}, {"autoencoders": config.epochs})


def binarized_config() -> ConfigDict:
    """Config of biABS; `base` is the model whose weights it takes."""
    return ConfigDict({"dataset": "mnist", "seed": 0, "base": "mnist/abs"})


def fit_binarized_autoencoders(config: ConfigDict, directory: Path, *, base: Path) -> Trained:
    """Takes the weights of a catalogued ABS, binarises its input, and chooses the scales of its classes."""
    original = load_base(base, config.dataset, {"binarize": False, "class_scales": None})
    model = create_model(type(original).__name__, {**original.get_config(), "binarize": True})
    model.set_weights(original.get_weights())
    validation = datasets.load(config.dataset, "validation")
    likelihoods = _likelihoods(model, validation.images)
    scales = class_scales(likelihoods, validation.labels)
    model.class_scales = tuple(scales)
    unscaled = _accuracy(likelihoods, validation.labels)
    scores = {"accuracy": _accuracy(likelihoods * scales, validation.labels), "accuracy without scales": unscaled}
    return Trained(model, scores, {})


def class_scales(likelihoods: np.ndarray, labels: np.ndarray) -> list[float]:
    """Chooses class by class the factor of highest accuracy, and of several the one nearest to 1.

    Args:
        likelihoods: log-likelihoods without scales, (n, classes).
        labels: int, (n,).
    """
    scales = np.ones(likelihoods.shape[1])
    nearest_first = _SCALES[np.argsort(np.abs(_SCALES - 1), kind="stable")]
    for _ in range(_SWEEPS):
        for i in range(len(scales)):
            tried = [np.where(np.arange(len(scales)) == i, scale, scales) for scale in nearest_first]
            scales = max(tried, key=lambda values: _accuracy(likelihoods * values, labels))
    return [round(float(scale), 3) for scale in scales]


def _likelihoods(model: AnalysisBySynthesis, images: np.ndarray) -> np.ndarray:
    return model.predict(images, batch_size=100, verbose=0) / model.logit_scale


def _accuracy(likelihoods: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(np.argmax(likelihoods, axis=1) == labels))


_FROM_PAPER = [
    (
        "A variational autoencoder for each class, latent 8. Encoder: valid convolutions, kernels 5, 4, 3, 5, strides 1, 2, "
        "2, 1, maps 32, 32, 64, 16. Decoder: transposed convolutions, kernels 4, 5, 5, 4, strides 1, 2, 2, 1, maps 32, 16, "
        "16, 1, sigmoid. Batch norm and ELU on all but the last layers."
    ),
    "Training: each autoencoder on images of its class; squared error plus KL divergence, Adam 3e-3.",
    (
        "Inference: the latent of least energy for each class, first among candidates, then by Adam steps of 0.05 with "
        "||z|| <= 5; log-likelihood -(||x - G(z)||^2 + ||z||^2 / 2) / 784."
    ),
]
_OUR_CHOICE = [
    (
        "Candidates: the mean of the class' encoder and 32 draws from N(0, I); 10 steps of Adam, of which the best latent "
        "counts. The paper: 8,000 draws and 50 steps, which `with_inference()` gives."
    ),
    "Logits: 440 times the log-likelihoods, the exponent of the paper's confidence, without the constant that bounds it.",
    "Batches of 160, 16 images of each class; the paper's 128. Cosine schedule, 8 epochs; batch statistics for each class.",
    "The best epoch by the evidence lower bound on the validation split.",
    "The gradient of the logits is that at the latent that was found (envelope theorem).",
]

ABS = Recipe(
    id="mnist/abs",
    title="Analysis by Synthesis (ABS) on MNIST",
    description=(
        "A variational autoencoder for each digit. An image is given to the digit whose decoder can come nearest to it, as "
        "a search over latents finds out."
    ),
    paper=PAPER,
    from_paper=_FROM_PAPER,
    our_choice=_OUR_CHOICE,
    config=default_config,
    fit=fit_autoencoders,
    family="abs",
)
BINARIZED = dataclasses.replace(
    ABS,
    id="mnist/biabs",
    title="Binary Analysis by Synthesis (biABS) on MNIST",
    description="The weights of ABS, with the input thresholded at 0.5 at inference only, and a scale for each class.",
    from_paper=[*_FROM_PAPER, "The weights of ABS; inputs binarised at 0.5, and energies scaled for each class."],
    our_choice=[
        *_OUR_CHOICE,
        "The scales of the classes are chosen on the validation split for clean accuracy.",
        "`logits` passes the gradient straight through the threshold; `attack_logits` replaces it by a steep sigmoid.",
    ],
    config=binarized_config,
    fit=fit_binarized_autoencoders,
    variant="binarized",
    variant_of=ABS.id,
    bases=("base",),
)
RECIPES = [ABS, BINARIZED]
