"""Direct search over the sides of an input threshold, for models that see nothing else of an image."""

import copy
import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Attack, Batch, sample_generator
from cortexzoo.evaluation.attacks.single_changes import Changes, groups, margins_after
from cortexzoo.evaluation.classifier import Classifier

# Steps for which a value that has flipped stays, where three times as many may flip.
_TENURE = 10
# The share of flips in the densest random start.
_DENSEST = 0.6
# Rounding of sums of costs.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdFlips(Attack):
    """Tabu search over the values that may change sides of a model's hard input threshold.

    Such a model depends on the pattern of the values at or above the threshold alone. A value changes sides at the least
    cost just past the threshold, so that within epsilon few patterns are within reach: in L-inf those of the values whose
    distance from the threshold is at most epsilon. Every step asks the model about each single flip and takes the best one,
    even where it makes things worse; a value that has flipped then stays for some steps, so that the search leaves a local
    optimum for good (tabu search: Glover 1989, https://doi.org/10.1287/ijoc.1.3.190). The first walk starts at the image,
    the others at random patterns within epsilon. Values that have not flipped are the image's own.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        epsilon: the largest perturbation.
        threshold: that of the model; values equal to it count as above.
        steps: int. Flips in a walk.
        walks: int.
    """

    name: ClassVar[str] = "threshold_flips"
    chunk_size: ClassVar[int] = 50
    uses_gradients: ClassVar[bool] = False

    norm: str
    epsilon: float
    threshold: float = 0.5
    steps: int = 60
    walks: int = 8

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        sides = Sides(batch.images, self.threshold, self.norm, self.epsilon)
        starts = np.stack([self._random_start(sides, batch, row) for row in range(len(batch))])
        return walk(classifier, batch, sides, starts, self.steps)

    def _random_start(self, sides: "Sides", batch: Batch, row: int) -> np.ndarray:
        """Patterns of flips within epsilon, bool, (walks, values), of which the first has none."""
        generator, costs = sample_generator(batch, row, 0), sides.costs[row]
        patterns = np.zeros((self.walks, costs.size), bool)
        for pattern in patterns[1:]:
            order = generator.permutation(costs.size)
            order = order[costs[order] <= sides.budget]
            order = order[: int(generator.random() * _DENSEST * order.size)]
            pattern[order[np.cumsum(costs[order]) <= sides.budget]] = True
        return patterns


class Sides:
    """The images' values on either side of a threshold, and what it costs to flip them.

    Attributes:
        own: float32, (n, values). The images' values.
        above: bool, (n, values). Which of them are at or above the threshold.
        other: float32, (n, values). The nearest values on the other side.
        costs: float64, (n, values). The cost of each flip; infinite where no flip is allowed.
        budget: float. The cost of a perturbation of size epsilon.
        channels: int. Values of a pixel.

    Args:
        images: float32, (n, height, width, channels).
        threshold: values at or above it are on one side.
        norm: of perturbations.
        epsilon: their largest size.
    """

    def __init__(self, images: np.ndarray, threshold: float, norm: str, epsilon: float) -> None:
        self.own, self.channels, self._counts_pixels = images.reshape(len(images), -1), images.shape[-1], norm == "l0"
        at = np.float32(threshold)
        self.above = self.own >= at
        self.other = np.where(self.above, np.nextafter(at, np.float32(-1)), at)
        moved = np.abs(self.other.astype(np.float64) - self.own)
        possible = (self.other >= 0.0) & (self.other <= 1.0)
        if norm == "linf":
            self.budget, costs = 0.0, np.where(moved <= epsilon * (1 + _ROUNDING), 0.0, np.inf)
        else:
            self.budget = (epsilon**2 if norm == "l2" else epsilon) * (1 + _ROUNDING)
            costs = moved ** {"l2": 2, "l1": 1, "l0": 0}[norm]
        self.costs = np.where(possible, costs, np.inf)

    def take(self, rows: np.ndarray) -> "Sides":
        """Returns those of the images in these rows."""
        taken = copy.copy(self)
        taken.own, taken.above, taken.other, taken.costs = (
            values[rows] for values in (self.own, self.above, self.other, self.costs)
        )
        return taken

    def images(self, rows: np.ndarray, patterns: np.ndarray) -> np.ndarray:
        """Returns the images in these rows with flips where the patterns, (n, values), say so, (n, values)."""
        return np.where(patterns, self.other[rows], self.own[rows])

    def possible(self, rows: np.ndarray, patterns: np.ndarray) -> np.ndarray:
        """Returns which values may flip, or flip back, within the budget, bool, (n, values)."""
        costs = self.costs[rows]
        if self._counts_pixels and self.channels > 1:
            # A pixel counts once, so that further channels of it are free.
            pixels = patterns.reshape(len(patterns), -1, self.channels).any(axis=-1)
            spent, costs = pixels.sum(axis=1), np.where(np.repeat(pixels, self.channels, axis=1), costs - 1.0, costs)
        else:
            spent = np.sum(costs, axis=1, where=patterns)
        return patterns | (spent[:, None] + costs <= self.budget)


def walk(classifier: Classifier, batch: Batch, sides: Sides, starts: np.ndarray, steps: int) -> np.ndarray:
    """Walks from patterns of flips to better ones, each time over the best single flip; see `ThresholdFlips`.

    Args:
        classifier: the model.
        batch: the samples.
        sides: of the samples' images.
        starts: bool, (n, walks, values). Patterns within the budget, from which each sample's walks start.
        steps: flips in a walk.

    Returns:
        A misclassified image of each sample for which there is one on a walk, and the other images as they are.
    """
    found, walks = batch.images.copy(), starts.shape[1]
    for rows in groups(np.arange(len(batch)), 4 * walks * starts.shape[2]):
        owners, patterns = np.repeat(rows, walks), starts[rows].reshape(-1, starts.shape[2])
        # The step from which on a value may flip again.
        free = np.zeros(patterns.shape, int)
        for step in range(steps + 1):
            images = sides.images(owners, patterns).reshape(-1, *batch.images.shape[1:])
            wrong = classifier.misclassifies(images, batch.labels[owners])
            found[owners[wrong]] = images[wrong]
            left = ~np.isin(owners, owners[wrong])
            owners, patterns, free = owners[left], patterns[left], free[left]
            if len(owners) == 0 or step == steps:
                break
            flipped = _best_flips(classifier, batch.labels[owners], sides, owners, patterns, free <= step)
            patterns[flipped] ^= True
            # Where few values may flip, some must stay free.
            tenure = np.minimum(_TENURE, np.sum(np.isfinite(sides.costs[owners]), axis=1) // 3)
            free[flipped] = step + 1 + tenure[flipped[0]]
    return found


def _best_flips(
    classifier: Classifier, labels: np.ndarray, sides: Sides, owners: np.ndarray, patterns: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The flip of each pattern after which its label is nearest to losing: rows and values; none where none is possible."""
    rows, places = np.nonzero(free & sides.possible(owners, patterns))
    states = sides.images(owners, patterns)
    flipped = np.where(patterns, sides.own[owners], sides.other[owners])[rows, places]
    margins = np.full(patterns.shape, -np.inf, np.float32)
    margins[rows, places] = margins_after(classifier, states[..., None], labels, Changes(rows, places, flipped[:, None]))
    movable = np.unique(rows)
    return movable, margins[movable].argmax(axis=1)
