"""Residual networks without and with the similarity regulariser of Attias et al., and their controls."""

import dataclasses
import functools
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.layers import RepresentationalSimilarityRegularizer
from cortexzoo.models import ResidualNetwork
from cortexzoo.training import targets
from cortexzoo.training.batches import EpochBatches, crop, mirror
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.fitting import fit
from cortexzoo.training.recipes.base import Recipe, Trained
from cortexzoo.training.recipes.similarity_settings import LIMITS, check_settings, default_config, ignored_settings
from cortexzoo.training.schedules import RestartedStepDecay
from cortexzoo.training.similarity import LayerWeightLog, PairedBatches, SimilarityTraining
from cortexzoo.training.targets import SimilarityTarget, TargetSpecification, registry

_LOG = logging.getLogger(__name__)

PAPER = {
    "title": "A Brain-Inspired Regularizer for Adversarial Robustness",
    "authors": "E. Attias, C. Pehlevan, D. Obeid",
    "year": 2024,
    "url": "https://arxiv.org/abs/2410.03952",
}
# Pixels by which augmented images are shifted at most.
MAX_SHIFT = 4


def fit_similarity(config: ConfigDict, directory: Path, **bases: Path) -> Trained:
    """Trains the network with cross-entropy, and with the regulariser unless `target` is "none"."""
    if ignored := ignored_settings(config):
        _LOG.warning("Nothing reads the settings %s under the target %s.", ", ".join(ignored), config.target)
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    model, network, batches = build_model(config, train.first(config.train_images or len(train)), directory, bases)
    regularised = isinstance(model, SimilarityTraining)
    sources = batches.similarity.sources() if regularised else []
    fit(
        model,
        batches,
        (validation.images, validation.labels),
        epochs=config.epochs,
        seed=config.seed,
        directory=directory / "-".join(["classifier", *sources]),
        monitor="val_accuracy",
        mode="max",
        callbacks=[LayerWeightLog()] if regularised else [],
    )
    published = _in_float32(network, config)
    scores = published.evaluate(validation.images, validation.labels, batch_size=500, verbose=0, return_dict=True)
    details = {"layer_weights": model.layer_weights(), "target": batches.similarity.facts()} if regularised else {}
    return Trained(published, {"accuracy": scores["accuracy"]}, {"classifier": config.epochs}, details)


def _in_float32(network: ResidualNetwork, config: ConfigDict) -> ResidualNetwork:
    """Returns the network as it is published, whatever the precision of the training, compiled to be scored."""
    published = build_network(config, "float32")
    published.build()
    published.set_weights(network.get_weights())
    published.compile(metrics=["accuracy"], loss=_cross_entropy(), jit_compile=_jit_compile())
    return published


def build_model(
    config: ConfigDict,
    train: datasets.Split,
    directory: Path | None = None,
    bases: Mapping[str, Path] | None = None,
) -> tuple[keras.Model, ResidualNetwork, EpochBatches]:
    """Returns the compiled model that is fitted, the network in it and the batches. Under "none" model and network are one.

    Args:
        config: of a recipe.
        train: the training images.
        directory, bases: see `pair_target`.
    """
    network = build_network(config, config.dtype)
    # Built before anything else is drawn: with one seed all targets start from the same weights and see the same batches.
    network.build()
    if config.initial_weights == "pytorch":
        _draw_as_pytorch(network, config.seed)
    if config.target == "none":
        model, batches = network, class_batches(config, train)
    else:
        regularizer = RepresentationalSimilarityRegularizer(config.strength, transform=config.transform)
        model = SimilarityTraining(network, regularizer, config.pairs, config.statistics)
        model.build()
        batches = class_batches(config, train, pair_target(config, directory, bases))
    compile_model(model, config, len(batches))
    return model, network, batches


def _draw_as_pytorch(network: ResidualNetwork, seed: int) -> None:
    """Draws kernels, and the bias of the head, uniformly within 1 / sqrt(fan-in): a variance of 1 / (3 fan-in)."""
    generator = np.random.default_rng(seed)
    for weight in network.trainable_variables:
        if weight.name == "kernel":
            fan_in = math.prod(weight.shape[:-1])
        elif weight is network.head.bias:
            fan_in = network.head.kernel.shape[0]
        else:
            continue
        weight.assign(generator.uniform(-(fan_in**-0.5), fan_in**-0.5, weight.shape))


