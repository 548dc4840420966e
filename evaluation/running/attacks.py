"""Runs those attacks of a suite that the store lacks, chunk by chunk."""

from collections.abc import Callable, Iterator

import numpy as np

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.results.keys import run_keys
from cortexzoo.evaluation.running.attacker import KEPT_IMAGES, Attacker, Task
from cortexzoo.evaluation.running.clean import evaluate_clean
from cortexzoo.evaluation.running.progress import progress_bar
from cortexzoo.evaluation.running.versions import versions
from cortexzoo.evaluation.running.workers import run_tasks


def run_attacks(
    evaluation: Evaluation,
    members_on: Callable[[Evaluation], tuple[Member, ...]],
    default: int,
    gradients: bool,
) -> None:
    """Attacks the first images with every member of a suite, and skips results that the store already has.

    Args:
        evaluation: what is attacked.
        members_on: returns the attacks; called when the store knows the model's endpoints.
        default: the number of first images if the evaluation gives none; a member may have a lower limit.
        gradients: whether to measure on how many images gradients vanish.
    """
    evaluate_clean(evaluation)
    members = members_on(evaluation)
    tasks = list(_tasks(evaluation, members, evaluation.count(default)))
    kept = len(evaluation.split) if evaluation.keeps_images else KEPT_IMAGES
    attacker = attacker_of(evaluation, evaluation.attackable(), kept)
    with progress_bar(evaluation.model.name, sum(len(task.chosen) for task in tasks)) as advance:
        for task, outcome in run_tasks(attacker, tasks, evaluation.workers):
            ids = evaluation.split.ids[task.chosen]
            evaluation.store.add_results(task.run, ids, outcome.reached, outcome.predictions, outcome.seconds, outcome.kept)
            advance(len(task.chosen), task.label)
    if members:
        diagnostics.measure(evaluation)
    if gradients:
        diagnostics.measure_gradients(evaluation, evaluation.count(default))


def attacker_of(evaluation: Evaluation, attackable: np.ndarray, kept: int) -> Attacker:
    """Returns the attacker of an evaluation; see `Attacker`."""

    def starts() -> Split:
        # Some attacks start from an image of another class. Without training images, use the attacked ones.
        return evaluation.images.load("train") if evaluation.images.has_train else evaluation.split

    return Attacker(evaluation.classifier, evaluation.split, attackable, evaluation.seed, starts, evaluation.targets, kept)


def chunk_size(evaluation: Evaluation, attack: Attack) -> int:
    """Returns the number of images to attack at once."""
    return min(attack.chunk_size, evaluation.classifier.batch_limit or attack.chunk_size)


def _tasks(evaluation: Evaluation, members: tuple[Member, ...], samples: int) -> Iterator[Task]:
    """The missing results, in chunks. Chunk borders depend neither on what is stored nor on the number of images."""
    planned: dict[int, set[int]] = {}
    ids = evaluation.split.ids
    for member in members:
        count, size = min(samples, member.samples or samples), chunk_size(evaluation, member.attack)
        for key in run_keys(evaluation, member):
            run = evaluation.store.run_id(key, versions())
            # If a model lacks an endpoint, two members may turn into the same attack on the same endpoint.
            done = planned.setdefault(run, _done(evaluation, run))
            for first in range(0, count, size):
                missing = np.array([i for i in range(first, min(first + size, count)) if int(ids[i]) not in done], int)
                if len(missing):
                    done.update(int(ids[i]) for i in missing)
                    yield Task(f"{member.label} ({key.endpoint})", member.attack, key.endpoint, run, missing)


def _done(evaluation: Evaluation, run: int) -> set[int]:
    """The finished samples: those with a distance, and with an adversarial image if images are kept and one was found."""
    found = evaluation.store.distances(run)
    if not evaluation.keeps_images:
        return set(found)
    kept = evaluation.store.image_ids(run)
    return {i for i, distance in found.items() if i in kept or not 0.0 < distance < np.inf}
