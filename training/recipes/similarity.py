"""Residual networks without and with the similarity regulariser of Attias et al., its controls among them."""

import functools
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging
from cortexzoo import datasets
from cortexzoo.layers import RepresentationalSimilarityRegularizer
from cortexzoo.models import ResidualNetwork
from cortexzoo.training import targets
from cortexzoo.training.batches import EpochBatches, crop, mirror
from cortexzoo.training.configuration import base_digest
from cortexzoo.training.fitting import fit
from cortexzoo.training.recipes.base import Recipe, Trained
from cortexzoo.training.recipes.similarity_settings import (
    CHOICES,
    INITIAL_WEIGHTS,
    OWN_SETTINGS,
    default_config,
    ignored_settings,
)
from cortexzoo.training.schedules import RestartedStepDecay
from cortexzoo.training.similarity import LayerWeightLog, PairedBatches, SimilarityTraining
from cortexzoo.training.targets import SimilarityTarget
from ml_collections import ConfigDict

PAPER = {
    "title": "A Brain-Inspired Regularizer for Adversarial Robustness",
    "authors": "E. Attias, C. Pehlevan, D. Obeid",
    "year": 2024,
    "url": "https://arxiv.org/abs/2410.03952",
}
# Pixels by which augmented images are shifted at most.
MAX_SHIFT = 4


def fit_similarity(config: ConfigDict, directory: Path) -> Trained:
    """Trains the network with cross-entropy, and with the regulariser unless `target` is "none"."""
    if ignored := ignored_settings(config):
        logging.warning("With the target %s nothing reads the settings %s.", config.target, ", ".join(ignored))
    train, validation = (datasets.load(config.dataset, split) for split in ("train", "validation"))
    model, network, batches = build_model(config, train.first(config.train_images or len(train)), directory)
    regularised = isinstance(model, SimilarityTraining)
    facts = batches.similarity.facts() if regularised else {}
    # What else a training was made of than its config, so that it never resumes on another.
    sources = [base_digest(config.features_model)] if config.get("features_model") else []
    sources += [facts["recordings_sha256"][:10]] if "recordings_sha256" in facts else []
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
    # Published in float32, whatever the precision of the training, and scored as it is published.
    published = build_network(config, "float32")
    published.build()
    published.set_weights(network.get_weights())
    published.compile(metrics=["accuracy"], loss=_cross_entropy(), jit_compile=_jit_compile())
    scores = published.evaluate(validation.images, validation.labels, batch_size=500, verbose=0, return_dict=True)
    details = {"layer_weights": model.layer_weights(), "target": facts} if regularised else {}
    return Trained(published, {"accuracy": scores["accuracy"]}, {"classifier": config.epochs}, details)


def build_model(
    config: ConfigDict, train: datasets.Split, directory: Path | None = None
) -> tuple[keras.Model, ResidualNetwork, EpochBatches]:
    """Returns the compiled model that is fitted, the network in it and the batches; of "none" model and network are one.

    Args:
        config: of a recipe.
        train: the training images.
        directory: see `pair_target`.
    """
    network = build_network(config, config.dtype)
    # Built before anything else is drawn: of one seed, all targets start from the same weights and see the same batches.
    network.build()
    if config.initial_weights not in INITIAL_WEIGHTS:
        raise ValueError(
            f"`initial_weights` must be one of {', '.join(INITIAL_WEIGHTS)}. Received: {config.initial_weights!r}"
        )
    if config.initial_weights == "pytorch":
        _draw_as_pytorch(network, config.seed)
    if config.target == "none":
        model, batches = network, class_batches(config, train)
    else:
        regularizer = RepresentationalSimilarityRegularizer(config.strength, transform=config.transform)
        model = SimilarityTraining(network, regularizer, config.pairs, config.statistics)
        model.build()
        batches = class_batches(config, train, pair_target(config, directory))
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


def pair_target(config: ConfigDict, directory: Path | None = None) -> SimilarityTarget:
    """Returns the target similarities of a config, over its regularisation set.

    Args:
        config: of a recipe.
        directory: folder of the training, in which a target keeps what it has fitted. Defaults to none.

    Raises:
        ValueError: a setting that the target needs is missing, or a setting is refused.
    """
    if config.target == "shuffled":
        options = {"of": config.shuffled_of, **_target_options(config.shuffled_of, config, directory)}
    else:
        options = _target_options(config.target, config, directory)
    return targets.build(config.target, _regularization_images(config), seed=config.seed, **options)