def build_network(config: ConfigDict, dtype: str) -> ResidualNetwork:
    """Returns the untrained network of a config, not built yet."""
    description = datasets.info(config.dataset)
    return ResidualNetwork(
        depth=config.depth,
        width=config.width,
        image_shape=description.image_shape,
        num_classes=description.num_classes,
        blur=config.blur,
        dtype=dtype,
    )


def pair_target(
    config: ConfigDict, directory: Path | None = None, bases: Mapping[str, Path] | None = None
) -> SimilarityTarget:
    """Returns the target similarities of a config, over its regularisation set.

    Args:
        config: of a recipe.
        directory: folder of the training, in which a target keeps what it has fitted. Defaults to none.
        bases: directories of catalogued models that targets need, by the setting that names them.

    Raises:
        ConfigError: a setting that the target needs is missing, or the target refuses a setting or a file.
    """
    options = registry.options(config, directory, bases)
    images = _regularization_images(config)
    try:
        return targets.build(config.target, images, seed=config.seed, **options)
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(str(error)) from error


def _regularization_images(config: ConfigDict) -> np.ndarray:
    """Returns a seeded choice of training images, or the first ones; as they are, or each shifted and mirrored once."""
    images = datasets.load(config.regularization_dataset, "train").images
    if config.train_images and config.regularization_dataset == config.dataset:
        # The network without a regulariser sees no others.
        images = images[: config.train_images]
    # The order of the class images in the first epoch, as the networks of the catalogue were trained.
    generator = np.random.default_rng(config.seed)
    chosen = np.arange(len(images)) if config.regularization_choice == "first" else generator.permutation(len(images))
    images = images[np.sort(chosen[: config.regularization_images])]
    if config.regularization_augmented:
        offsets = generator.integers(0, 2 * MAX_SHIFT, (len(images), 2), endpoint=True)
        images = mirror(crop(images, offsets, MAX_SHIFT, "reflect"), generator.random(len(images)) < 0.5)
    return images


def class_batches(config: ConfigDict, train: datasets.Split, target: SimilarityTarget | None = None) -> EpochBatches:
    """Returns the batches of a config, with pairs where there is a target."""
    augmentation = {"max_shift": MAX_SHIFT, "border": "reflect", "flip": True} if config.augment else {}
    augmentation["noise"] = config.noise
    arguments = (train.images, train.labels, config.batch_size, config.seed)
    if target is None:
        return EpochBatches(*arguments, **augmentation)
    return PairedBatches(*arguments, similarity=target, pairs=config.pairs, **augmentation)


def compile_model(model: keras.Model, config: ConfigDict, steps: int) -> None:
    """Compiles with the paper's optimiser; `steps` are those of one epoch."""
    schedule = RestartedStepDecay(config.learning_rate, config.epochs * steps)
    # The cross-entropy alone, beside the loss that has the regulariser in it.
    metrics = ["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy", from_logits=True)]
    optimizer = keras.optimizers.SGD(schedule, momentum=config.momentum)
    model.compile(optimizer, _cross_entropy(), metrics=metrics, jit_compile=_jit_compile())


def _cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _jit_compile() -> bool:
    """XLA is slower than plain TensorFlow on a CPU, and without it JAX compiles nothing."""
    return keras.backend.backend() != "tensorflow"


_FROM_PAPER = [
    "ResNet18, a 7x7 stem of stride 1 without pooling, linear head; input 5 (x - 0.5).",
    "SGD 0.1 with momentum 0.9, no weight decay, batch 64; the rate 0.1 x 0.3^floor((e mod 20) / 4) of 40 parts e.",
]
_REGULARIZER_FROM_PAPER = [
    "Cross-entropy + alpha mean (A(S_cnn) - A(S_target))^2 over k = 16 pairs per step, uniform over all pairs.",
    "S_cnn: cosines of centred features after the stem and each stage, weighted by a trained softmax.",
    "The moving mean of the features starts at 0 and includes a batch before it is used, as in the paper's code.",
]
_OUR_CHOICE = [
    "The best epoch by the accuracy on 5,000 validation images.",
    "Initial weights: normal with variance 2 / fan-out (He et al. 2015); those of the paper's code, PyTorch's, are smaller.",
    "Trained in mixed bfloat16, published in float32.",
    "On MNIST and Fashion-MNIST the same input scaling as on CIFAR-10, and no shifts or flips.",
]
_REGULARIZER_OUR_CHOICE = [
    "Pairs do not feed the statistics of the batch normalisation (with `statistics=all` they do, as in the paper's code).",
    "Pairs are not augmented.",
]
_TITLES = {
    "fashion_mnist": "Fashion-MNIST",
    "cifar10_gray": "gray CIFAR-10",
    "mnist": "MNIST",
    "cifar10": "colour CIFAR-10",
}


