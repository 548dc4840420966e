"""Several attacks as one: each sample's nearest adversarial counts."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Attack, Batch, nearest_of
from cortexzoo.evaluation.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestOf(Attack):
    """Runs several attacks of one norm and keeps each sample's nearest adversarial: what one loss misses another may find.

    Attributes:
        attacks: the attacks, of one norm.
    """

    name: ClassVar[str] = "best_of"

    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        if len({attack.norm for attack in self.attacks}) != 1:
            raise ValueError(f"Expected attacks of one norm. Received: {[attack.norm for attack in self.attacks]}")

    @property
    def norm(self) -> str:
        """That of all attacks."""
        return self.attacks[0].norm

    @property
    def chunk_size(self) -> int:
        """The least of the attacks."""
        return min(attack.chunk_size for attack in self.attacks)

    @property
    def uses_gradients(self) -> bool:
        """Whether any attack does."""
        return any(attack.uses_gradients for attack in self.attacks)

    @property
    def needs_starts(self) -> bool:
        """Whether any attack does."""
        return any(attack.needs_starts for attack in self.attacks)

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        return nearest_of(classifier, batch, self.norm, (attack.run(classifier, endpoint, batch) for attack in self.attacks))