def _regularization_images(config: ConfigDict) -> np.ndarray:
    """Returns a seeded choice of training images, or the first ones; as they are, or each shifted and mirrored once."""
    if config.regularization_choice not in CHOICES:
        raise ValueError(
            f"`regularization_choice` must be one of {', '.join(CHOICES)}. Received: {config.regularization_choice!r}"
        )
    images = datasets.load(config.regularization_dataset, "train").images
    if config.train_images and config.regularization_dataset == config.dataset:
        # A network without a regulariser sees no others.
        images = images[: config.train_images]
    # The same order as that of the class images in the first epoch, which the networks of the catalogue were trained with.
    generator = np.random.default_rng(config.seed)
    chosen = np.arange(len(images)) if config.regularization_choice == "first" else generator.permutation(len(images))
    images = images[np.sort(chosen[: config.regularization_images])]
    if config.regularization_augmented:
        offsets = generator.integers(0, 2 * MAX_SHIFT, (len(images), 2), endpoint=True)
        images = mirror(crop(images, offsets, MAX_SHIFT, "reflect"), generator.random(len(images)) < 0.5)
    return images


def _target_options(name: str, config: ConfigDict, directory: Path | None) -> dict[str, Any]:
    """Returns what a config says to the target called `name`."""
    if name == "pixel":
        return {"average_channels": config.average_channels} if "average_channels" in config else {}
    if name == "thresholded":
        own = {**OWN_SETTINGS["thresholded"], **config}
        named = ("threshold", "side", "inner_threshold", "signs", "average_channels")
        return {option: own[option] for option in named if option in own}
    if name == "simulated_v1":
        own = {**OWN_SETTINGS["simulated_v1"], **config}
        return {option: own[f"v1_{option}"] for option in ("units", "trials", "complex_share")}
    if name == "recordings":
        path = _needed(config, "recordings", "mouse.npz")
        own = {**OWN_SETTINGS["recordings"], **config}
        where = {"directory": directory / "predictor"} if directory else {}
        return {"path": path, "responses": own["responses"], "epochs": own["predictor_epochs"], **where}
    if name == "features":
        model = _needed(config, "features_model", "fashion_mnist/resnet")
        return {"model": model, "layer": _needed(config, "features_layer", "stage_4")}
    return {}


def _needed(config: ConfigDict, name: str, example: str) -> str:
    """Returns a setting that has no default.

    Raises:
        ValueError: it is empty, or the recipe is none that has it.
    """
    if not config.get(name):
        raise ValueError(
            f"Expected a value of the setting {name}, as in --set={name}={example}. Received: none. A recipe without that "
            "setting does not take this target. See docs/similarity.md."
        )
    return config[name]


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
    """XLA is slower than plain TensorFlow on a CPU; JAX without it compiles nothing."""
    return keras.backend.backend() != "tensorflow"


