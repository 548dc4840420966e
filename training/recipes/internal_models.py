"""DIM, biDIM and the ablations of Liu et al.: a denoiser first, then the class-wise internal models."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.models import DenoisedInternalModels
from cortexzoo.training.bases import load_base
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.configuration import base_digest
from cortexzoo.training.fitting import fit
from cortexzoo.training.limits import ANYTHING, EPOCHS, STANDARD_DEVIATION, WIDTHS, Limit
from cortexzoo.training.recipes.base import Recipe, Trained
from cortexzoo.training.recipes.cnn import fit_binarized

PAPER = {
    "title": "Denoised Internal Models: a Brain-Inspired Autoencoder against Adversarial Attacks",
    "authors": "Liu et al.",
    "year": 2021,
    "url": "https://arxiv.org/abs/2111.10844",
}
_LIMITS: dict[str, Limit] = {
    "denoiser": ANYTHING,
    "shared_encoder": ANYTHING,
    "denoiser_widths": WIDTHS,
    "internal_widths": WIDTHS,
    "denoiser_noise": STANDARD_DEVIATION,
    "internal_noise": STANDARD_DEVIATION,
    "denoiser_epochs": EPOCHS,
    "internal_epochs": EPOCHS,
}
_LOGIT_SCALES = np.geomspace(1.0, 100.0, 41)


def default_config() -> ConfigDict:
    """Config of DIM; the ablations change `denoiser`, `shared_encoder` and `denoiser_base` (whose denoiser to take)."""
    return ConfigDict(
        {
            "dataset": "mnist",
            "seed": 0,
            "batch_size": 256,
            "denoiser": True,
            "denoiser_base": "",
            "shared_encoder": False,
            "denoiser_widths": (512, 256, 64),
            "internal_widths": (128, 32, 10),
            "denoiser_noise": 0.5,
            "internal_noise": 0.3,
            "denoiser_epochs": 40,
            "internal_epochs": 40,
            "learning_rate": 1e-3,
        }
    )


class DenoiserTraining(keras.Model):
    """Fits D in  E ||x - D(x + eps)||^2  (the paper's first stage); the targets are the clean pixels."""

    def __init__(self, model: DenoisedInternalModels) -> None:
        super().__init__()
        # Only the layers of this stage are tracked, and therefore trained.
        self.stage_layers = [model.input_noise, model.denoiser]
        self._denoise = model.denoise

    def call(self, images: Any, training: bool = False) -> Any:
        return self._denoise(images, training=training)


class InternalModelsTraining(keras.Model):
    """Fits every F_i in  E ||F_i(y + eps) - y I_i||^2, y = D(x)  (the paper's second stage); the targets are labels.

    An image is of one class, so that F_i sees K - 1 black targets for one image and collapses to black. Weighting the
    own-class term by K - 1 balances the two.
    """

    def __init__(self, model: DenoisedInternalModels) -> None:
        super().__init__()
        self.stage_layers = [model.denoised_noise, *model.encoder, *model.decoder]
        self._reconstruct, self.num_classes = model.reconstruct, model.num_classes
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    def call(self, denoised: Any, training: bool = False) -> Any:
        """Returns the reconstructions, (batch, classes, pixels)."""
        return ops.transpose(self._reconstruct(denoised, training=training), (1, 0, 2))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ):
        """The weighted squared error, mean over batch, classes and pixels."""
        own = ops.one_hot(y, self.num_classes)[:, :, None]
        errors = ops.mean(ops.square(y_pred - own * x[:, None, :]), axis=-1, keepdims=True)
        return ops.mean((1.0 + (self.num_classes - 2.0) * own) * errors)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Adds the accuracy of the loudest reconstruction."""
        self.accuracy.update_state(y, ops.sum(y_pred, axis=-1))
        return self.get_metrics_result()


def fit_internal_models(config: ConfigDict, directory: Path, *, denoiser_base: Path | None = None) -> Trained:
    """Trains the denoiser, then the internal models on denoised images, then scales the logits on validation images.

    The denoiser is that of the catalogued model `denoiser_base` where the config names one.
    """
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    description = datasets.info(config.dataset)
    model = DenoisedInternalModels(
        denoiser_widths=config.denoiser_widths if config.denoiser else None,
        internal_widths=config.internal_widths,
        shared_encoder=config.shared_encoder,
        denoiser_noise=config.denoiser_noise,
        internal_noise=config.internal_noise,
        image_shape=description.image_shape,
        num_classes=description.num_classes,
    )
    model.build()
    epochs, scores, second = {"internal_models": config.internal_epochs}, {}, "internal_models"
    if denoiser_base:
        second = f"{second}-{base_digest(denoiser_base)}"
        base = load_base(denoiser_base, config.dataset, {"denoiser_widths": list(config.denoiser_widths)})
        model.denoiser.set_weights(base.denoiser.get_weights())
    elif config.denoiser:
        scores["denoising error"] = _fit_denoiser(model, train, validation, config, directory / "denoiser")
        epochs["denoiser"] = config.denoiser_epochs
    history = _fit_reconstruction(model, train, validation, config, directory / second)
    scores["accuracy"] = max(history["val_accuracy"])
    scores["logit scale"] = _calibrate(model, validation)
    return Trained(model, scores, epochs)


def _fit_denoiser(
    model: DenoisedInternalModels, train: datasets.Split, validation: datasets.Split, config: ConfigDict, directory: Path
) -> float:
    stage = DenoiserTraining(model)
    pixels = validation.images.reshape(len(validation), -1)
    noise = np.random.default_rng(config.seed).normal(0.0, config.denoiser_noise / 2, validation.images.shape)
    noisy = np.clip(validation.images + noise, 0.0, 1.0).astype(np.float32)
    batches = EpochBatches(
        train.images, train.labels, config.batch_size, config.seed, lambda images, _: images.reshape(len(images), -1)
    )
    _compile(stage, batches, config, config.denoiser_epochs, loss="mse")
    history = fit(
        stage,
        batches,
        (noisy, pixels),
        epochs=config.denoiser_epochs,
        seed=config.seed,
        directory=directory,
        monitor="val_loss",
        mode="min",
    )
    return min(history["val_loss"])


def _fit_reconstruction(
    model: DenoisedInternalModels, train: datasets.Split, validation: datasets.Split, config: ConfigDict, directory: Path
) -> dict[str, list[float]]:
    stage = InternalModelsTraining(model)
    # The denoiser is fixed in this stage, so that its output is computed once.
    denoised = [_denoise(model, split.images) for split in (train, validation)]
    batches = EpochBatches(denoised[0], train.labels, config.batch_size, config.seed)
    _compile(stage, batches, config, config.internal_epochs)
    return fit(
        stage,
        batches,
        (denoised[1], validation.labels),
        epochs=config.internal_epochs,
        seed=config.seed,
        directory=directory,
        monitor="val_accuracy",
        mode="max",
    )


def _compile(stage: keras.Model, batches: EpochBatches, config: ConfigDict, epochs: int, loss: str | None = None) -> None:
    stage(batches[0][0][:1])
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, epochs * len(batches))
    # XLA is slower than plain TensorFlow on a CPU for these layers.
    stage.compile(keras.optimizers.Adam(schedule), loss, jit_compile=False)


def _denoise(model: DenoisedInternalModels, images: np.ndarray) -> np.ndarray:
    parts = np.array_split(images, max(1, len(images) // 1000))
    return np.concatenate([ops.convert_to_numpy(model.denoise(part)) for part in parts])


def _calibrate(model: DenoisedInternalModels, validation: datasets.Split) -> float:
    """Chooses the factor from ratios to logits that minimises the validation cross-entropy; no decision changes."""
    ratios = model.predict(validation.images, batch_size=500, verbose=0) / model.logit_scale
    losses = [
        float(ops.mean(keras.losses.sparse_categorical_crossentropy(validation.labels, scale * ratios, from_logits=True)))
        for scale in _LOGIT_SCALES
    ]
    model.logit_scale = round(float(_LOGIT_SCALES[int(np.argmin(losses))]), 3)
    return model.logit_scale


def _ablation_config(denoiser: bool, shared_encoder: bool) -> Callable[[], ConfigDict]:
    def config() -> ConfigDict:
        values = default_config()
        values.denoiser, values.shared_encoder = denoiser, shared_encoder
        values.denoiser_base = DIM.id if denoiser else ""
        return values

    return config


def _check_denoiser(config: ConfigDict) -> None:
    if config.denoiser_base and not config.denoiser:
        raise ValueError(f"Expected denoiser=true with a denoiser_base. Received: denoiser_base={config.denoiser_base!r}")


def _binarized_config() -> ConfigDict:
    return ConfigDict({"dataset": "mnist", "seed": 0, "base": "mnist/dim"})


_FROM_PAPER = [
    (
        "Internal models: ten autoencoders with latent 10, each trained with noise to reconstruct images of its own class, "
        "and black for all others."
    ),
    "Prediction: argmax_i ||F_i(D(x))||_1 / ||D(x)||_1.",
]
_OUR_CHOICE = [
    (
        "The paper's appendix is not available: dense layers 784-128-32-10-32-128-784, linear latent, sigmoid output, "
        "noise 0.3."
    ),
    "The own-class term is weighted by K - 1 = 9; unweighted, every F_i collapses to black.",
    "Adam 1e-3 with a cosine schedule, batch 256, 40 epochs for each stage; the best epoch by the validation split.",
    "Logits are the ratios times a scale that minimises the validation cross-entropy; it changes no decision.",
]
_DENOISER_CHOICE = (
    "Denoiser: dense 784-512-256-64-256-512-784, ReLU, sigmoid output; noise sigma ~ U(0, 0.5) for each image, clipped."
)

DIM = Recipe(
    id="mnist/dim",
    title="Denoised Internal Models (DIM) on MNIST",
    description=(
        "A denoising autoencoder modelled on the thalamus, then a small autoencoder for each digit, modelled on engram "
        "cells of the visual cortex. The digit whose autoencoder responds most strongly wins."
    ),
    paper=PAPER,
    from_paper=["Denoiser D: minimise E ||x - D(x + eps)||^2.", *_FROM_PAPER],
    our_choice=[_DENOISER_CHOICE, *_OUR_CHOICE],
    config=default_config,
    fit=fit_internal_models,
    family="dim",
    limits=_LIMITS,
    bases=("denoiser_base",),
    check=_check_denoiser,
)
BINARIZED = dataclasses.replace(
    DIM,
    id="mnist/bidim",
    title="Binary Denoised Internal Models (biDIM) on MNIST",
    description=("The weights of DIM, with the input and the output of the denoiser thresholded at 0.5 at inference only."),
    from_paper=[*DIM.from_paper, "The weights of DIM; input and denoiser output are binarised at inference only."],
    our_choice=[
        *DIM.our_choice,
        "`logits` passes the gradient straight through both thresholds; `attack_logits` replaces them by steep sigmoids.",
    ],
    config=_binarized_config,
    fit=fit_binarized,
    variant="binarized",
    variant_of=DIM.id,
    bases=("base",),
    check=lambda config: None,
)
IM = dataclasses.replace(
    DIM,
    id="mnist/im",
    title="Internal Models without denoiser (IM) on MNIST",
    description="An ablation of DIM: the ten internal models see the image itself.",
    from_paper=_FROM_PAPER,
    our_choice=_OUR_CHOICE,
    config=_ablation_config(denoiser=False, shared_encoder=False),
    variant="without_denoiser",
    variant_of=DIM.id,
)
SINGLE_IM = dataclasses.replace(
    IM,
    id="mnist/single_im",
    title="Single-head Internal Model (singleIM) on MNIST",
    description="An ablation of DIM: no denoiser, and one encoder shared by ten decoders.",
    from_paper=[*_FROM_PAPER, "One encoder, ten decoders."],
    config=_ablation_config(denoiser=False, shared_encoder=True),
    variant="without_denoiser_shared_encoder",
)
DENOISED_SINGLE_IM = dataclasses.replace(
    DIM,
    id="mnist/dn_single_im",
    title="Denoised single-head Internal Model (Dn-singleIM) on MNIST",
    description="An ablation of DIM: the denoiser, then one encoder shared by ten decoders.",
    from_paper=[*DIM.from_paper, "One encoder, ten decoders."],
    our_choice=[*DIM.our_choice, "The denoiser is DIM's own, weight for weight."],
    config=_ablation_config(denoiser=True, shared_encoder=True),
    variant="shared_encoder",
    variant_of=DIM.id,
)
RECIPES = [DIM, BINARIZED, IM, SINGLE_IM, DENOISED_SINGLE_IM]
