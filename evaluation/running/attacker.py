"""One chunk of work: an attack on some images, and its outcome."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Attack, Batch
from cortexzoo.evaluation.attacks.starting_points import StartingPoints, candidates
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.evaluation.targeted import TargetedView

# Adversarial images are kept for this many first samples, for galleries.
KEPT_IMAGES = 10


@dataclasses.dataclass(frozen=True)
class Task:
    """One chunk of one attack.

    Attributes:
        label: the attack and its endpoint, for the progress bar.
        attack: the attack.
        endpoint: the endpoint to differentiate.
        run: number of the run in the store.
        chosen: positions of the images in the split.
    """

    label: str
    attack: Attack
    endpoint: str
    run: int
    chosen: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of an attack on a chunk.

    Attributes:
        reached: distances, float64, (n,).
        predictions: labels predicted for the adversarial images, int64, (n,); -1 where nothing was attacked.
        seconds: duration.
        kept: sample ids and adversarial images of the first samples.
        answers: of a random model, each attacked image's sample id, the size of its perturbation, whether the attack
            succeeded or not, the number of wrong answers to it, and the number of answers.
    """

    reached: np.ndarray
    predictions: np.ndarray
    seconds: float
    kept: list[tuple[int, np.ndarray]]
    answers: list[tuple[int, float, int, int]] = dataclasses.field(default_factory=list)


class Attacker:
    """Runs tasks on one model, in this process or in a worker.

    Args:
        classifier: the model.
        split: the images.
        attackable: which images to attack, bool, (n,): those that the model classifies correctly or, in a targeted attack,
            those that it does not assign to the wanted class.
        seed: seed of the attacks.
        train: returns the images for attacks that start from an adversarial image; called when first needed.
        targets: the wanted class of each image, int64, (n,); None if any class but the label will do.
        kept: the number of first samples whose adversarial images are kept.
    """

    def __init__(
        self,
        classifier: Classifier,
        split: Split,
        attackable: np.ndarray,
        seed: int,
        train: Callable[[], Split] | None,
        targets: np.ndarray | None = None,
        kept: int = KEPT_IMAGES,
    ) -> None:
        self._classifier, self._split, self._attackable, self._seed = classifier, split, attackable, seed
        self._train, self._targets, self._kept = train, targets, kept
        self._view = None if targets is None else TargetedView(classifier)
        self._starts: dict[int, StartingPoints] = {}

    def parts(self, with_starts: bool) -> tuple:
        """Returns the arguments with which `from_parts` rebuilds this attacker in another process."""
        train = candidates(self._train()) if with_starts and self._train else None
        classifier = self._classifier
        model = (classifier.path, classifier.dataset, classifier.preprocessing, classifier.batch_limit)
        return model, self._split, self._attackable, self._seed, train, self._targets, self._kept

    @classmethod
    def from_parts(
        cls, model: tuple, split: Split, attackable: np.ndarray, seed: int, train: Split | None, *more: Any
    ) -> Self:
        """Rebuilds an attacker; loads the model again."""
        path, dataset, preprocessing, limit = model
        classifier = Classifier(path, dataset, split.images[:1], preprocessing=preprocessing, batch_limit=limit)
        return cls(classifier, split, attackable, seed, train and (lambda: train), *more)

    def __call__(self, task: Task) -> Outcome:
        """Attacks a chunk and classifies the resulting images."""
        started = time.monotonic()
        # Misclassified clean images have distance 0.
        reached, predictions = np.zeros(len(task.chosen)), np.full(len(task.chosen), -1)
        attacked = np.flatnonzero(self._attackable[task.chosen])
        images, answers = np.empty((0, *self._classifier.image_shape), np.float32), []
        if len(attacked):
            positions = task.chosen[attacked]
            images = self._attack(task, positions)
            predictions[attacked] = self._classifier.predict(images)
            found = self._is_adversarial(predictions[attacked], positions)
            sizes = distances(self._split.images[positions], images, task.attack.norm)
            reached[attacked] = np.where(found, sizes, np.inf)
            answers = self._answers(images, positions, sizes)
        positions = task.chosen[attacked]
        kept = [(int(self._split.ids[p]), image) for p, image in zip(positions, images, strict=True) if p < self._kept]
        return Outcome(reached, predictions, time.monotonic() - started, kept, answers)

    def _answers(self, images: np.ndarray, positions: np.ndarray, sizes: np.ndarray) -> list[tuple[int, float, int, int]]:
        """The wrong answers of a random model; nothing for others, and in targeted attacks."""
        repeats = self._classifier.repeats
        if repeats == 1 or self._targets is not None:
            return []
        wrong = np.sum(self._classifier.answers(images) != self._split.labels[positions], axis=0)
        rows = zip(self._split.ids[positions], sizes, wrong, strict=True)
        return [(int(sample), float(size), int(count), repeats) for sample, size, count in rows]

    def _is_adversarial(self, predictions: np.ndarray, positions: np.ndarray) -> np.ndarray:
        if self._targets is None:
            return predictions != self._split.labels[positions]
        return predictions == self._targets[positions]

    def _attack(self, task: Task, positions: np.ndarray) -> np.ndarray:
        if self._view is None:
            return self._run(task, self._classifier, positions, self._split.labels[positions])
        images = self._split.images[positions].copy()
        for wanted in np.unique(self._targets[positions]):
            self._view.aim(wanted)
            own = np.flatnonzero(self._targets[positions] == wanted)
            # In the view the wanted class is class 1, and all others are class 0.
            images[own] = self._run(task, self._view, positions[own], np.zeros(len(own), np.int64), int(wanted))
        return images

    def _run(
        self, task: Task, classifier: Classifier, positions: np.ndarray, labels: np.ndarray, wanted: int = -1
    ) -> np.ndarray:
        batch = Batch(self._split.images[positions], labels, self._split.ids[positions], self._seed)
        if task.attack.needs_starts:
            batch = dataclasses.replace(batch, starts=self._starting_points(classifier, wanted, task.attack).of(batch))
        return batch.check(task.attack.run(classifier, task.endpoint, batch), task.attack.name)

    def _starting_points(self, classifier: Classifier, wanted: int, attack: Attack) -> StartingPoints:
        if self._train is None:
            raise ValueError(f"Expected training images for {attack.name} to start from. Received: none.")
        if wanted not in self._starts:
            self._starts[wanted] = StartingPoints(classifier, self._train())
        return self._starts[wanted]
