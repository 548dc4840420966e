"""Runs one attack on all images, without a store."""

import numpy as np

from cortexzoo.evaluation.adversarials import Adversarials
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results.keys import endpoints
from cortexzoo.evaluation.running.attacker import Attacker, Task
from cortexzoo.evaluation.running.attacks import attacker_of, chunk_size
from cortexzoo.evaluation.running.progress import progress_bar


def run_attack(evaluation: Evaluation, attack: Attack, epsilon: float) -> Adversarials:
    """Attacks every image on each suitable endpoint of the model, and keeps the nearest adversarial image.

    Args:
        evaluation: the model and the images.
        attack: the attack.
        epsilon: the allowed size of the perturbation, for `Adversarials.success`.
    """
    split, classifier = evaluation.split, evaluation.classifier
    clean = classifier.predict(split.images)
    attackable = clean == split.labels if evaluation.targets is None else clean != evaluation.targets
    attacker = attacker_of(evaluation, attackable, len(split))
    images, predictions = split.images.copy(), clean.copy()
    reached = np.where(attackable, np.inf, 0.0)
    label = attack.name.rsplit("/", 1)[-1]
    names, size = endpoints(classifier.endpoints, attack), chunk_size(evaluation, attack)
    with progress_bar(evaluation.model.name, len(names) * len(split)) as advance:
        for name in names:
            for first in range(0, len(split), size):
                chosen = np.arange(first, min(first + size, len(split)))
                _attack_chunk(attacker, Task(label, attack, name, 0, chosen), images, predictions, reached)
                advance(len(chosen), f"{label} ({name})")
    return Adversarials(images, split.ids, split.labels, predictions, reached, attack.norm, epsilon)


def _attack_chunk(attacker: Attacker, task: Task, images: np.ndarray, predictions: np.ndarray, reached: np.ndarray) -> None:
    """Attacks a chunk and writes nearer images into these arrays; where all attacks fail, the last image stays."""
    outcome = attacker(task)
    found = dict(zip(np.flatnonzero(outcome.predictions >= 0), outcome.kept, strict=True))
    for place, (_, image) in found.items():
        position = task.chosen[place]
        if outcome.reached[place] < reached[position] or np.isinf(reached[position]):
            images[position], predictions[position] = image, outcome.predictions[place]
            reached[position] = outcome.reached[place]