@dataclasses.dataclass(frozen=True)
class _Variant:
    """One network of the comparison.

    Attributes:
        name: "" for the plain network.
        suffix: ending of the recipe's id.
        title: what its title says after "ResNet18".
        description: for its card.
        datasets: data sets for which there is a recipe.
        target: its similarity target; None for a network without the regulariser.
        changes: settings with other values than the defaults.
    """

    name: str
    suffix: str
    title: str
    description: str
    datasets: tuple[str, ...] = ("fashion_mnist", "cifar10_gray")
    target: TargetSpecification | None = None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_WITHOUT_TARGET = (
    _Variant(
        "",
        "",
        "",
        "A residual network with cross-entropy alone: the baseline of the similarity regularisers.",
        datasets=tuple(_TITLES),
    ),
    _Variant(
        "gaussian",
        "_gaussian",
        " with Gaussian noise in training",
        "A control without a regulariser: Gaussian noise on all training images.",
        changes={"noise": 0.1},
    ),
    _Variant(
        "blurred",
        "_blurred",
        " with blurred input",
        "A control without a regulariser: a fixed Gaussian blur in front of the network removes high frequencies.",
        changes={"blur": 1.0},
    ),
)


def _variant(target: TargetSpecification) -> _Variant:
    ending, title = f"_{target.suffix or target.name}", f" with {target.title}"
    return _Variant(target.name, ending, title, target.description, target.datasets, target)


def _from_paper(config: ConfigDict, target: TargetSpecification | None) -> list[str]:
    lines = [*_FROM_PAPER]
    if config.augment:
        lines.append("Images are shifted by up to 4 pixels into a mirrored border, and flipped.")
    if target:
        lines += [*_REGULARIZER_FROM_PAPER, f"alpha = {config.strength:g}."]
        lines += [] if target.own_images else ["Pairs of 5,000 training images."]
        lines += [line.format(**config) for line in target.from_paper]
    return lines


def _our_choice(config: ConfigDict, target: TargetSpecification | None) -> list[str]:
    epochs = config.epochs
    lines = [f"Width 16 instead of 64, and {epochs} epochs instead of 40, the 40 parts of its schedule shortened alike."]
    lines += _OUR_CHOICE
    if config.noise:
        lines.append(f"Gaussian noise of standard deviation {config.noise:g} on every training image.")
    if config.blur:
        lines.append(f"A Gaussian blur with a standard deviation of {config.blur:g} pixel, inside the model.")
    return [*lines, *(_REGULARIZER_OUR_CHOICE if target else [])]


def _recipe(dataset: str, variant: _Variant) -> Recipe:
    target = variant.target
    config = functools.partial(default_config, dataset, target.name if target else "none", **variant.changes)
    return Recipe(
        id=f"{dataset}/resnet{variant.suffix}",
        title=f"ResNet18{variant.title} on {_TITLES[dataset]}",
        description=variant.description,
        paper=PAPER,
        from_paper=_from_paper(config(), target),
        our_choice=_our_choice(config(), target),
        config=config,
        fit=fit_similarity,
        family="resnet",
        variant=variant.name,
        variant_of=f"{dataset}/resnet" if variant.name else "",
        limits=LIMITS,
        bases=tuple(setting.name for setting in target.settings if setting.is_model) if target else (),
        check=check_settings,
    )


RECIPES = [
    _recipe(dataset, variant)
    for variant in (*_WITHOUT_TARGET, *map(_variant, targets.specifications().values()))
    for dataset in variant.datasets
]
