"""Runs what the store lacks of shifts, chunk by chunk."""

import itertools
import time
from collections.abc import Iterator

import numpy as np
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.running.runner import COLUMNS, evaluate_clean, versions
from cortexzoo.evaluation.shifts.base import Shift
from cortexzoo.evaluation.suites.shifts import ShiftMember
from rich.progress import Progress


def shift_key(digest: str, dataset: str, shift: Shift, level: float, endpoints: tuple[str, ...], seed: int) -> RunKey:
    """Returns the identity of one level of a shift on one model in the store."""
    return RunKey(digest, dataset, "+".join(endpoints) if shift.uses_gradients else "logits", seed, shift.settings(level))


def run_shifts(
    classifier: Classifier,
    info: DatasetInfo,
    split: Split,
    members: tuple[ShiftMember, ...],
    store: Store,
    *,
    samples: int,
    seed: int,
    name: str,
) -> None:
    """Classifies the first `samples` images under every shift and level, as far as the store lacks results.

    Args:
        classifier: the model.
        info: the data set.
        split: its test split.
        members: the shifts.
        store: where results are and go.
        samples: how many of the first images.
        seed: seed of the shifts.
        name: the model's name, for the progress bar and the store.
    """
    store.add_model(classifier.digest, name)
    evaluate_clean(classifier, info, split, store)
    store.set_check(classifier.digest, info.name, "endpoints", list(classifier.endpoints))
    tasks = list(_missing(classifier, info, split, members, store, min(samples, len(split)), seed))
    with Progress(*COLUMNS) as progress:
        total, batch = progress.add_task(name, total=sum(len(chosen) for *_, chosen in tasks)), None
        for member, level, run, smaller, chosen in tasks:
            started = time.monotonic()
            # The levels of the same images share a batch, and with it what a shift has computed of it.
            if batch is None or not np.array_equal(batch.ids, split.ids[chosen]):
                batch = Batch(split.images[chosen], split.labels[chosen], split.ids[chosen], seed)
            predictions = _inherited(store, smaller, batch) if member.shift.nested else batch.labels.copy()
            right = np.flatnonzero(predictions == batch.labels)
            if len(right):
                part = batch if len(right) == len(batch) else batch.take(right)
                images = part.check(member.shift.apply(classifier, part, level), member.label)
                predictions[right] = classifier.predict(images)
            store.add_predictions(run, batch.ids, predictions, time.monotonic() - started)
            progress.update(total, advance=len(chosen), description=f"{name}: {member.label} {level:g}")


def _inherited(store: Store, runs: tuple[int, ...], batch: Batch) -> np.ndarray:
    """The predictions of the first of these runs that is wrong; the label where all are right."""
    predictions = batch.labels.copy()
    for run in runs:
        kept = store.predictions(run)
        right = predictions == batch.labels
        predictions[right] = [
            kept.get(int(i), label) for i, label in zip(batch.ids[right], batch.labels[right], strict=True)
        ]
    return predictions


def _missing(
    classifier: Classifier,
    info: DatasetInfo,
    split: Split,
    members: tuple[ShiftMember, ...],
    store: Store,
    count: int,
    seed: int,
) -> Iterator[tuple[ShiftMember, float, int, tuple[int, ...], np.ndarray]]:
    """What the store lacks, in chunks that begin at the same places whatever is done and however many images there are.

    Each with the runs of all smaller levels.
    """
    for member in members:
        runs, size = [], member.shift.chunk_size
        for level in member.shift.levels:
            key = shift_key(classifier.digest, info.name, member.shift, level, classifier.endpoints, seed)
            run = store.run_id(key, versions())
            runs.append((level, run, store.predictions(run)))
        for first, (number, (level, run, done)) in itertools.product(range(0, count, size), enumerate(runs)):
            chunk = range(first, min(first + size, count))
            missing = np.array([i for i in chunk if int(split.ids[i]) not in done], int)
            if len(missing):
                yield member, level, run, tuple(run for _, run, _ in runs[:number]), missing
