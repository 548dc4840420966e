"""Runs those shifts of a suite that the store lacks, chunk by chunk."""

import itertools
import time
from collections.abc import Iterator

import numpy as np

from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results.keys import shift_key
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.running.clean import evaluate_clean
from cortexzoo.evaluation.running.progress import progress_bar
from cortexzoo.evaluation.running.versions import versions
from cortexzoo.evaluation.shifts.member import ShiftMember


def run_shifts(evaluation: Evaluation, members: tuple[ShiftMember, ...], default: int) -> None:
    """Classifies the first images under every shift and level, and skips results that the store already has.

    Args:
        evaluation: what is evaluated.
        members: the shifts.
        default: the number of first images if the evaluation gives none.
    """
    evaluate_clean(evaluation)
    split, store, classifier = evaluation.split, evaluation.store, evaluation.classifier
    tasks = list(_missing(evaluation, members, evaluation.count(default)))
    batch = None
    with progress_bar(evaluation.model.name, sum(len(chosen) for *_, chosen in tasks)) as advance:
        for member, level, run, smaller, chosen in tasks:
            started = time.monotonic()
            # All levels of the same images share a batch, and with it what a shift has cached for that batch.
            if batch is None or not np.array_equal(batch.ids, split.ids[chosen]):
                batch = Batch(split.images[chosen], split.labels[chosen], split.ids[chosen], evaluation.seed)
            predictions = _inherited(store, smaller, batch) if member.shift.nested else batch.labels.copy()
            right = np.flatnonzero(predictions == batch.labels)
            if len(right):
                part = batch if len(right) == len(batch) else batch.take(right)
                images = part.check(member.shift.apply(classifier, part, level), member.label)
                predictions[right] = classifier.predict(images)
            store.add_predictions(run, batch.ids, predictions, time.monotonic() - started)
            advance(len(chosen), f"{member.label} {level:g}")


def _inherited(store: Store, runs: tuple[int, ...], batch: Batch) -> np.ndarray:
    """Each image's prediction in the first of these runs that misclassifies it; its label if none does."""
    predictions = batch.labels.copy()
    for run in runs:
        kept = store.predictions(run)
        right = predictions == batch.labels
        predictions[right] = [
            kept.get(int(i), label) for i, label in zip(batch.ids[right], batch.labels[right], strict=True)
        ]
    return predictions


def _missing(
    evaluation: Evaluation, members: tuple[ShiftMember, ...], count: int
) -> Iterator[tuple[ShiftMember, float, int, tuple[int, ...], np.ndarray]]:
    """The missing results, in chunks, each with the runs of all smaller levels.

    Chunk borders depend neither on what is stored nor on the number of images.
    """
    ids, store, limit = evaluation.split.ids, evaluation.store, evaluation.classifier.batch_limit
    for member in members:
        runs, size = [], min(member.shift.chunk_size, limit or member.shift.chunk_size)
        for level in member.shift.levels:
            run = store.run_id(shift_key(evaluation, member.shift, level), versions())
            runs.append((level, run, store.predictions(run)))
        for first, (number, (level, run, done)) in itertools.product(range(0, count, size), enumerate(runs)):
            missing = np.array([i for i in range(first, min(first + size, count)) if int(ids[i]) not in done], int)
            if len(missing):
                yield member, level, run, tuple(run for _, run, _ in runs[:number]), missing
