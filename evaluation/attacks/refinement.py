"""Refines adversarials of models that threshold their input: a pixel only has to move just past the threshold."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch, Wrapper
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refined(Wrapper):
    """Runs another attack and refines its results where that helps; harmless for models without a threshold.

    A pixel on the same side of the threshold as in the image gets the image's value, any other pixel the nearest value on
    its side (Schott et al. 2019, https://arxiv.org/abs/1805.09190). The result counts where it is adversarial and nearer.

    Attributes:
        inner: the other attack.
        threshold: that of the model; values equal to it count as above.
    """

    name: ClassVar[str] = "refined"

    threshold: float = 0.5

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        found = self.inner.run(classifier, endpoint, batch)
        above, was_above = found >= self.threshold, batch.images >= self.threshold
        edge = np.where(above, np.float32(self.threshold), np.nextafter(np.float32(self.threshold), np.float32(0)))
        refined = np.where(above == was_above, batch.images, edge)
        nearer = distances(batch.images, refined, self.inner.norm) < distances(batch.images, found, self.inner.norm)
        better = nearer & classifier.misclassifies(refined, batch.labels)
        found[better] = refined[better]
        return found
