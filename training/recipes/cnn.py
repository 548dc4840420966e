"""The convolutional baselines of the ABS paper: CNN, and biCNN with the same weights behind a threshold."""

from pathlib import Path

import keras
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.loading import create_model
from cortexzoo.models import ConvolutionalNetwork
from cortexzoo.training.bases import load_base
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.fitting import fit
from cortexzoo.training.limits import Range
from cortexzoo.training.recipes.base import Recipe, Trained

PAPER = {
    "title": "Towards the first adversarially robust neural network model on MNIST",
    "authors": "L. Schott, J. Rauber, M. Bethge, W. Brendel",
    "year": 2019,
    "url": "https://arxiv.org/abs/1805.09190",
}


def default_config() -> ConfigDict:
    """Config of the plain CNN."""
    return ConfigDict(
        {"dataset": "mnist", "seed": 0, "epochs": 10, "batch_size": 128, "learning_rate": 1e-3, "max_shift": 2}
    )


def fit_cnn(config: ConfigDict, directory: Path) -> Trained:
    """Trains on clean, slightly shifted images with cross-entropy, Adam and a cosine schedule."""
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    batches = EpochBatches(train.images, train.labels, config.batch_size, config.seed, max_shift=config.max_shift)
    model = ConvolutionalNetwork()
    model.build()
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * len(batches))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False)
    history = fit(
        model,
        batches,
        (validation.images, validation.labels),
        epochs=config.epochs,
        seed=config.seed,
        directory=directory / "classifier",
        monitor="val_accuracy",
        mode="max",
    )
    return Trained(model, {"accuracy": max(history["val_accuracy"])}, {"classifier": config.epochs})


def binarized_config() -> ConfigDict:
    """Config of biCNN; `base` is the model whose weights it takes."""
    return ConfigDict({"dataset": "mnist", "seed": 0, "base": "mnist/cnn"})


def fit_binarized(config: ConfigDict, directory: Path, *, base: Path) -> Trained:
    """Takes the weights of a catalogued model, `base`, and binarises at inference; nothing is trained."""
    original = load_base(base, config.dataset, {"binarize": False})
    model = create_model(type(original).__name__, {**original.get_config(), "binarize": True})
    model.set_weights(original.get_weights())
    validation = datasets.load(config.dataset, "validation")
    model.compile(metrics=["accuracy"], loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    accuracy = model.evaluate(validation.images, validation.labels, batch_size=500, verbose=0, return_dict=True)["accuracy"]
    return Trained(model, {"accuracy": accuracy}, {})


_ARCHITECTURE = (
    "Architecture: valid convolutions, maps 20, 70, 256, 10, kernels 5, 4, 3, 5, strides 1, 2, 2, 1, batch norm, ELU."
)
_CHOICES = [
    "Batch normalisation (momentum 0.9, epsilon 1e-5) before ELU, Keras' default initialisation.",
    "Adam 1e-3 with a cosine schedule, batch 128, 10 epochs, random shifts by up to 2 pixels.",
    "The best epoch by validation accuracy.",
]
RECIPES = [
    Recipe(
        id="mnist/cnn",
        title="CNN on MNIST",
        description="The plain convolutional baseline of the ABS paper: accurate, and not robust at all.",
        paper=PAPER,
        from_paper=[_ARCHITECTURE],
        our_choice=_CHOICES,
        config=default_config,
        fit=fit_cnn,
        family="cnn",
        limits={"max_shift": Range(0, 14)},
    ),
    Recipe(
        id="mnist/bicnn",
        title="Binary CNN (biCNN) on MNIST",
        description=(
            "The CNN with its input thresholded at 0.5. The threshold alone hides the gradient and removes small L∞ changes "
            "of pixels near 0 or 1; it is the baseline that any binarised defence has to beat."
        ),
        paper=PAPER,
        from_paper=[_ARCHITECTURE, "The weights of the CNN, inputs binarised at 0.5 at inference only."],
        our_choice=[
            *_CHOICES,
            "`logits` passes the gradient straight through the threshold; `attack_logits` replaces it by a steep sigmoid.",
        ],
        config=binarized_config,
        fit=fit_binarized,
        family="cnn",
        variant="binarized",
        variant_of="mnist/cnn",
        bases=("base",),
    ),
]
