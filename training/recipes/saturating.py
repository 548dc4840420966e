"""Saturating networks of Nayebi and Ganguli, each beside equally long trained twins: plain, FGSM-trained, PGD-trained."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.layers.nonlinearities import NONLINEARITIES
from cortexzoo.loading import create_model
from cortexzoo.models import ImageClassifier
from cortexzoo.training.adversarial import AdversarialTrainer, ProjectedGradient, robust_accuracy
from cortexzoo.training.annealing import AnnealedVariable, LinearRamp
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.fitting import fit
from cortexzoo.training.limits import ANYTHING, EPOCHS, WIDTHS, Limit, OneOf, Range
from cortexzoo.training.recipes.base import Recipe, Trained

PAPER = {
    "title": "Biologically inspired protection of deep networks from adversarial attacks",
    "authors": "A. Nayebi, S. Ganguli",
    "year": 2017,
    "url": "https://arxiv.org/abs/1703.09202",
}
# Weight of the saturation penalty in the hold: the largest of a sweep (`cortexzoo study sweep`) that costs at most a point
# of validation accuracy. The sweeps are kept in docs/figures/saturating.
STRENGTHS = {
    "mnist/saturating_sigmoid_mlp": 0.1,
    "mnist/saturating_relu_mlp": 2e-3,
    "mnist/saturating_relu_cnn": 0.1,
    "fashion_mnist/saturating_sigmoid_mlp": 0.1,
}
_LIMITS: dict[str, Limit] = {
    "class_name": OneOf(("MultilayerPerceptron", "MaxPoolingNetwork")),
    "activation": OneOf(NONLINEARITIES),
    "hidden_units": WIDTHS,
    "hold_epochs": EPOCHS,
    "warm_up_epochs": Range(0, 100_000),
    "strength": Range(0.0, 1e6),
    "epsilon": Range(0.0, 1.0),
    "attack_steps": Range(1, 10_000),
    "relative_step": Range(0.0, 100.0, above_low=True),
    # `evaluation` transfers adversarials from it.
    "twin": ANYTHING,
}
_DATASET_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
_CHECKED_IMAGES = 1000
_CHECK_STEPS = 40


@dataclasses.dataclass(frozen=True)
class _Network:
    """One architecture with the length of its trainings, which is the same for all its twins.

    Attributes:
        hidden_units: of a perceptron; None for the model's default.
    """

    name: str
    title: str
    class_name: str
    activation: str
    epochs: int
    warm_up_epochs: int
    hold_epochs: int
    hidden_units: tuple[int, ...] | None = None

    def config(self, dataset: str, **values: Any) -> ConfigDict:
        """Returns what all trainings of the network share, and `values`."""
        return ConfigDict(
            {
                "dataset": dataset,
                "seed": 0,
                "class_name": self.class_name,
                "activation": self.activation,
                "epochs": self.epochs,
                "hold_epochs": self.hold_epochs,
                "batch_size": 128,
                "learning_rate": 1e-3,
                **({} if self.hidden_units is None else {"hidden_units": self.hidden_units}),
                **values,
            }
        )

    def annealed(self, dataset: str, **values: Any) -> ConfigDict:
        return self.config(dataset, warm_up_epochs=self.warm_up_epochs, twin=f"{dataset}/{self.name}", **values)


SIGMOID_MLP = _Network("sigmoid_mlp", "Sigmoid MLP", "MultilayerPerceptron", "sigmoid", 60, 10, 20)
RELU_MLP = _Network("relu_mlp", "ReLU MLP", "MultilayerPerceptron", "relu", 60, 10, 20)
RELU_CNN = _Network("relu_cnn", "ReLU CNN", "MaxPoolingNetwork", "relu", 18, 3, 6)
_NETWORKS = (SIGMOID_MLP, RELU_MLP, RELU_CNN)
# What may make saturation help: other sizes than the sigmoid MLP's, and a longer annealing.
_VARIANTS = (
    dataclasses.replace(SIGMOID_MLP, name="wide_sigmoid_mlp", title="Wide sigmoid MLP", hidden_units=(800, 800, 800)),
    dataclasses.replace(SIGMOID_MLP, name="narrow_sigmoid_mlp", title="Narrow sigmoid MLP", hidden_units=(50, 50, 50)),
    dataclasses.replace(SIGMOID_MLP, name="deep_sigmoid_mlp", title="Deep sigmoid MLP", hidden_units=(200,) * 5),
    dataclasses.replace(SIGMOID_MLP, name="shallow_sigmoid_mlp", title="Shallow sigmoid MLP", hidden_units=(200,)),
    dataclasses.replace(SIGMOID_MLP, name="slow_sigmoid_mlp", title="Slowly annealed sigmoid MLP", epochs=180),
)
# Variants are compared at one weight a unit, that of the sigmoid MLP, and not each at a sweep's.
STRENGTHS |= {
    f"mnist/saturating_{network.name}": STRENGTHS["mnist/saturating_sigmoid_mlp"] * 600 / sum(network.hidden_units or (600,))
    for network in _VARIANTS
}


def fit_plain(config: ConfigDict, directory: Path) -> Trained:
    """Trains with cross-entropy on clean images."""
    model = _create_model(config)
    return _fit(model, model, config, directory)


def fit_saturating(config: ConfigDict, directory: Path) -> Trained:
    """Trains with cross-entropy plus the saturation penalty, whose weight is annealed up to `strength`."""
    model = _create_model(config, saturation_penalty=config.strength)
    annealing = AnnealedVariable(model.penalty.weight, config.strength, _ramp(config), "strength")
    return _fit(model, model, config, directory, [annealing])


def fit_adversarial(config: ConfigDict, directory: Path) -> Trained:
    """Trains on adversarial images alone, whose epsilon is annealed; reports the accuracy under a longer attack."""
    model = _create_model(config)
    attack = ProjectedGradient("linf", config.epsilon, config.attack_steps, config.relative_step)
    trainee = AdversarialTrainer(model, attack)
    annealing = AnnealedVariable(trainee.scale, 1.0, _ramp(config), "share of epsilon")
    trained = _fit(model, trainee, config, directory, [annealing])
    # Tells whether the robustness is that against the training's own attack only; nothing is chosen by it.
    check = ProjectedGradient("linf", config.epsilon, _CHECK_STEPS, relative_step=0.1)
    validation = datasets.load(config.dataset, "validation").first(_CHECKED_IMAGES)
    trained.validation["accuracy under PGD"] = robust_accuracy(
        model, validation.images, validation.labels, check, seed=config.seed
    )
    return trained


def _create_model(config: ConfigDict, **hyperparameters: Any) -> ImageClassifier:
    description = datasets.info(config.dataset)
    shapes = {"image_shape": description.image_shape, "num_classes": description.num_classes}
    if "hidden_units" in config:
        shapes["hidden_units"] = config.hidden_units
    return create_model(config.class_name, {"activation": config.activation, **shapes, **hyperparameters})


def _ramp(config: ConfigDict) -> LinearRamp:
    return LinearRamp(config.epochs, config.warm_up_epochs, config.hold_epochs)


def _fit(
    model: ImageClassifier,
    trainee: keras.Model,
    config: ConfigDict,
    directory: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Trained:
    """Fits `trainee`, which is the model or trains it, and leaves the best of the last epochs by clean validation accuracy.

    A saturating network is most accurate while the penalty is still small, and an adversarially trained one while epsilon
    is: only the epochs of the hold are candidates. Their plain twins choose among as many.
    """
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    batches = EpochBatches(train.images, train.labels, config.batch_size, config.seed)
    trainee(batches[0][0][:1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainee.compile(keras.optimizers.Adam(config.learning_rate), loss, metrics=["accuracy"], jit_compile=False)
    choose_from = max(0, config.epochs - config.hold_epochs)
    history = fit(
        trainee,
        batches,
        (validation.images, validation.labels),
        epochs=config.epochs,
        seed=config.seed,
        directory=directory / "classifier",
        monitor="val_accuracy",
        mode="max",
        choose_from=choose_from,
        callbacks=callbacks,
    )
    return Trained(model, {"accuracy": max(history["val_accuracy"][choose_from:])}, {"classifier": config.epochs})


def _schedule_text(network: _Network, value: str) -> str:
    ramp = LinearRamp(network.epochs, network.warm_up_epochs, network.hold_epochs)
    return (
        f"{value} is 0 for {ramp.warm_up_epochs} epochs, rises linearly for {ramp.ramp_epochs} and is held for the last "
        f"{ramp.hold_epochs}."
    )


def _choices(network: _Network) -> list[str]:
    sizes = {
        "MultilayerPerceptron": f"Hidden layers of {', '.join(map(str, network.hidden_units or (200,) * 3))} units.",
        "MaxPoolingNetwork": "5 x 5 convolutions of 16 and 32 maps, each max-pooled, then 128 dense units.",
    }
    return [
        sizes[network.class_name],
        f"Adam 1e-3, batch 128, {network.epochs} epochs for every twin.",
        f"The best of the last {network.hold_epochs} epochs by clean validation accuracy.",
    ]


def _plain(dataset: str, network: _Network) -> Recipe:
    return Recipe(
        id=f"{dataset}/{network.name}",
        title=f"{network.title} on {_DATASET_TITLES[dataset]}",
        description="The plain twin of the saturating and the adversarially trained network: same sizes, same training.",
        paper=PAPER,
        from_paper=[f"The plain {network.title}, trained with cross-entropy."],
        our_choice=_choices(network),
        config=lambda: network.config(dataset),
        fit=fit_plain,
        family=network.name,
        limits=_LIMITS,
    )


def _saturating(dataset: str, network: _Network) -> Recipe:
    model_id = f"{dataset}/saturating_{network.name}"
    psi = {"sigmoid": "sigma(z) (1 - sigma(z))", "relu": "relu(z)"}[network.activation]
    return Recipe(
        id=model_id,
        title=f"Saturating {network.title} on {_DATASET_TITLES[dataset]}",
        description=(
            "A penalty inspired by nonlinear dendrites drives hidden units into the flat parts of their nonlinearity. "
            "Gradients that vanish in float32 make it look more robust to plain attacks than it is."
        ),
        paper=PAPER,
        from_paper=[
            f"Cross-entropy + lambda times the sum over hidden layers and units of psi_c(z) = {psi}; never on the logits.",
            "lambda is annealed upwards during the training.",
        ],
        our_choice=[
            *_choices(network),
            "Sum over units and layers, mean over the batch.",
            _schedule_text(network, f"lambda = {STRENGTHS[model_id]:g}"),
            "lambda per unit is that of the sigmoid MLP."
            if network in _VARIANTS
            else "lambda is the largest value of a sweep that costs at most one point of the plain network's validation "
            "accuracy.",
        ],
        config=lambda: network.annealed(dataset, strength=STRENGTHS[model_id]),
        fit=fit_saturating,
        family=network.name,
        variant="saturating",
        variant_of=f"{dataset}/{network.name}",
        limits=_LIMITS,
        check=_ramp,
    )


def _adversarial(dataset: str, network: _Network, name: str, steps: int, relative_step: float, how: str) -> Recipe:
    return Recipe(
        id=f"{dataset}/{name}_{network.name}",
        title=f"{name.upper()}-trained {network.title} on {_DATASET_TITLES[dataset]}",
        description=f"A network that Nayebi and Ganguli compare theirs with, trained on adversarial images: {how}.",
        paper=PAPER,
        from_paper=["The architecture of the plain twin, trained on adversarial images."],
        our_choice=[
            *_choices(network),
            f"Adversarial images alone, L∞, made with the true labels: {how}.",
            f"The accuracy under PGD on this card is for {_CHECK_STEPS} steps of epsilon / 10 on {_CHECKED_IMAGES:,} "
            "validation images. It would reveal catastrophic overfitting; nothing was chosen by it.",
            _schedule_text(network, "epsilon = 0.3"),
            "As many updates as the plain twin.",
        ],
        config=lambda: network.annealed(dataset, epsilon=0.3, attack_steps=steps, relative_step=relative_step),
        fit=fit_adversarial,
        family=network.name,
        variant=name,
        variant_of=f"{dataset}/{network.name}",
        limits=_LIMITS,
        check=_ramp,
    )


def _fgsm(dataset: str, network: _Network) -> Recipe:
    how = "one step of 1.25 epsilon from a random start (Wong et al. 2020), which guards against label leaking"
    return _adversarial(dataset, network, "fgsm", 1, 1.25, how)


def _pgd(dataset: str, network: _Network) -> Recipe:
    return _adversarial(dataset, network, "pgd", 7, 0.25, "7 steps of epsilon / 4 from a random start (Madry et al. 2018)")


_KINDS: tuple[Callable[[str, _Network], Recipe], ...] = (_plain, _saturating, _fgsm, _pgd)
RECIPES = [
    *(kind("mnist", network) for network in _NETWORKS for kind in _KINDS),
    *(kind("fashion_mnist", SIGMOID_MLP) for kind in (_plain, _saturating)),
    *(kind("mnist", network) for network in _VARIANTS for kind in (_plain, _saturating)),
]