_FROM_PAPER = [
    "ResNet18, a 7x7 stem of stride 1 without pooling, linear head; input 5 (x - 0.5).",
    "SGD 0.1 with momentum 0.9, no weight decay, batch 64; the rate 0.1 x 0.3^floor((e mod 20) / 4) of 40 parts e.",
]
_REGULARIZER_FROM_PAPER = [
    "Cross-entropy + alpha mean (A(S_cnn) - A(S_target))^2 over k = 16 pairs a step, uniform over all pairs.",
    "S_cnn: cosines of centred features after the stem and each stage, weighted by a trained softmax.",
    "The moving mean of the features starts at 0 and takes a batch in before it is used, as in the paper's code.",
]
_OUR_CHOICE = [
    "The best epoch by the accuracy on 5,000 validation images.",
    "Initial weights: normal with variance 2 / fan-out (He et al. 2015); the paper's code has PyTorch's, which are smaller.",
    "Trained in mixed bfloat16, published in float32.",
    "On MNIST and Fashion-MNIST the same input scaling as on CIFAR-10, and no shifts and flips.",
]
_REGULARIZER_OUR_CHOICE = [
    "Pairs feed no statistics of the batch normalisation (`statistics=all`: they do, as in the paper's code).",
    "Pairs are not augmented.",
]
_TITLES = {
    "fashion_mnist": "Fashion-MNIST",
    "cifar10_gray": "gray CIFAR-10",
    "mnist": "MNIST",
    "cifar10": "colour CIFAR-10",
}
# By variant: suffix of the id, what follows "ResNet18" in the title, and the description.
_VARIANTS = {
    "none": ("", "", "A residual network with cross-entropy alone: the baseline of the similarity regularisers."),
    "pixel": (
        "_pixel",
        " with pixel similarities",
        "Pairs of images shall be as similar in the features as they are in the pixels, centred by the mean image.",
    ),
    "thresholded": (
        "_thresholded",
        " with thresholded pixel similarities",
        "As with pixel similarities, but these are pushed to 1 or -1 beyond a threshold and to 0 within it.",
    ),
    "simulated_v1": (
        "_v1",
        " with similarities of a simulated V1",
        "Pairs of images shall be as similar in the features as in the responses of a simulated V1.",
    ),
    "recordings": (
        "_recordings",
        " with similarities of recorded neurons",
        "Pairs of images shall be as similar in the features as in the responses of recorded neurons, from a file of yours.",
    ),
    "features": (
        "_features",
        " with similarities of another network",
        "Pairs of images shall be as similar in the features as in those of a network that is trained already.",
    ),
    "shuffled": (
        "_shuffled",
        " with shuffled similarities",
        "A control: the targets belong to other pairs, so that they have the right distribution and no meaning.",
    ),
    "constant": (
        "_constant",
        " with similarity 0 for all pairs",
        "A control: no two images shall be alike in the features, whatever they show.",
    ),
    "gaussian": (
        "_gaussian",
        " with Gaussian noise in training",
        "A control without a regulariser: Gaussian noise on all training images.",
    ),
    "blurred": (
        "_blurred",
        " with blurred input",
        "A control without a regulariser: a fixed Gaussian blur in front of the network takes the high frequencies away.",
    ),
}


def _recipe(dataset: str, variant: str) -> Recipe:
    suffix, title, description = _VARIANTS[variant]
    config = functools.partial(default_config, dataset, variant)
    epochs, target = config().epochs, config().target
    budget = f"Width 16 instead of 64, and {epochs} epochs instead of 40, the 40 parts of the schedule so much shorter."
    facts: dict[str, Any] = {"from_paper": [*_FROM_PAPER], "our_choice": [budget, *_OUR_CHOICE]}
    if dataset.startswith("cifar"):
        facts["from_paper"].append("Images are shifted by up to 4 pixels into a mirrored border, and flipped.")
    if noise := config().noise:
        facts["our_choice"].append(f"Gaussian noise of standard deviation {noise:g} on every training image.")
    if blur := config().blur:
        facts["our_choice"].append(f"A Gaussian blur with a standard deviation of {blur:g} pixel, inside the model.")
    if target != "none":
        strength, threshold = config().strength, config().threshold
        facts["from_paper"] += [*_REGULARIZER_FROM_PAPER, f"alpha = {strength:g}."]
        facts["our_choice"] += _REGULARIZER_OUR_CHOICE
        if target != "recordings":
            facts["from_paper"].append("Pairs of 5,000 training images.")
        if target == "thresholded":
            facts["from_paper"].append(f"Th = {threshold:g}.")
    return Recipe(
        id=f"{dataset}/resnet{suffix}",
        title=f"ResNet18{title} on {_TITLES[dataset]}",
        description=description,
        paper=PAPER,
        config=config,
        fit=fit_similarity,
        family="resnet",
        variant="" if variant == "none" else variant,
        variant_of="" if variant == "none" else f"{dataset}/resnet",
        **facts,
    )


RECIPES = [
    *(_recipe(dataset, variant) for dataset in ("fashion_mnist", "cifar10_gray") for variant in _VARIANTS),
    *(_recipe(dataset, variant) for dataset in ("mnist", "cifar10") for variant in ("none", "thresholded")),
]
