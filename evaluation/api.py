"""`cz.evaluate` and `cz.attack`: evaluate and attack any classifier on any images."""

import os
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np

from cortexzoo.evaluation import diagnosis, suites
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
from cortexzoo.evaluation.suites.base import Suite
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
    diagnose: bool = False,
    name: str | None = None,
) -> Result:
    """Runs all attacks or shifts of a suite on a classifier and reports the remaining accuracy.

    Args:
        model: id in the catalogue; path of a SavedModel, of a .keras or .h5 file; or a `keras.Model`. It takes images in
            [0, 1] (but see `scale`, `mean`, `std`) and returns logits; a Keras model's final softmax is removed.
        images: array, (n, height, width, channels), float in [0, 1] or uint8; a `tf.data.Dataset` of images and labels; name
            of a data set in the catalogue or in TFDS; path of an .npz file or of a folder of class folders. Defaults to the
            test split of a catalogued model's data set.
        labels: int array, (n,), if `images` is an array.
        suite: name of the suite of attacks or shifts; `cortexzoo suites` lists them.
        epsilons: thresholds by norm, one or several each, such as {"linf": 8 / 255}. They replace the data set's.
        norms: attack only these norms. Defaults to all.
        samples: attack only the first images, this many. Defaults to the suite's number.
        targets: the class that the attacks aim at, or one per image. By default any class but the label will do.
        scale: 255 for a model that takes images from 0 to 255. Images with values above 1 are then read in that range, too.
        mean, std: for a model that takes (image * scale - mean) / std; one number each, or one per channel.
        batch_limit: the most images to differentiate at once. Defaults to what fits into memory.
        sources: ids of further models from which adversarial images are transferred, for suites that do so.
        store: SQLite file that keeps the results, so that a later call resumes. By default they stay in memory.
        seed: seed of the attacks.
        workers: the number of processes that share the attacks.
        keep_images: keep all adversarial images, not just the first ten of each attack.
        diagnose: look for every sign of gradient masking, in about a minute; see `Result.diagnosis`.
        name: the model's name in tables.

    Returns:
        A `Result`, which prints as a table and has accuracies, intervals, distances and figures.

    Raises:
        ValueError: an argument is invalid; the message says what to do.
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
        sources=_sources(chosen, opened, sources),
        preprocessing=preprocessing_of(scale, mean, std),
        batch_limit=batch_limit,
        keeps_images=keep_images,
        norms=_checked_norms(norms),
        targets=None if targets is None else _targets(source, targets),
    )
    chosen.run(evaluation)
    if diagnose:
        diagnosis.diagnose(evaluation)
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
    """Attacks every image with one attack and returns the adversarial images as arrays.

    Args:
        model, images, labels, targets, scale, mean, std, batch_limit, seed: see `evaluate`.
        norm: "linf", "l2", "l1" or "l0".
        epsilon: the allowed size of the perturbation. None looks for the smallest one of each image.
        attack: name of the attack, such as "pgd", "deepfool" or "boundary", or an attack object. Defaults to PGD in L-inf
            and L2, sparse descent in L1, and Brendel-Bethge in L0.
        settings: settings of the attack, such as steps=100.

    Returns:
        `Adversarials`: images, success, distances, predictions.

    Raises:
        ValueError: an argument is invalid; the message says what to do.

    Example:

    >>> found = cz.attack(model, images, labels, norm="linf", epsilon=8 / 255)
    >>> found.success.mean(), found.images[found.success]
    """
    (norm,) = _checked_norms([norm])
    if not isinstance(attack, (str, Attack, NoneType)):
        raise TypeError(f"Expected `attack` to be a name or an object of a subclass of Attack. Received: {attack!r}.")
    if epsilon is not None and np.ndim(epsilon):
        raise ValueError(f"Expected one `epsilon`. Received: {epsilon!r}. `evaluate` takes several, as `epsilons`.")
    source, opened = _open(model, images, labels, scale, None)
    thresholds = thresholds_for(source.info, {} if epsilon is None else {norm: epsilon})
    if isinstance(attack, Attack) and settings:
        raise ValueError(
            f"Expected the settings inside of `attack`, as in {type(attack).__name__}({next(iter(settings))}=...). "
            f"Received: {', '.join(settings)} beside it."
        )
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
    """Returns the preprocessing for these arguments of `evaluate`."""
    return Preprocessing(
        1.0 if scale is None else float(scale), tuple(np.atleast_1d(mean).tolist()), tuple(np.atleast_1d(std).tolist())
    )


def _open(model: Any, images: Any, labels: Any, scale: float | None, name: str | None) -> tuple[ImageSource, Model]:
    if images is None:
        opened = open_model(model, None, name)
        if not opened.dataset:
            raise ValueError(
                "Expected `images` and `labels`, as the model is not in the catalogue and has no data set. Received: none."
            )
        return open_images(opened.dataset), opened
    source = open_scaled(images, labels, scale)
    return source, open_model(model, source.info.image_shape, name)


def _sources(suite: Suite, model: Model, names: Sequence[str]) -> tuple[Model, ...]:
    """The models that the suite takes for this one and those given, sorted by name; the model is no source of its own."""
    found = {one.name: one for one in catalogued([*(suite.sources_of(model) or ()), *names])}
    return tuple(found[name] for name in sorted(found) if found[name].digest != model.digest)


def _targets(source: ImageSource, targets: np.ndarray | int) -> np.ndarray:
    return check_targets(targets, source.load("test").labels, source.info.num_classes)


def _checked_norms(norms: Sequence[str] | None) -> tuple[str, ...]:
    norms = (norms,) if isinstance(norms, str) else norms
    if unknown := [norm for norm in norms or () if norm not in NORMS]:
        raise ValueError(f"Expected norms among {', '.join(NORMS)}. Received: {', '.join(map(repr, unknown))}.")
    return tuple(norms or NORMS)
