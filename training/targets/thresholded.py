"""Thresholded pixel similarity: 1 for very similar pairs, -1 for very dissimilar ones, 0 for all others."""

import numpy as np

from cortexzoo.training.limits import OneOf, Range
from cortexzoo.training.targets import pixel
from cortexzoo.training.targets.base import SimilarityTarget
from cortexzoo.training.targets.published import published_setting
from cortexzoo.training.targets.specification import Setting, TargetSpecification

# The "ranges" of the authors' code: they select the pairs for training and do not change the values.
_RANGES = {
    "both": lambda similarity, threshold, inner: np.ones(similarity.shape, bool),
    "low": lambda similarity, threshold, inner: np.abs(similarity) <= threshold,
    "high": lambda similarity, threshold, inner: np.abs(similarity) > threshold,
    "high_positive": lambda similarity, threshold, inner: similarity > threshold,
    "positive": lambda similarity, threshold, inner: similarity >= -threshold,
    "negative": lambda similarity, threshold, inner: similarity <= threshold,
    "double": lambda similarity, threshold, inner: (np.abs(similarity) > threshold) | (np.abs(similarity) < inner),
}


class ThresholdedSimilarity(SimilarityTarget):
    """+1 above `threshold`, -1 below -`threshold`, 0 between (S^Th of Attias et al. 2024).

    Args:
        target: the similarity that is thresholded.
        threshold: float, in [0, 1).
        side: which pairs are included. "both": all; "low": those between the thresholds, whose value is 0; "high": those
            beyond, whose value is 1 or -1; "high_positive": those above `threshold`; "positive": all but those below
            -`threshold`; "negative": all but those above `threshold`; "double": those beyond `threshold`, and those nearer
            to 0 than `inner_threshold`. `pairs` draws from these, and `similarity` refuses others.
        inner_threshold: float, in [0, threshold]. For "double".
        signs: bool. True for the values 1, -1 and 0; False for the values of `target`, so that only `side` matters.

    Raises:
        ValueError: `threshold` or `inner_threshold` is out of range, or `side` is unknown.
    """

    def __init__(
        self,
        target: SimilarityTarget,
        threshold: float = 0.8,
        side: str = "both",
        inner_threshold: float = 0.0,
        signs: bool = True,
    ) -> None:
        if not 0.0 <= threshold < 1.0:
            raise ValueError(f"Expected 0 <= `threshold` < 1. Received: threshold={threshold}")
        if not 0.0 <= inner_threshold <= threshold:
            raise ValueError(f"Expected 0 <= `inner_threshold` <= {threshold}. Received: inner_threshold={inner_threshold}")
        if side not in _RANGES:
            raise ValueError(f"`side` must be one of {', '.join(_RANGES)}. Received: side={side!r}")
        super().__init__(target.images)
        self.threshold = threshold
        self.side = side
        self.inner_threshold = inner_threshold
        self.signs = signs
        self._target = target

    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        similarity = self._target.similarity(first, second)
        if not self.signs:
            return similarity
        return np.sign(similarity) * (np.abs(similarity) > self.threshold)

    def _includes(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if self.side == "both":
            return super()._includes(first, second)
        return _RANGES[self.side](self._target.similarity(first, second), self.threshold, self.inner_threshold)


def build(
    images: np.ndarray,
    seed: int,
    *,
    threshold: float = 0.8,
    side: str = "both",
    inner_threshold: float = 0.0,
    signs: bool = True,
    average_channels: bool = False,
) -> SimilarityTarget:
    """Returns thresholded pixel similarity; see `ThresholdedSimilarity` and `pixel.build` for the options."""
    similarity = pixel.build(images, seed, average_channels=average_channels)
    return ThresholdedSimilarity(similarity, threshold, side, inner_threshold, signs)


TARGET = TargetSpecification(
    name="thresholded",
    title="thresholded pixel similarities",
    description=("As with pixel similarities, but they become 1 or -1 beyond a threshold, and 0 within it."),
    build=build,
    settings=(
        Setting("threshold", lambda dataset: published_setting(dataset, dataset).threshold, Range(0.0, 0.999), shared=True),
        Setting("side", "both", OneOf(_RANGES), shared=True),
        Setting("inner_threshold", 0.0, Range(0.0, 0.999)),
        Setting("signs", True),
        pixel.AVERAGE_CHANNELS,
    ),
    from_paper=("Th = {threshold:g}.",),
    datasets=("fashion_mnist", "cifar10_gray", "mnist", "cifar10"),
)
