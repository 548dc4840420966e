"""An attack of a fixed size, run at the sizes of a table alone."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch, EpsilonSearch, Wrapper
from cortexzoo.evaluation.classifier import Classifier


def check_epsilons(epsilons: tuple[float, ...]) -> None:
    """Raises a ValueError where the sizes are not positive and ascending."""
    if not epsilons or list(epsilons) != sorted(set(epsilons)) or epsilons[0] <= 0:
        raise ValueError(f"Expected `epsilons` to be positive and ascending. Received: {epsilons}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonGrid(Wrapper):
    """The plain attack at each of several epsilons, smallest first; a sample ends at the first that breaks it.

    The accuracy at an epsilon is the share of samples that the attack broke neither there nor at a smaller one. It is at
    most that of the plain attack, and lower where the attack succeeds at a smaller epsilon alone. Adversarials are not
    pulled back towards their images.

    Attributes:
        inner: the attack; its own `epsilon` and search are not used.
        epsilons: ascending.
    """

    name: ClassVar[str] = "epsilon_grid"

    inner: EpsilonSearch
    epsilons: tuple[float, ...]

    def __post_init__(self) -> None:
        check_epsilons(self.epsilons)

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        results, active = batch.images.copy(), np.arange(len(batch))
        for draw, epsilon in enumerate(self.epsilons):
            part = batch.take(active)
            radius = np.full(len(part), epsilon, np.float32)
            results[active] = self.inner.perturb(classifier, endpoint, part, radius, draw)
            active = active[~classifier.misclassifies(results[active], part.labels)]
            if len(active) == 0:
                break
        return results
