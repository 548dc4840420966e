"""One chunk of work: an attack on some images of one model, and what it reached."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import Attack, Batch
from cortexzoo.evaluation.attacks.starting_points import CANDIDATES, StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances

# Adversarial images of this many first samples are kept, for pictures.
KEPT_IMAGES = 10


@dataclasses.dataclass(frozen=True)
class Task:
    """One chunk of one attack.

    Attributes:
        label: of the attack and its endpoint, for the progress bar.
        attack: the attack.
        endpoint: the endpoint to differentiate.
        run: number of the run in the store.
        chosen: positions in the split.
    """

    label: str
    attack: Attack
    endpoint: str
    run: int
    chosen: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an attack reached on a chunk.

    Attributes:
        reached: distances, float64, (n,).
        predictions: labels of the adversarials, int64, (n,); -1 where nothing was attacked.
        seconds: time taken.
        kept: adversarial images of the first samples, by sample id.
    """

    reached: np.ndarray
    predictions: np.ndarray
    seconds: float
    kept: list[tuple[int, np.ndarray]]


class Attacker:
    """Runs tasks on one model; the same in this process and in a worker.

    Args:
        classifier: the model.
        split: the images.
        correct: which of them the model classifies correctly, bool, (n,).
        seed: seed of the attacks.
        train: gives images from which the attacks start that need an adversarial; called when the first of them comes.
    """

    def __init__(
        self, classifier: Classifier, split: Split, correct: np.ndarray, seed: int, train: Callable[[], Split] | None
    ) -> None:
        self._classifier, self._split, self._correct, self._seed = classifier, split, correct, seed
        self._train = train
        self._starts: StartingPoints | None = None

    def parts(self, with_starts: bool) -> tuple:
        """Returns what `from_parts` builds the same attacker of in another process."""
        train = self._train().first(CANDIDATES) if with_starts and self._train else None
        return self._classifier.path, self._classifier.dataset, self._split, self._correct, self._seed, train

    @classmethod
    def from_parts(
        cls, path: Path, dataset: DatasetInfo, split: Split, correct: np.ndarray, seed: int, train: Split | None
    ) -> "Attacker":
        """Loads the model anew."""
        classifier = Classifier(path, dataset, split.images[:1])
        return cls(classifier, split, correct, seed, train and (lambda: train))

    def __call__(self, task: Task) -> Outcome:
        """Attacks a chunk and classifies the result anew."""
        started = time.monotonic()
        # A misclassified clean image has distance 0 and needs no attack.
        reached, predictions = np.zeros(len(task.chosen)), np.full(len(task.chosen), -1)
        attacked = np.flatnonzero(self._correct[task.chosen])
        images = np.empty((0, *self._classifier.image_shape), np.float32)
        if len(attacked):
            batch = self._batch(task.chosen[attacked], task.attack)
            images = batch.check(task.attack.run(self._classifier, task.endpoint, batch), task.attack.name)
            predictions[attacked] = self._classifier.predict(images)
            wrong = predictions[attacked] != batch.labels
            reached[attacked] = np.where(wrong, distances(batch.images, images, task.attack.norm), np.inf)
        positions = task.chosen[attacked]
        kept = [(int(self._split.ids[p]), image) for p, image in zip(positions, images, strict=True) if p < KEPT_IMAGES]
        return Outcome(reached, predictions, time.monotonic() - started, kept)

    def _batch(self, positions: np.ndarray, attack: Attack) -> Batch:
        images, labels = self._split.images[positions], self._split.labels[positions]
        batch = Batch(images, labels, self._split.ids[positions], self._seed)
        if not attack.needs_starts:
            return batch
        if self._train is None:
            raise ValueError(f"Expected training images for {attack.name} to start from. Received: none.")
        self._starts = self._starts or StartingPoints(self._classifier, self._train())
        return dataclasses.replace(batch, starts=self._starts.of(batch))
