"""Starts a walk along the boundary from the nearest of several starts."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch, Wrapper, shrink
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestStart(Wrapper):
    """Runs another attack from the nearest start: a walk rarely leaves the border of the class at which it began.

    Attributes:
        inner: the other attack; it uses the first of `Batch.starts`.
    """

    name: ClassVar[str] = "nearest_start"

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        return self.inner.run(classifier, endpoint, nearest_first(classifier, batch, self.norm))


def nearest_first(classifier: Classifier, batch: Batch, norm: str) -> Batch:
    """Returns the batch with each sample's starts in the order of their distances once they are pulled to the boundary.

    Args:
        classifier: the model.
        batch: correctly classified samples with `starts`; starts that are not adversarial come last.
        norm: of the distances.
    """
    reached = np.full(batch.starts.shape[:2], np.inf)
    for k in range(reached.shape[1]):
        found = np.flatnonzero(classifier.misclassifies(batch.starts[:, k], batch.labels))
        part = batch.take(found)
        reached[found, k] = distances(part.images, shrink(classifier, part, part.starts[:, k]), norm)
    order = np.argsort(reached, axis=1, kind="stable")
    starts = np.take_along_axis(batch.starts, order[:, :, None, None, None], axis=1)
    return dataclasses.replace(batch, starts=starts)
