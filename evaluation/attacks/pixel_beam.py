"""Beam search for few or small pixel changes that asks the model about every pixel at every step."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices
from cortexzoo.evaluation.attacks.greedy_pixels import extreme_colours
from cortexzoo.evaluation.attacks.single_changes import Changes, groups, margins_after
from cortexzoo.evaluation.classifier import Classifier

# The quick search tries only so many places, those that looked best at its first step.
_FEW = 64
# Smaller changes are rounding.
_TINY = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelBeam(Attack):
    """Changes one pixel after the other and keeps the few images on which the label loses most.

    The local search of Narodytska and Kasiviswanathan (2017, https://arxiv.org/abs/1612.06299) without its sampling and
    with a beam: every step tries every pixel on every kept image. In L0 a pixel gets an extreme colour; in L1 a value goes
    to an end of [0, 1], or as far as the budget lasts. One kept image is always the best successor of the one before it, so
    that a beam breaks whatever the greedy search breaks. A quick greedy search of few pixels comes first; it spares the
    easy images the whole search. No gradient is used, which checks networks that mislead attacks that rank by gradients.

    Attributes:
        norm: "l0" or "l1".
        epsilon: the number of pixels, or the L1 norm, that a perturbation may have.
        width: int. The number of images that are kept.
    """

    name: ClassVar[str] = "pixel_beam"
    chunk_size: ClassVar[int] = 50
    uses_gradients: ClassVar[bool] = False
    choices: ClassVar[Choices] = {"norm": ("l0", "l1")}

    norm: str
    epsilon: float
    width: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1:
            raise ValueError(f"`width` must be at least 1. Received: width={self.width}.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        found = batch.images.copy()
        for width, few in ((1, _FEW), (self.width, None)):
            active = np.flatnonzero(~classifier.misclassifies(found, batch.labels))
            # Each kept image has an array of margins, one for each change.
            for group in groups(active, width * batch.images[0].size * self._levels(batch.images.shape[-1])):
                found[group] = self._search(classifier, batch.take(group), width, few)
        return found

    def _levels(self, channels: int) -> int:
        return len(extreme_colours(channels)) if self.norm == "l0" else 2

    def _search(self, classifier: Classifier, batch: Batch, width: int, few: int | None) -> np.ndarray:
        """Returns a misclassified image of each sample for which the search finds one, and the other images as they are."""
        originals = batch.images.reshape(len(batch), -1, batch.images.shape[-1] if self.norm == "l0" else 1)
        found, allowed = originals.copy(), np.ones(originals.shape[:2], bool)
        # The kept images, best first, and whose they are.
        owners, states = np.arange(len(batch)), originals
        for step in range(int(self.epsilon) if self.norm == "l0" else originals.shape[1]):
            if len(owners) == 0:
                break
            changes = self._changes(originals[owners], states, allowed[owners])
            margins = margins_after(classifier, states, batch.labels[owners], changes)
            if few and step == 0:
                allowed = _best_places(len(batch), originals.shape[1], changes, margins, few)
            owners, states = _successors(owners, states, changes, margins, width)
            wrong = classifier.misclassifies(states.reshape(-1, *batch.images.shape[1:]), batch.labels[owners])
            found[owners[wrong]] = states[wrong]
            left = ~np.isin(owners, owners[wrong])
            owners, states = owners[left], states[left]
        return found.reshape(batch.images.shape)

    def _changes(self, originals: np.ndarray, states: np.ndarray, allowed: np.ndarray) -> Changes:
        """All changes of the states, (n, places, width), that the budget and `allowed`, (n, places), leave."""
        changed = np.any(originals != states, axis=-1)
        if self.norm == "l0":
            colours = np.array(extreme_colours(states.shape[-1]), np.float32)[:, None, :]
            values = np.where(np.isnan(colours), states[:, None], colours)
            # Another colour for a changed pixel is free.
            possible = allowed & (changed | (changed.sum(axis=1, keepdims=True) < int(self.epsilon)))
        else:
            left = self.epsilon - np.abs(states - originals).sum(axis=(1, 2), dtype=np.float64)
            ends = np.array([0.0, 1.0])[:, None, None] - originals[:, None]
            reach = np.maximum(left, 0.0)[:, None, None, None]
            values = originals[:, None] + np.clip(ends, -reach, reach)
            possible = allowed & ~changed
        different = np.any(np.abs(values - states[:, None]) > _TINY, axis=-1) & possible[:, None]
        rows, levels, places = np.nonzero(different)
        return Changes(rows, places, values[rows, levels, places].astype(np.float32))


def _best_places(samples: int, places: int, changes: Changes, margins: np.ndarray, few: int) -> np.ndarray:
    """Which places bring the labels nearest to losing, by single changes of the samples, bool, (samples, places)."""
    best = np.full((samples, places), -np.inf)
    np.maximum.at(best, (changes.rows, changes.places), margins)
    ranks = np.argsort(np.argsort(-best, axis=1, kind="stable"), axis=1)
    return ranks < few


def _successors(
    owners: np.ndarray, states: np.ndarray, changes: Changes, margins: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each owner's best different images, at most `width`; the first is the best successor of its first state."""
    kept_owners, kept = [], []
    for owner in np.unique(owners):
        rows = np.flatnonzero(owners == owner)
        own = np.flatnonzero(np.isin(changes.rows, rows))
        order = own[np.argsort(-margins[own], kind="stable")]
        greedy = order[changes.rows[order] == rows[0]][:1]
        different: dict[bytes, np.ndarray] = {}
        for position in np.concatenate([greedy, order]):
            image = changes.take([position]).apply(states)[0]
            different.setdefault(image.tobytes(), image)
            if len(different) == width:
                break
        kept += different.values()
        kept_owners += [owner] * len(different)
    return np.array(kept_owners, int), np.array(kept, np.float32).reshape(-1, *states.shape[1:])
