"""What every attack has in common, and the search that completes the attacks of a fixed epsilon."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances, largest_distance
from cortexzoo.norms import NORMS

# The allowed values of settings that are not numbers.
Choices = Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Images to attack or to shift. No two batches are equal, so that a batch can be the key of a cache.

    Attributes:
        images: float32, (n, height, width, channels), in [0, 1].
        labels: int64, (n,). True labels: attacks never use the model's own prediction.
        ids: int64, (n,). Sample ids, from which each sample's random numbers are drawn.
        seed: int.
        starts: float32, (n, STARTS, height, width, channels): for each sample images of other classes, from which walks
            along the boundary begin; None unless the attack needs them. See `starting_points`.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    seed: int
    starts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: np.ndarray) -> "Batch":
        """Returns the samples at these positions or under this mask."""
        starts = None if self.starts is None else self.starts[chosen]
        return Batch(self.images[chosen], self.labels[chosen], self.ids[chosen], self.seed, starts)

    def check(self, images: np.ndarray, name: str) -> np.ndarray:
        """Returns the images that an attack or a shift produced, after checking that they are images.

        Raises:
            ValueError: wrong shape, NaN, or values outside [0, 1]. Such results must not be stored.
        """
        if images.shape != self.images.shape or not np.all((images >= 0.0) & (images <= 1.0)):
            raise ValueError(
                f"Expected {name} to give images of shape {self.images.shape} in [0, 1]. "
                f"Received: shape {images.shape}, from {np.min(images)} to {np.max(images)}."
            )
        return images


class Attack:
    """Base class of all attacks: immutable settings, a norm, and `run`.

    An attack is a frozen dataclass; its fields are its settings, and together with `name` and `version` they are its
    identity in the store. Raise `version` whenever a change of code changes results.

    Attributes:
        name: what it is called in the store.
        version: int.
        chunk_size: images that are attacked and stored at once.
        uses_gradients: whether surrogate endpoints are attacked beside the model's own logits.
        needs_starts: whether it starts from `Batch.starts`.
        choices: the allowed values of settings that are not numbers.
        norm: "linf", "l2", "l1" or "l0".
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    chunk_size: ClassVar[int] = 500
    uses_gradients: ClassVar[bool] = True
    needs_starts: ClassVar[bool] = False
    choices: ClassVar[Choices] = {"norm": NORMS}
    norm: str

    def __post_init__(self) -> None:
        for name, allowed in self.choices.items():
            if getattr(self, name) not in allowed:
                received = getattr(self, name)
                raise ValueError(f"`{name}` of {type(self).__name__} must be one of {allowed}. Received: {received!r}.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """Returns the nearest adversarial that was found for each sample; where the attack failed, any image.

        Args:
            classifier: the model.
            endpoint: which of the classifier's endpoints to differentiate.
            batch: correctly classified samples.

        Returns:
            float32, the shape of `batch.images`, in [0, 1]. The caller classifies them again through the serving path.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `run`.")


def settings(attack: Attack) -> dict[str, Any]:
    """Returns what identifies the attack in the store, as plain JSON values."""
    fields = {field.name: _plain(getattr(attack, field.name)) for field in dataclasses.fields(attack)}
    return {"attack": attack.name, "version": attack.version, "norm": attack.norm, **fields}


def _plain(value: Any) -> Any:
    """Attacks inside an attack have settings of their own."""
    if isinstance(value, Attack):
        return settings(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrapper(Attack):
    """Base class of attacks that run another attack; its norm and requirements are theirs.

    Attributes:
        inner: the other attack.
    """

    inner: Attack

    @property
    def norm(self) -> str:
        """That of the inner attack."""
        return self.inner.norm

    @property
    def chunk_size(self) -> int:
        """That of the inner attack."""
        return self.inner.chunk_size

    @property
    def uses_gradients(self) -> bool:
        """That of the inner attack."""
        return self.inner.uses_gradients

    @property
    def needs_starts(self) -> bool:
        """That of the inner attack."""
        return self.inner.needs_starts


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonSearch(Attack):
    """Base class of fixed-epsilon attacks: searches each sample's smallest epsilon.

    The first round uses the table's epsilon, so that there the search is at least as strong as the plain attack. Where it
    succeeds, the search bisects below; elsewhere it doubles epsilon and then bisects. Every adversarial is pulled straight
    towards its image as far as it stays adversarial, which takes forward passes only.

    Attributes:
        norm: "linf", "l2" or "l1".
        epsilon: the table's threshold in this norm.
        rounds: most epsilons tried for one sample; 1 tries `epsilon` alone.
        tolerance: relative width of the bracket at which a sample's search ends.
    """

    norm: str
    epsilon: float
    rounds: int = 8
    tolerance: float = 0.05

    def perturb(self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int) -> np.ndarray:
        """Returns images within `epsilon` (float32, (n,)) of the samples; `draw` numbers the random numbers."""
        raise NotImplementedError(f"{type(self).__name__} must implement `perturb`.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        upper = largest_distance(classifier.image_shape, self.norm)
        best, low = batch.images.copy(), np.zeros(len(batch))
        high, epsilon = np.full(len(batch), np.inf), np.full(len(batch), min(self.epsilon, upper))
        active = np.arange(len(batch))
        for draw in range(self.rounds):
            found, images = self._attempt(classifier, endpoint, batch.take(active), epsilon[active], draw)
            reached = distances(batch.images[active], images, self.norm)
            improved = found & (reached < high[active])
            best[active[improved]] = images[improved]
            high[active[improved]] = reached[improved]
            low[active[~found]] = epsilon[active[~found]]
            # Where a smaller distance succeeds than the epsilon that failed, the failure is no bound.
            low[low >= high] = 0.0
            # No success yet: double epsilon, up to the largest distance of the norm.
            epsilon = np.where(np.isfinite(high), (low + high) / 2, np.minimum(2 * epsilon, upper))
            open_bracket = np.where(np.isfinite(high), high - low > self.tolerance * high, low < upper)
            active = np.flatnonzero(open_bracket)
            if len(active) == 0:
                break
        return best

    def _attempt(
        self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int
    ) -> tuple[np.ndarray, np.ndarray]:
        images = self.perturb(classifier, endpoint, batch, epsilon.astype(np.float32), draw)
        found = classifier.misclassifies(images, batch.labels)
        images[found] = shrink(classifier, batch.take(found), images[found])
        return found, images


def shrink(classifier: Classifier, batch: Batch, adversarials: np.ndarray, steps: int = 10) -> np.ndarray:
    """Pulls adversarials straight towards their images as far as the model still misclassifies them.

    Args:
        classifier: the model.
        batch: the samples.
        adversarials: misclassified images, the shape of `batch.images`.
        steps: bisections of the line.

    Returns:
        Misclassified images, no farther away in any norm but L0.
    """
    low, high, best = np.zeros(len(batch)), np.ones(len(batch)), adversarials.copy()
    for _ in range(steps if len(batch) else 0):
        middle = (low + high) / 2
        share = middle[:, None, None, None].astype(np.float32)
        images = np.clip(batch.images + share * (adversarials - batch.images), 0.0, 1.0)
        wrong = classifier.misclassifies(images, batch.labels)
        best[wrong] = images[wrong]
        high, low = np.where(wrong, middle, high), np.where(wrong, low, middle)
    return best


def nearest_of(classifier: Classifier, batch: Batch, norm: str, attempts: Iterable[np.ndarray]) -> np.ndarray:
    """Returns each sample's nearest adversarial of several attempts, and the image itself where all failed.

    Args:
        classifier: the model.
        batch: the samples.
        norm: of the distances.
        attempts: images, each the shape of `batch.images`.
    """
    best, least = batch.images.copy(), np.full(len(batch), np.inf)
    for images in attempts:
        wrong = classifier.misclassifies(images, batch.labels)
        reached = np.where(wrong, distances(batch.images, images, norm), np.inf)
        nearer = reached < least
        best[nearer], least[nearer] = images[nearer], reached[nearer]
    return best


def other_classes(classifier: Classifier, batch: Batch) -> np.ndarray:
    """Returns the other classes of each sample, likeliest for the image itself first, int64, (n, classes - 1)."""
    order = np.argsort(-classifier.serving_logits(batch.images), axis=1, kind="stable")
    return order[order != batch.labels[:, None]].reshape(len(batch), -1)


def sample_generator(batch: Batch, row: int, stream: int) -> np.random.Generator:
    """Returns a sample's random generator; it depends on seed, stream and sample id, not on the rest of the batch."""
    return np.random.Generator(np.random.Philox(key=(batch.seed << 32) + stream, counter=int(batch.ids[row]) << 64))


def random_directions(batch: Batch, norm: str, stream: int) -> np.ndarray:
    """Returns points drawn uniformly from the unit ball of the norm, one per sample, float32.

    Each sample has a generator of its own, keyed by seed, stream and sample id: a result does not depend on which other
    samples share the batch.
    """
    directions = np.empty_like(batch.images)
    for i, row in enumerate(directions):
        generator = sample_generator(batch, i, stream)
        if norm == "linf":
            row[...] = generator.uniform(-1.0, 1.0, row.shape)
        elif norm == "l2":
            normal = generator.standard_normal(row.shape)
            row[...] = normal / np.linalg.norm(normal) * generator.random() ** (1 / row.size)
        elif norm == "l1":
            laplace = generator.laplace(size=row.shape)
            row[...] = laplace / np.abs(laplace).sum() * generator.random() ** (1 / row.size)
        else:
            raise ValueError(f"Random starts exist in linf, l2 and l1. Received: norm={norm!r}")
    return directions
