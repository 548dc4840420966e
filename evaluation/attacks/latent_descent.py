"""The latent-descent attack of Schott et al., for models that reconstruct the image once for each class."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, other_classes, shrink
from cortexzoo.evaluation.attacks.batching import at_most
from cortexzoo.evaluation.classifier import Classifier, ClassifierError
from cortexzoo.evaluation.conversion import Preprocessing

# The name of an activation that the endpoint `features` gives, (n, classes, pixels) or (n, classes, *image_shape).
RECONSTRUCTIONS = "reconstructions"
_FORWARD_BATCH = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentDescent(Attack):
    """Moves the image towards what another class makes of it, until that class wins.

    Schott, Rauber, Bethge, Brendel, "Towards the first adversarially robust neural network model on MNIST",
    https://arxiv.org/abs/1805.09190: from the image a line search towards the best reconstruction of another class, which is
    computed anew at each step. A step goes the share `step` of the way; the first adversarial is pulled back by bisection.
    The likeliest other class leads, and then the next ones, and the nearest adversarial counts. The attack needs no gradient
    of the model, only what its search for latents finds.

    Attributes:
        norm: "l2".
        steps: int. Steps towards one class.
        step: float. Share of the way to the reconstruction.
        target_classes: int. Other classes that are tried, likeliest first.
    """

    name: ClassVar[str] = "latent_descent"
    chunk_size: ClassVar[int] = 100
    uses_gradients: ClassVar[bool] = False
    choices: ClassVar[Choices] = {"norm": ("l2",)}

    norm: str = "l2"
    steps: int = 20
    step: float = 0.1
    target_classes: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.step <= 1.0:
            raise ValueError(f"`step` must be above 0 and at most 1. Received: step={self.step}.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`.

        Raises:
            ClassifierError: the model has no reconstructions.
        """
        if not reconstructs(classifier):
            raise ClassifierError(
                f"Expected an endpoint `features` that gives {RECONSTRUCTIONS!r}, one for each class, in {classifier.path}. "
                "Received: none. Latent descent attacks models of analysis by synthesis."
            )
        best, least = batch.images.copy(), np.full(len(batch), np.inf)
        for targets in other_classes(classifier, batch).T[: self.target_classes]:
            images = self._towards(classifier, batch, targets)
            wrong = np.flatnonzero(classifier.misclassifies(images, batch.labels))
            images[wrong] = shrink(classifier, batch.take(wrong), images[wrong])
            reached = np.sqrt(np.sum((images - batch.images) ** 2, axis=(1, 2, 3)))
            nearer = wrong[reached[wrong] < least[wrong]]
            best[nearer], least[nearer] = images[nearer], reached[nearer]
        return best

    def _towards(self, classifier: Classifier, batch: Batch, targets: np.ndarray) -> np.ndarray:
        """Walks each image towards its target's reconstructions, until it is misclassified."""
        images, active = batch.images.copy(), np.arange(len(batch))
        for _ in range(self.steps):
            if len(active) == 0:
                break
            wanted = _reconstructions(classifier, images[active], targets[active])
            moved = images[active] + np.float32(self.step) * (wanted - images[active])
            images[active] = np.clip(moved, 0.0, 1.0)
            active = active[~classifier.misclassifies(images[active], batch.labels[active])]
        return images


def reconstructs(classifier: Classifier) -> bool:
    """Returns whether the model offers a reconstruction of the image by each class."""
    if classifier.preprocessing != Preprocessing():
        # Its reconstructions are of another range.
        return False
    try:
        features = classifier.raw_endpoint("features")
        found = features(tf.zeros((1, *classifier.image_shape)))
    except (ClassifierError, TypeError, ValueError, tf.errors.OpError):
        return False
    if not isinstance(found, Mapping) or RECONSTRUCTIONS not in found:
        return False
    values, size = np.asarray(found[RECONSTRUCTIONS]), int(np.prod(classifier.image_shape))
    return values.ndim > 2 and values.shape[1] == classifier.num_classes and values[0, 0].size == size


def _reconstructions(classifier: Classifier, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns each image's reconstruction by its target, the shape of `images`."""
    features, size = classifier.raw_endpoint("features"), at_most(classifier, _FORWARD_BATCH)
    parts = []
    for i in range(0, len(images), size):
        some = images[i : i + size]
        found = features(tf.constant(some))[RECONSTRUCTIONS].numpy()
        parts.append(found[np.arange(len(some)), targets[i : i + size]].reshape(some.shape))
    return np.concatenate(parts)
