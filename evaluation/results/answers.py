"""How often a random model is right about attacked images when it is asked again."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.store import RunKey, Store


@dataclasses.dataclass(frozen=True)
class Answers:
    """A random model's answers to the worst images within the threshold of a norm.

    Attacks end where the mean of the answers is wrong. More answers may be wrong to images farther on, so that both shares
    are upper bounds.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        repeats: the number of answers to each image.
        wrong: int64, (n,). Each image's greatest number of wrong answers over all attacks.
    """

    norm: str
    repeats: int
    wrong: np.ndarray

    @property
    def mean(self) -> float:
        """The share of right answers: the accuracy of one answer."""
        return 1.0 - float(np.mean(self.wrong)) / self.repeats

    @property
    def worst(self) -> float:
        """The share of images to which every answer is right: an attacker may ask again until one is wrong."""
        return float(np.mean(self.wrong == 0))

    def as_json(self) -> dict[str, Any]:
        """Returns the accuracies as plain JSON values."""
        return {"repeats": self.repeats, "samples": len(self.wrong), "mean": self.mean, "worst": self.worst}


def answers_of(store: Store, union: Score, keys: Iterable[RunKey]) -> Answers | None:
    """Returns the answers to the images of a union; None if the model is not random.

    Args:
        store: the results.
        union: what all attacks in a norm left.
        keys: the identities of these attacks.
    """
    wrong, repeats = dict.fromkeys(map(int, union.ids), 0), 0
    for run in filter(None, map(store.find_run, keys)):
        for sample, size, count, asked in store.answers(run):
            repeats = asked
            if sample in wrong and size <= union.epsilon * (1 + metrics.TOLERANCE):
                wrong[sample] = max(wrong[sample], count)
    if not repeats:
        return None
    # What is misclassified without an attack was not attacked.
    wrong |= dict.fromkeys(map(int, union.ids[union.distances == 0.0]), repeats)
    return Answers(union.norm, repeats, np.array(list(wrong.values()), np.int64))
