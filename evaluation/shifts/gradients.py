"""Shifts along gradients: those of another network (transfer), or those of the model itself (white box)."""

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import Batch, ProjectedGradientDescent
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.tensors import input_gradient
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.shifts.base import Shift


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastGradientTransfer(Shift):
    """One step of FGSM (Goodfellow et al. 2015) on another network: its size is the level, in L-infinity.

    In the store a source is identified by its digest: trained again, it is another source.

    Attributes:
        source: SavedModel directory of the network whose gradient is followed; None where results are only reported.
        digest: of that SavedModel.
        dataset: the data set of both models.
    """

    name: ClassVar[str] = "transfer/fast_gradient"

    source: Path | None
    digest: str
    dataset: DatasetInfo

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        signs = _gradient_signs(self.source, self.dataset, batch)
        return np.clip(batch.images + level * signs, 0.0, 1.0).astype(np.float32)

    def settings(self, level: float) -> dict[str, Any]:
        """See `Shift.settings`."""
        return {"shift": self.name, "version": self.version, "level": level, "source": self.digest}


@functools.lru_cache(maxsize=4)
def _load(source: Path, dataset: DatasetInfo) -> Classifier:
    return Classifier(source, dataset, np.full((2, *dataset.image_shape), 0.5, np.float32))


# All levels of a batch follow the same gradient.
@functools.lru_cache(maxsize=1)
def _gradient_signs(source: Path, dataset: DatasetInfo, batch: Batch) -> np.ndarray:
    network = _load(source, dataset)
    function = network.compiled("loss gradient", lambda: _build(network))
    return np.sign(function(batch.images, batch.labels).numpy())


def _build(source: Classifier) -> tf.types.experimental.PolymorphicFunction:
    gradient_of = input_gradient(source.endpoint("logits"), "cross_entropy")
    signature = [tf.TensorSpec((None, *source.image_shape), tf.float32), tf.TensorSpec((None,), tf.int64)]
    return tf.function(lambda images, labels: gradient_of(images, labels)[1], input_signature=signature, autograph=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectedGradient(Shift):
    """PGD on the model itself, whose radius is the level, with each loss on each endpoint; the worst result counts.

    Attributes:
        norm: str. "linf" or "l2".
        losses: see `cortexzoo.evaluation.attacks.GradientAttack`.
        steps: int.
        restarts: int. Runs from different random points of the ball; the first success counts.
    """

    name: ClassVar[str] = "white_box/projected_gradient"
    uses_gradients: ClassVar[bool] = True
    nested: ClassVar[bool] = True

    norm: str
    losses: tuple[str, ...] = ("cross_entropy", "margin")
    steps: int = 40
    restarts: int = 1

    def apply(self, classifier: Classifier, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        images = batch.images.copy()
        remaining = np.flatnonzero(~classifier.misclassifies(images, batch.labels))
        # All levels share the compiled attacks, of which the radius is an argument.
        for attack, endpoint in itertools.product(self._attacks(self.levels[-1]), classifier.endpoints):
            # Convolutions refuse an empty batch.
            if len(remaining) == 0:
                break
            part = batch.take(remaining)
            found = attack.perturb(classifier, endpoint, part, np.full(len(part), level, np.float32), 0)
            images[remaining] = found
            remaining = remaining[~classifier.misclassifies(found, part.labels)]
        return images

    def settings(self, level: float) -> dict[str, Any]:
        """See `Shift.settings`."""
        attacks = [settings(attack) for attack in self._attacks(level)]
        return {"shift": self.name, "version": self.version, "level": level, "attacks": attacks}

    def _attacks(self, epsilon: float) -> list[ProjectedGradientDescent]:
        common = {"norm": self.norm, "epsilon": epsilon, "rounds": 1, "steps": self.steps, "restarts": self.restarts}
        return [ProjectedGradientDescent(loss=loss, **common) for loss in self.losses]
