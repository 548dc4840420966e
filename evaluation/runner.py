"""Runs what is missing in the store, chunk by chunk."""

import importlib.metadata
import time
from collections.abc import Iterator

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from evaluation.attacks import Attack, Batch
from evaluation.attacks.base import settings
from evaluation.norms import distances
from evaluation.store import RunKey, Store
from evaluation.suites import Member, Suite
from evaluation.target import Target, TargetError
from zoo.datasets import DatasetInfo, Split

# Adversarial images of this many first samples are kept, for pictures.
KEPT_IMAGES = 10
_PACKAGES = ("brainzoo", "cleverhans", "keras", "numpy", "tensorflow")


def versions() -> dict[str, str]:
    """Returns the versions of the packages that results depend on."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def run_key(target: Target, dataset: str, member: Member, endpoint: str, seed: int) -> RunKey:
    """Returns the identity of one attack on one endpoint in the store."""
    return RunKey(target.digest, dataset, endpoint, seed, settings(member.attack))


def endpoints(target_endpoints: tuple[str, ...], attack: Attack) -> tuple[str, ...]:
    """Returns the endpoints that an attack is run on: gradient-free attacks see the model's own logits only."""
    return target_endpoints if attack.uses_gradients else ("logits",)


def evaluate_clean(target: Target, info: DatasetInfo, split: Split, store: Store) -> None:
    """Classifies the whole split on the serving path, unless the store has it.

    Raises:
        TargetError: an output is not finite, or a label is out of the model's range.
    """
    if len(split) and split.labels.max() >= target.num_classes:
        raise TargetError(
            f"Expected labels below {target.num_classes}, the number of logits of {target.path}. "
            f"Received: label {split.labels.max()} in {info.name}."
        )
    ids, _, _ = store.clean(target.digest, info.name)
    if len(ids) == len(split):
        return
    logits = target.serving_logits(split.images)
    if not np.all(np.isfinite(logits)):
        bad = split.ids[~np.all(np.isfinite(logits), axis=1)]
        raise TargetError(
            f"Expected finite logits of {target.path} on {info.name}. Received NaN or infinity for {len(bad)} images, "
            f"the first of them sample {bad[0]}."
        )
    store.set_clean(target.digest, info.name, split.ids, split.labels, np.argmax(logits, axis=-1))


def run_suite(
    target: Target, info: DatasetInfo, split: Split, suite: Suite, store: Store, *, samples: int, seed: int, name: str
) -> None:
    """Attacks the first `samples` images with every member of the suite, as far as the store lacks results.

    Args:
        target: the model.
        info: the data set.
        split: its test split.
        suite: the attacks.
        store: where results are and go.
        samples: how many of the first images; a member may have a lower limit of its own.
        seed: seed of the attacks.
        name: the model's name, for the progress bar and the store.
    """
    store.add_model(target.digest, name)
    evaluate_clean(target, info, split, store)
    _, labels, predictions = store.clean(target.digest, info.name)
    correct = labels == predictions
    columns = (
        TextColumn("{task.description:44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        for member in suite.members:
            count = min(samples, member.samples or samples, len(split))
            for endpoint in endpoints(target.endpoints, member.attack):
                run = store.run_id(run_key(target, info.name, member, endpoint, seed), versions())
                done = store.distances(run)
                task = progress.add_task(f"{name}: {member.label} ({endpoint})", total=count)
                for chosen in _chunks(count, member.attack.chunk_size):
                    missing = np.array([i for i in chosen if int(split.ids[i]) not in done], int)
                    if len(missing):
                        _run_chunk(target, split, correct, member.attack, endpoint, store, run, missing, seed)
                    progress.advance(task, len(chosen))


def _chunks(count: int, size: int) -> Iterator[range]:
    """Fixed chunks: where they begin does not depend on what is done or on how many samples are asked for."""
    return (range(first, min(first + size, count)) for first in range(0, count, size))


def _run_chunk(
    target: Target,
    split: Split,
    correct: np.ndarray,
    attack: Attack,
    endpoint: str,
    store: Store,
    run: int,
    chosen: np.ndarray,
    seed: int,
) -> None:
    started = time.monotonic()
    # A misclassified clean image has distance 0 and needs no attack.
    reached, predictions = np.zeros(len(chosen)), np.full(len(chosen), -1)
    attacked = np.flatnonzero(correct[chosen])
    positions = chosen[attacked]
    images = np.empty((0, *target.image_shape), np.float32)
    if len(positions):
        batch = Batch(split.images[positions], split.labels[positions], split.ids[positions], seed)
        images = check_images(attack.run(target, endpoint, batch), batch, attack)
        predictions[attacked] = target.predict(images)
        wrong = predictions[attacked] != batch.labels
        reached[attacked] = np.where(wrong, distances(batch.images, images, attack.norm), np.inf)
    kept = [(split.ids[p], image) for p, image in zip(positions, images, strict=True) if p < KEPT_IMAGES]
    store.add_results(run, split.ids[chosen], reached, predictions, time.monotonic() - started, kept)


def check_images(images: np.ndarray, batch: Batch, attack: Attack) -> np.ndarray:
    """Returns what an attack gave, after making sure that it is images.

    Raises:
        ValueError: wrong shape, NaN, or values outside [0, 1]: the attack is broken, and nothing is stored.
    """
    if images.shape != batch.images.shape or not np.all((images >= 0.0) & (images <= 1.0)):
        raise ValueError(
            f"Expected {attack.name} to give images of shape {batch.images.shape} in [0, 1]. "
            f"Received: shape {images.shape}, from {np.min(images)} to {np.max(images)}."
        )
    return images
