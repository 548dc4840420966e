"""Runs what is missing in the store, chunk by chunk."""

import importlib.metadata
from collections.abc import Callable, Iterator

import numpy as np
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.classifier import DIFFERENTIABLE_ENDPOINTS, Classifier, ClassifierError
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.running.attacker import Attacker, Task
from cortexzoo.evaluation.running.workers import run_tasks
from cortexzoo.evaluation.suites import Member, Suite
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PACKAGES = ("cortexzoo", "cleverhans", "keras", "numba", "numpy", "pillow", "scipy", "tensorflow")


def versions() -> dict[str, str]:
    """Returns the versions of the packages that results depend on."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def run_key(classifier: Classifier, dataset: str, member: Member, endpoint: str, seed: int) -> RunKey:
    """Returns the identity of one attack on one endpoint in the store."""
    return RunKey(classifier.digest, dataset, endpoint, seed, settings(member.attack))


def endpoints(endpoints_of_classifier: tuple[str, ...], attack: Attack, preferred: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Returns the endpoints that an attack is run on: gradient-free attacks see the model's own logits only.

    Args:
        endpoints_of_classifier: those of the model.
        attack: the attack.
        preferred: the first of these that the model has is the one; none for all that every suite differentiates.
    """
    if not attack.uses_gradients:
        return ("logits",)
    if preferred:
        return (next(name for name in preferred if name in endpoints_of_classifier),)
    return tuple(name for name in DIFFERENTIABLE_ENDPOINTS if name in endpoints_of_classifier)


def evaluate_clean(classifier: Classifier, info: DatasetInfo, split: Split, store: Store) -> None:
    """Classifies the whole split on the serving path, unless the store has it.

    Raises:
        ClassifierError: an output is not finite, or a label is out of the model's range.
    """
    if len(split) and split.labels.max() >= classifier.num_classes:
        raise ClassifierError(
            f"Expected labels below {classifier.num_classes}, the number of logits of {classifier.path}. "
            f"Received: label {split.labels.max()} in {info.name}."
        )
    ids, _, _ = store.clean(classifier.digest, info.name)
    if len(ids) == len(split):
        return
    logits = classifier.serving_logits(split.images)
    if not np.all(np.isfinite(logits)):
        bad = split.ids[~np.all(np.isfinite(logits), axis=1)]
        raise ClassifierError(
            f"Expected finite logits of {classifier.path} on {info.name}. Received NaN or infinity for {len(bad)} images, "
            f"the first of them sample {bad[0]}."
        )
    store.set_clean(classifier.digest, info.name, split.ids, split.labels, np.argmax(logits, axis=-1))


def run_suite(
    classifier: Classifier,
    info: DatasetInfo,
    split: Split,
    suite: Suite,
    store: Store,
    *,
    samples: int,
    seed: int,
    name: str,
    train: Callable[[], Split] | None = None,
    workers: int = 1,
) -> None:
    """Attacks the first `samples` images with every member of the suite, as far as the store lacks results.

    Args:
        classifier: the model.
        info: the data set.
        split: its test split.
        suite: the attacks.
        store: where results are and go.
        samples: how many of the first images; a member may have a lower limit of its own.
        seed: seed of the attacks.
        name: the model's name, for the progress bar and the store.
        train: gives the training split, see `Attacker`.
        workers: processes that share the chunks; each result is the same with any number of them.
    """
    store.add_model(classifier.digest, name)
    evaluate_clean(classifier, info, split, store)
    # A report needs it, and a model that cannot be evaluated has none.
    store.set_check(classifier.digest, info.name, "endpoints", list(classifier.endpoints))
    _, labels, predictions = store.clean(classifier.digest, info.name)
    tasks = list(_tasks(classifier, info, split, suite, store, samples, seed))
    attacker = Attacker(classifier, split, labels == predictions, seed, train)
    with Progress(*COLUMNS) as progress:
        total = progress.add_task(name, total=sum(len(task.chosen) for task in tasks))
        for task, outcome in run_tasks(attacker, tasks, workers):
            ids = split.ids[task.chosen]
            store.add_results(task.run, ids, outcome.reached, outcome.predictions, outcome.seconds, outcome.kept)
            progress.update(total, advance=len(task.chosen), description=f"{name}: {task.label}")


# Of the progress bar.
COLUMNS = (
    TextColumn("{task.description:50}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("left"),
    TimeRemainingColumn(),
)


def _tasks(
    classifier: Classifier, info: DatasetInfo, split: Split, suite: Suite, store: Store, samples: int, seed: int
) -> Iterator[Task]:
    """What the store lacks, in chunks that begin at the same places whatever is done and however many images there are."""
    planned: dict[int, set[int]] = {}
    for member in suite.members_on(classifier.endpoints):
        count = min(samples, member.samples or samples, len(split))
        for endpoint in endpoints(classifier.endpoints, member.attack, member.endpoints):
            run = store.run_id(run_key(classifier, info.name, member, endpoint, seed), versions())
            # Where a model lacks an endpoint, two members may be one attack on the same other one.
            done = planned.setdefault(run, set(store.distances(run)))
            for first in range(0, count, member.attack.chunk_size):
                chunk = range(first, min(first + member.attack.chunk_size, count))
                missing = np.array([i for i in chunk if int(split.ids[i]) not in done], int)
                if len(missing):
                    done.update(int(split.ids[i]) for i in missing)
                    yield Task(f"{member.label} ({endpoint})", member.attack, endpoint, run, missing)
