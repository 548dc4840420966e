"""Searches along a path from the image: less contrast, blended noise, blur, the negative. They work in every norm."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from scipy.ndimage import gaussian_filter

from cortexzoo.evaluation.attacks.base import Attack, Batch, EpsilonSearch, sample_generator, shrink
from cortexzoo.evaluation.attacks.batching import at_most
from cortexzoo.evaluation.classifier import Classifier

_FORWARD_BATCH = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathSearch(Attack):
    """Base class: finds the first adversarial on a path that begins at the image.

    Attributes:
        norm: of the distances; the path does not depend on it.
        steps: int. Points on the path.
    """

    uses_gradients: ClassVar[bool] = False

    norm: str
    steps: int = 1000

    def path(self, classifier: Classifier, batch: Batch) -> Callable[[np.ndarray, float], np.ndarray]:
        """Returns a function of positions (of the batch's samples) and a share in (0, 1] that gives their images."""
        raise NotImplementedError(f"{type(self).__name__} must implement `path`.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        results, active, step = batch.images.copy(), np.arange(len(batch)), 0
        image_at, most = self.path(classifier, batch), at_most(classifier, _FORWARD_BATCH)
        while len(active) and step < self.steps:
            # Few samples take many steps at once.
            count = min(max(1, most // len(active)), self.steps - step)
            images = np.stack([image_at(active, (step + i) / self.steps) for i in range(1, count + 1)])
            wrong = classifier.misclassifies(images.reshape(-1, *images.shape[2:]), np.tile(batch.labels[active], count))
            wrong = wrong.reshape(count, len(active))
            done = wrong.any(axis=0)
            results[active] = images[np.where(done, wrong.argmax(axis=0), count - 1), np.arange(len(active))]
            active, step = active[~done], step + count
        return results


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inversion(Attack):
    """The negative, 1 - x (Hosseini et al. 2017, https://arxiv.org/abs/1703.06857)."""

    name: ClassVar[str] = "inversion"
    uses_gradients: ClassVar[bool] = False

    norm: str

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        return 1 - batch.images


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearContrastReduction(PathSearch):
    """Towards a uniform gray, in equal steps."""

    name: ClassVar[str] = "linear_search_contrast_reduction"

    def path(self, classifier: Classifier, batch: Batch) -> Callable[[np.ndarray, float], np.ndarray]:
        """See `PathSearch.path`."""
        return lambda chosen, share: (batch.images[chosen] + share * (0.5 - batch.images[chosen])).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryContrastReduction(Attack):
    """Towards a uniform gray by bisection: finer than equal steps, but it may miss adversarials on the way.

    Attributes:
        norm: of the distances.
        steps: int. Bisections.
    """

    name: ClassVar[str] = "binary_search_contrast_reduction"
    uses_gradients: ClassVar[bool] = False

    norm: str
    steps: int = 15

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        gray = np.full_like(batch.images, 0.5)
        found = classifier.misclassifies(gray, batch.labels)
        results = np.where(found[:, None, None, None], gray, batch.images)
        results[found] = shrink(classifier, batch.take(found), results[found], self.steps)
        return results


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendedUniformNoise(PathSearch):
    """Towards an image of uniform noise that is classified otherwise, in equal steps.

    Attributes:
        directions: most draws until the noise itself is classified otherwise.
    """

    name: ClassVar[str] = "linear_search_blended_uniform_noise"

    directions: int = 1000

    def path(self, classifier: Classifier, batch: Batch) -> Callable[[np.ndarray, float], np.ndarray]:
        """See `PathSearch.path`."""
        noise, active = np.empty_like(batch.images), np.arange(len(batch))
        for stream in range(self.directions):
            for i in active:
                noise[i] = sample_generator(batch, i, stream).random(noise[i].shape, np.float32)
            active = active[~classifier.misclassifies(noise[active], batch.labels[active])]
            if len(active) == 0:
                break
        return lambda chosen, share: np.clip(
            (1 - share) * batch.images[chosen] + share * noise[chosen], 0.0, 1.0, dtype=np.float32
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianBlur(PathSearch):
    """Gaussian filters of growing width, up to that of the image."""

    name: ClassVar[str] = "gaussian_blur"

    def path(self, classifier: Classifier, batch: Batch) -> Callable[[np.ndarray, float], np.ndarray]:
        """See `PathSearch.path`."""
        widest = max(classifier.image_shape[:2])

        def image_at(chosen: np.ndarray, share: float) -> np.ndarray:
            return np.clip(gaussian_filter(batch.images[chosen], (0, share * widest, share * widest, 0)), 0.0, 1.0)

        return image_at


@dataclasses.dataclass(frozen=True, kw_only=True)
class L2ContrastReduction(EpsilonSearch):
    """Towards a uniform gray by a given L2 distance."""

    name: ClassVar[str] = "l2_contrast_reduction"
    uses_gradients: ClassVar[bool] = False

    norm: str = "l2"

    def perturb(self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int) -> np.ndarray:
        """See `EpsilonSearch.perturb`."""
        direction = 0.5 - batch.images
        share = np.minimum(epsilon / np.maximum(np.sqrt(np.sum(direction**2, axis=(1, 2, 3))), 1e-12), 1.0)
        return batch.images + share[:, None, None, None].astype(np.float32) * direction
