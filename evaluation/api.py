"""`cz.evaluate` and `cz.attack`: any classifier, any images, from Python."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cortexzoo.evaluation import suites
from cortexzoo.evaluation.adversarials import Adversarials
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.registry import build_attack
from cortexzoo.evaluation.conversion import Preprocessing
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model, catalogued
from cortexzoo.evaluation.opening import open_model, open_scaled
from cortexzoo.evaluation.result import Result
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.running.single import run_attack
from cortexzoo.evaluation.targeted import check_targets
from cortexzoo.evaluation.thresholds import thresholds_for
from cortexzoo.images import ImageSource, open_images
from cortexzoo.norms import NORMS


def evaluate(
    model: Any,
    images: Any = None,
    labels: Any = None,
    *,
    suite: str = "quick",
    epsilons: Mapping[str, float | Sequence[float]] | None = None,
    norms: Sequence[str] | None = None,
    samples: int | None = None,
    targets: np.ndarray | int | None = None,
    scale: float | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    batch_limit: int | None = None,
    sources: Sequence[str] = (),
    store: str | os.PathLike[str] | None = None,
    seed: int = 0,
    workers: int = 1,
    keep_images: bool = False,
    name: str | None = None,
) -> Result:
    """Attacks a classifier with every attack of a suite and tells what accuracy is left.

    Args:
        model: id in the catalogue; path of a SavedModel, a .keras or an .h5 file; or a `keras.Model`. It takes images in
            [0, 1] (but see `scale`, `mean`, `std`) and gives logits; a Keras model's final softmax is taken off.
        images: array, (n, height, width, channels), float in [0, 1] or uint8; a `tf.data.Dataset` of images and labels; name
            of a catalogued or any TFDS data set; path of an .npz file or of a folder of class folders. Defaults to the
            test split that a catalogued model is for.
        labels: int array, (n,), beside an array of images.
        suite: name of the attacks or shifts; `cortexzoo suites` lists them.
        epsilons: thresholds by norm, each one or several, such as {"linf": 8 / 255}. They take the place of the data set's.
        norms: attack these alone. Defaults to all.
        samples: attack the first so many images. Defaults to the suite's number.
        targets: a class, or one for each image, that the attacks are to reach. Defaults to any but the label.
        scale: 255 for a model of images from 0 to 255; images above 1 are then taken to be such, too.
        mean, std: the model wants (image * scale - mean) / std; one number, or one a channel.
        batch_limit: the most images to differentiate at once. Defaults to what fits into memory.
        sources: ids of models whose adversarials are transferred, for suites that do so.
        store: SQLite file that keeps the results and that a later call resumes from. Defaults to memory.
        seed: seed of the attacks.
        workers: processes that share the attacks.
        keep_images: keep every adversarial image, not just the first ten of an attack.
        name: what tables call the model.

    Returns:
        A `Result`: prints as a table, and has accuracies, intervals, distances, figures.

    Raises:
        ValueError: something of the above is not as expected; the message says what to do.
        IntegrityError: a file of a catalogued model differs from its card.
    """
    chosen = suites.find(suite)
    source, opened = _open(model, images, labels, scale, name)
    evaluation = Evaluation(
        model=opened,
        images=source,
        store=Store(store if store is not None else ":memory:"),
        thresholds=thresholds_for(source.info, epsilons or {}),
        samples=samples,
        seed=seed,
        workers=workers,
        sources=tuple(catalogued(list(sources))),
        preprocessing=preprocessing_of(scale, mean, std),
        batch_limit=batch_limit,
        keeps_images=keep_images,
        norms=_checked_norms(norms),
        targets=None if targets is None else _targets(source, targets),
    )
    chosen.run(evaluation)
    return Result(chosen.summarize(evaluation))


def attack(
    model: Any,
    images: Any,
    labels: Any = None,
    *,
    norm: str = "linf",
    epsilon: float | None = None,
    attack: str | Attack | None = None,
    targets: np.ndarray | int | None = None,
    scale: float | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    batch_limit: int | None = None,
    seed: int = 0,
    **settings: Any,
) -> Adversarials:
    """Attacks every image with one attack and returns what it found as arrays.

    Args:
        model, images, labels, targets, scale, mean, std, batch_limit, seed: see `evaluate`.
        norm: "linf", "l2", "l1" or "l0".
        epsilon: the size of the perturbation. None to look for each image's smallest.
        attack: name of the attack, such as "pgd", "deepfool" or "boundary", or an attack with its settings. Defaults to PGD
            in L-inf and L2, sparse descent in L1, and Brendel-Bethge in L0.
        settings: the attack's own, such as steps=100.

    Returns:
        `Adversarials`: images, success, distances, predictions.

    Raises:
        ValueError: something of the above is not as expected; the message says what to do.

    Example:

    >>> found = cz.attack(model, images, labels, norm="linf", epsilon=8 / 255)
    >>> found.success.mean(), found.images[found.success]
    """
    (norm,) = _checked_norms([norm])
    source, opened = _open(model, images, labels, scale, None)
    thresholds = thresholds_for(source.info, {} if epsilon is None else {norm: epsilon})
    if not isinstance(attack, Attack):
        attack = build_attack(attack, norm, epsilon, thresholds[norm][0], **settings)
    evaluation = Evaluation(
        model=opened,
        images=source,
        store=Store(":memory:"),
        thresholds=thresholds,
        seed=seed,
        preprocessing=preprocessing_of(scale, mean, std),
        batch_limit=batch_limit,
        targets=None if targets is None else _targets(source, targets),
    )
    return run_attack(evaluation, attack, float("inf") if epsilon is None else epsilon)


def preprocessing_of(scale: float | None, mean: float | Sequence[float], std: float | Sequence[float]) -> Preprocessing:
    """Returns what is done to an image before the model sees it."""
    return Preprocessing(
        1.0 if scale is None else float(scale), tuple(np.atleast_1d(mean).tolist()), tuple(np.atleast_1d(std).tolist())
    )


def _open(model: Any, images: Any, labels: Any, scale: float | None, name: str | None) -> tuple[ImageSource, Model]:
    if images is None:
        opened = open_model(model, None, name)
        if not opened.dataset:
            raise ValueError(
                "Expected `images` and `labels`. Received: none, and the model is for no data set of the catalogue."
            )
        return open_images(opened.dataset), opened
    source = open_scaled(images, labels, scale)
    return source, open_model(model, source.info.image_shape, name)


def _targets(source: ImageSource, targets: np.ndarray | int) -> np.ndarray:
    return check_targets(targets, source.load("test").labels, source.info.num_classes)


def _checked_norms(norms: Sequence[str] | None) -> tuple[str, ...]:
    if unknown := [norm for norm in norms or () if norm not in NORMS]:
        raise ValueError(f"Expected norms among {', '.join(NORMS)}. Received: {', '.join(map(repr, unknown))}.")
    return tuple(norms or NORMS)
