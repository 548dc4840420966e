"""Where a walk along the boundary begins: as near as any of the starts lets it."""

import dataclasses
from typing import ClassVar

import numpy as np

from evaluation.attacks.base import Batch, Wrapper, shrink
from evaluation.norms import distances
from evaluation.target import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestStart(Wrapper):
    """Another attack from the nearest of all starts: a walk seldom leaves the border of the class at which it began.

    Attributes:
        inner: the other attack; it begins at the first of `Batch.starts`.
    """

    name: ClassVar[str] = "nearest_start"

    def run(self, target: Target, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        return self.inner.run(target, endpoint, nearest_first(target, batch, self.norm))


def nearest_first(target: Target, batch: Batch, norm: str) -> Batch:
    """Returns the batch with each sample's starts in the order of their distances once they are pulled to the boundary.

    Args:
        target: the model.
        batch: correctly classified samples with `starts`; those that are no adversarials come last.
        norm: of the distances.
    """
    reached = np.full(batch.starts.shape[:2], np.inf)
    for k in range(reached.shape[1]):
        found = np.flatnonzero(target.misclassifies(batch.starts[:, k], batch.labels))
        part = batch.take(found)
        reached[found, k] = distances(part.images, shrink(target, part, part.starts[:, k]), norm)
    order = np.argsort(reached, axis=1, kind="stable")
    starts = np.take_along_axis(batch.starts, order[:, :, None, None, None], axis=1)
    return dataclasses.replace(batch, starts=starts)
