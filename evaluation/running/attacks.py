"""Runs those attacks of a suite that the store lacks, chunk by chunk."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.results.cascade import broken, least_distances
from cortexzoo.evaluation.results.keys import run_keys
from cortexzoo.evaluation.results.store import RunKey
from cortexzoo.evaluation.running.attacker import KEPT_IMAGES, Attacker, Task
from cortexzoo.evaluation.running.clean import evaluate_clean
from cortexzoo.evaluation.running.progress import progress_bar
from cortexzoo.evaluation.running.versions import versions
from cortexzoo.evaluation.running.workers import Workers


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
    count = evaluation.count(default)
    kept = len(evaluation.split) if evaluation.keeps_images else KEPT_IMAGES
    attacker = attacker_of(evaluation, evaluation.attackable(), kept)
    starts = any(member.attack.needs_starts for member in members)
    stages = _stages(evaluation, members)
    total = sum(len(_missing(evaluation, step, count)) for stage in stages for step in stage)
    with (
        progress_bar(evaluation.model.name, total) as advance,
        Workers(attacker, evaluation.workers, with_starts=starts) as workers,
    ):
        for stage in stages:
            expected = sum(len(_missing(evaluation, step, count)) for step in stage)
            tasks = [task for step in stage for task in _tasks(evaluation, step, count)]
            advance(expected - sum(len(task.chosen) for task in tasks), stage[0].label)
            for task, outcome in workers.run(tasks):
                ids = evaluation.split.ids[task.chosen]
                found = (outcome.reached, outcome.predictions, outcome.seconds, outcome.kept, outcome.answers)
                evaluation.store.add_results(task.run, ids, *found)
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


@dataclasses.dataclass(frozen=True)
class _Step:
    """One attack on one endpoint.

    Attributes:
        member: the attack.
        key: its identity in the store.
        earlier: the identities of what ran before it in the same norm.
    """

    member: Member
    key: RunKey
    earlier: tuple[RunKey, ...]

    @property
    def label(self) -> str:
        """The attack and its endpoint."""
        return f"{self.member.label} ({self.key.endpoint})"


def _stages(evaluation: Evaluation, members: tuple[Member, ...]) -> list[list[_Step]]:
    """What may run at the same time. An attack that some images leave waits for all earlier ones."""
    steps: list[_Step] = []
    for member in members:
        for key in run_keys(evaluation, member):
            earlier = tuple(step.key for step in steps if step.member.attack.norm == member.attack.norm)
            # If a model lacks an endpoint, two members may turn into the same attack on the same endpoint.
            if key not in earlier:
                steps.append(_Step(member, key, earlier))
    stages: list[list[_Step]] = []
    for step in steps:
        if stages and step.member.leaves_at is None and stages[-1][0].member.leaves_at is None:
            stages[-1].append(step)
        else:
            stages.append([step])
    return stages


def _missing(evaluation: Evaluation, step: _Step, samples: int) -> list[int]:
    """The positions of the images that the attack has not seen."""
    run = evaluation.store.find_run(step.key)
    done = set() if run is None else _done(evaluation, run)
    count = min(samples, step.member.samples or samples)
    return [i for i in range(count) if int(evaluation.split.ids[i]) not in done]


def _tasks(evaluation: Evaluation, step: _Step, samples: int) -> Iterator[Task]:
    """The missing results, in chunks."""
    member, size = step.member, chunk_size(evaluation, step.member.attack)
    missing = np.array(_missing(evaluation, step, samples), int)
    if member.leaves_at is None:
        # Chunk borders depend neither on what is stored nor on the number of images.
        chunks = [missing[missing // size == number] for number in np.unique(missing // size)]
    else:
        left = broken(least_distances(evaluation.store, step.earlier), member.leaves_at)
        missing = np.array([i for i in missing if int(evaluation.split.ids[i]) not in left], int)
        chunks = [missing[first : first + size] for first in range(0, len(missing), size)]
    run = evaluation.store.run_id(step.key, versions())
    for chosen in chunks:
        yield Task(step.label, member.attack, step.key.endpoint, run, chosen)


def _done(evaluation: Evaluation, run: int) -> set[int]:
    """The finished samples: those with a distance, and with an adversarial image if images are kept and one was found."""
    found = evaluation.store.distances(run)
    if not evaluation.keeps_images:
        return set(found)
    kept = evaluation.store.image_ids(run)
    return {i for i, distance in found.items() if i in kept or not 0.0 < distance < np.inf}
