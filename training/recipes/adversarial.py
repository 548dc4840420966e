"""Adversarially trained classifiers: Madry's network, one for several norms, and a residual network.

A training has two stages. The first takes a single step from a random start for each batch (Wong et al. 2020,
https://arxiv.org/abs/2001.03994), with epsilon rising, and costs two clean epochs an epoch. The second takes several steps,
with averaged weights and a falling learning rate.
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.loading import create_model
from cortexzoo.models import ImageClassifier
from cortexzoo.training.adversarial import (
    AdversarialTrainer,
    AllOf,
    CleanEpochs,
    Perturbation,
    ProjectedGradient,
    RobustValidation,
    SteepestDescent,
    WorstOf,
    robust_accuracy,
)
from cortexzoo.training.annealing import AnnealedVariable, LinearRamp
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.curves import plot_history
from cortexzoo.training.fitting import fit
from cortexzoo.training.limits import ANYTHING, LEARNING_RATE, WIDTHS, Limit, OneOf, Range, Sequence
from cortexzoo.training.recipes.base import Recipe, Trained

MADRY = {
    "title": "Towards Deep Learning Models Resistant to Adversarial Attacks",
    "authors": "A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu",
    "year": 2018,
    "url": "https://arxiv.org/abs/1706.06083",
}
MAINI = {
    "title": "Adversarial Robustness Against the Union of Multiple Perturbation Models",
    "authors": "P. Maini, E. Wong, J. Z. Kolter",
    "year": 2020,
    "url": "https://arxiv.org/abs/1909.04068",
}
_STRATEGIES = ("worst", "all", "steepest")
_LIMITS: dict[str, Limit] = {
    "class_name": OneOf(("MaxPoolingNetwork", "ResidualNetwork")),
    "maps": WIDTHS,
    "hidden_units": WIDTHS,
    "width": Range(1, 1024),
    "norms": Sequence(OneOf(("linf", "l2", "l1", "l0"))),
    "epsilons": Sequence(Range(0.0, 10_000.0)),
    "relative_steps": Sequence(Range(0.0, 100.0, above_low=True)),
    "strategy": OneOf(_STRATEGIES),
    "attack_steps": Range(1, 10_000),
    "single_step_epochs": Range(0, 100_000),
    "fine_learning_rate": LEARNING_RATE,
    "averaging": Range(0.0, 0.99999),
    "trades": Range(0.0, 1000.0),
    "max_shift": Range(0, 14),
    "flip": ANYTHING,
    "optimizer": OneOf(("adam", "sgd")),
    "border": OneOf(("constant", "reflect")),
    "checked_images": Range(1, 10_000),
    "check_steps": Range(1, 10_000),
}
# In the first stage a single step, a little longer than epsilon.
_SINGLE_STEP = 1.25


def fit_adversarial(config: ConfigDict, directory: Path) -> Trained:
    """Trains in both stages; takes the averaged weights of the last epoch, so that nothing is chosen by an attack."""
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    model = _create_model(config)
    batches = EpochBatches(
        train.images,
        train.labels,
        config.batch_size,
        config.seed,
        max_shift=config.max_shift,
        flip=config.flip,
        border=config.border,
    )
    checked = validation.first(config.checked_images)
    check = perturbation(config, config.check_steps)
    robust = RobustValidation(checked.images, checked.labels, check, seed=config.seed)
    history: dict[str, list[float]] = {}
    for stage in _stages(config):
        history = _fit(model, stage, batches, validation, robust, config, directory)
    scores = {
        "accuracy": history["val_accuracy"][-1],
        "accuracy under PGD": robust_accuracy(model, checked.images, checked.labels, check, seed=config.seed),
    }
    return Trained(model, scores, {stage.name: stage.epochs for stage in _stages(config)})


@dataclasses.dataclass(frozen=True)
class _Stage:
    """A part of the training; `ramp` raises epsilon, and `averaging` is the momentum of averaged weights, 0 for none."""

    name: str
    epochs: int
    steps: int
    learning_rate: Any
    ramp: LinearRamp | None = None
    averaging: float = 0.0


def _stages(config: ConfigDict) -> list[_Stage]:
    first = config.single_step_epochs
    ramp = LinearRamp(first, 0, max(1, first // 3)) if first else None
    single = _Stage("single_step", first, 1, config.learning_rate, ramp)
    several = _Stage("several_steps", config.epochs, config.attack_steps, config.fine_learning_rate, None, config.averaging)
    return [stage for stage in (single, several) if stage.epochs]


def _fit(
    model: ImageClassifier,
    stage: _Stage,
    batches: EpochBatches,
    validation: datasets.Split,
    robust: RobustValidation,
    config: ConfigDict,
    directory: Path,
) -> dict[str, list[float]]:
    trainer = AdversarialTrainer(model, perturbation(config, stage.steps), config.trades or None)
    trainer(batches[0][0][:1])
    rate = stage.learning_rate
    if stage.ramp is None:
        rate = keras.optimizers.schedules.CosineDecay(rate, stage.epochs * len(batches), alpha=0.02)
    average = {"use_ema": True, "ema_momentum": stage.averaging} if stage.averaging else {}
    optimizer = (
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4, **average)
        if config.optimizer == "sgd"
        else keras.optimizers.Adam(rate, **average)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    annealing = [AnnealedVariable(trainer.scale, 1.0, stage.ramp, "share of epsilon")] if stage.ramp else []
    history = fit(
        trainer,
        batches,
        (validation.images, validation.labels),
        epochs=stage.epochs,
        seed=config.seed,
        directory=directory / stage.name,
        monitor="val_accuracy",
        mode="max",
        # The last epoch alone can be the best.
        choose_from=stage.epochs - 1,
        callbacks=[*annealing, robust, CleanEpochs(model, batches, stage.steps)],
    )
    plot_history(history, directory / f"{stage.name}.png")
    return history


def perturbation(config: ConfigDict, steps: int) -> Perturbation:
    """Returns the attack of a config with this number of steps; a single step is longer."""
    loss = "kl" if config.trades else "cross_entropy"
    attacks = tuple(
        ProjectedGradient(norm, epsilon, steps, _SINGLE_STEP if steps == 1 else step, loss=loss)
        for norm, epsilon, step in zip(config.norms, config.epsilons, config.relative_steps, strict=True)
    )
    if len(attacks) == 1:
        return attacks[0]
    if config.strategy == "steepest":
        return SteepestDescent(attacks, steps)
    return (WorstOf if config.strategy == "worst" else AllOf)(attacks)


def _create_model(config: ConfigDict) -> ImageClassifier:
    description = datasets.info(config.dataset)
    sizes = {name: config[name] for name in ("maps", "hidden_units", "width") if name in config}
    model = create_model(
        config.class_name, {"image_shape": description.image_shape, "num_classes": description.num_classes, **sizes}
    )
    keras.utils.set_random_seed(config.seed)
    model.build()
    return model


def _config(dataset: str, **values: Any) -> ConfigDict:
    return ConfigDict(
        {
            "dataset": dataset,
            "seed": 0,
            "norms": ("linf",),
            "strategy": "worst",
            "attack_steps": 7,
            "single_step_epochs": 6,
            "epochs": 4,
            "batch_size": 128,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "fine_learning_rate": 5e-4,
            "averaging": 0.995,
            "trades": 0.0,
            "max_shift": 0,
            "flip": False,
            "border": "constant",
            "checked_images": 1000,
            "check_steps": 40,
            **values,
        }
    )


_MADRY_SIZES = {"class_name": "MaxPoolingNetwork", "maps": (32, 64), "hidden_units": (1024,)}
_SMALL_SIZES = {"class_name": "MaxPoolingNetwork", "maps": (16, 32), "hidden_units": (128,)}
_RESNET_SIZES = {"class_name": "ResidualNetwork", "width": 16}


def madry_config() -> ConfigDict:
    """Config of the published architecture on MNIST, at L∞ 0.3."""
    return _config("mnist", epsilons=(0.3,), relative_steps=(0.2,), **_MADRY_SIZES)


def fashion_config() -> ConfigDict:
    """The same on Fashion-MNIST, at L∞ 0.1."""
    return _config("fashion_mnist", epsilons=(0.1,), relative_steps=(0.2,), **_MADRY_SIZES)


def multinorm_config() -> ConfigDict:
    """Config of a smaller network that is trained in four norms, at the thresholds of the data set."""
    norms = {"linf": (0.3, 0.1), "l2": (1.5, 0.2), "l1": (8.0, 0.1), "l0": (12.0, 0.5)}
    return _config(
        "mnist",
        norms=tuple(norms),
        epsilons=tuple(epsilon for epsilon, _ in norms.values()),
        relative_steps=tuple(step for _, step in norms.values()),
        strategy="steepest",
        attack_steps=12,
        single_step_epochs=0,
        epochs=8,
        fine_learning_rate=1e-3,
        **_SMALL_SIZES,
    )


def cifar_config() -> ConfigDict:
    """Config of a residual network on CIFAR-10, at L∞ 8/255."""
    return _config(
        "cifar10",
        epsilons=(8 / 255,),
        relative_steps=(0.5,),
        attack_steps=3,
        single_step_epochs=12,
        epochs=4,
        optimizer="sgd",
        learning_rate=0.05,
        fine_learning_rate=0.02,
        max_shift=4,
        flip=True,
        border="reflect",
        check_steps=20,
        **_RESNET_SIZES,
    )


_STAGES = [
    "First stage: one step of 1.25 epsilon from a random start (Wong et al. 2020), epsilon rising linearly.",
    (
        "Second stage: several steps, learning rate falling along a cosine, exponential moving average of the weights; the "
        "last epoch is taken, so that nothing is chosen by an attack."
    ),
    "The accuracy under PGD on this card is on 1,000 validation images; it tells whether gradients are hidden.",
]
_PUBLISHED = [
    "Min-max training: adversarial images alone, by projected gradient descent from a random start.",
    "5x5 convolutions of 32 and 64 maps, each max-pooled, dense 1024, ReLU: 3.3 million weights, hence more than 5 MB.",
]

MNIST_MADRY = Recipe(
    id="mnist/madry",
    title="Madry's network on MNIST",
    description="Adversarial training as in the paper that made it standard, at L∞ 0.3, in a length that a CPU can carry.",
    paper=MADRY,
    from_paper=[*_PUBLISHED, "epsilon = 0.3."],
    our_choice=[
        *_STAGES,
        "7 steps of epsilon / 5 instead of 40 of epsilon / 30; 10 epochs instead of 100,000 batches of 50.",
    ],
    config=madry_config,
    fit=fit_adversarial,
    family="relu_cnn",
    variant="madry",
    variant_of="mnist/relu_cnn",
    limits=_LIMITS,
    check=lambda config: perturbation(config, config.attack_steps),
)
FASHION_MADRY = dataclasses.replace(
    MNIST_MADRY,
    id="fashion_mnist/madry",
    title="Madry's network on Fashion-MNIST",
    description="Adversarial training with projected gradient descent at L∞ 0.1.",
    from_paper=_PUBLISHED,
    our_choice=[*_STAGES, "epsilon = 0.1; 7 steps of epsilon / 5."],
    config=fashion_config,
    # The catalogue has no plain network of this architecture.
    family="madry",
    variant="",
    variant_of="",
)
MULTINORM = dataclasses.replace(
    MNIST_MADRY,
    id="mnist/multinorm",
    title="CNN trained in four norms on MNIST",
    description="Each step of the attack goes in whichever norm raises the loss most: multi steepest descent.",
    paper=MAINI,
    from_paper=["Multi steepest descent: at each step the worst of the proposals of all norms (their algorithm 1)."],
    our_choice=[
        "L0 as well, with the steps of PGD_0 (Croce and Hein 2019); epsilons 0.3, 1.5, 8 and 12 instead of 0.3, 2 and 10.",
        "5 x 5 convolutions of 16 and 32 maps, each max-pooled, then 128 dense units; 12 steps, 8 epochs.",
        *_STAGES[1:],
    ],
    config=multinorm_config,
    variant="multinorm",
)
CIFAR_PGD = dataclasses.replace(
    MNIST_MADRY,
    id="cifar10/pgd_resnet",
    title="PGD-trained ResNet on CIFAR-10",
    description="A narrow residual network, adversarially trained at L∞ 8/255 as far as two cores carry it.",
    from_paper=[_PUBLISHED[0], "epsilon = 8/255."],
    our_choice=["ResNet18 of width 16, 12 epochs of a single step and 4 of three steps of epsilon / 2.", *_STAGES],
    config=cifar_config,
    family="resnet",
    variant="pgd",
    variant_of="cifar10/resnet",
)
RECIPES = [MNIST_MADRY, FASHION_MADRY, MULTINORM, CIFAR_PGD]
