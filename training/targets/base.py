"""A target is a set of images, and a number in [-1, 1] for every pair of them."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np

# Pairs whose rows are gathered at once; candidates that are drawn for a pair before the search is given up.
_CHUNK = 4096
_MAX_CANDIDATES = 1_000_000


class SimilarityTarget(abc.ABC):
    """How similar a network shall find two images (Li et al. 2019, https://arxiv.org/abs/1911.05072).

    Subclasses implement `_similarity`, and `_includes` where some pairs are left out.

    Attributes:
        images: float32, (n, height, width, channels), in [0, 1]. The regularisation set; indices of pairs refer to it.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.images = check_images(images)

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Returns the wanted similarity of pairs.

        Args:
            first: int, (k,). Indices into `images`.
            second: int, (k,).

        Returns:
            float32, (k,), in [-1, 1].

        Raises:
            ValueError: the indices are not integers, differ in number or are out of range; or the target leaves a pair out.
        """
        first, second = self._check_indices(first), self._check_indices(second)
        if first.shape != second.shape:
            raise ValueError(f"Expected as many first as second images. Received: {len(first)} and {len(second)}.")
        excluded = int(np.sum(~self._includes(first, second)))
        if excluded:
            raise ValueError(
                f"Expected pairs in the target's range. Received: {excluded} of {len(first)} outside. "
                "Draw them with the target's `pairs`."
            )
        return np.clip(self._similarity(first, second), -1.0, 1.0).astype(np.float32)

    def pairs(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws pairs of two different images, uniformly and with replacement, among those that the target includes.

        Args:
            count: number of pairs.
            generator: source of randomness.

        Returns:
            Two int64 arrays, (count,), for `similarity`.

        Raises:
            ValueError: a million draws found no such pair.
        """
        found = np.zeros((2, 0), np.int64)
        candidates, drawn = count, 0
        while found.shape[1] < count:
            if drawn >= _MAX_CANDIDATES and not found.shape[1]:
                raise ValueError(
                    f"Expected pairs in the target's range. Received: none among {drawn:,} of {len(self.images):,} images. "
                    "Change the threshold."
                )
            first = generator.integers(len(self.images), size=candidates)
            # An offset that is never 0: the second image is another one, and all others are equally likely.
            second = (first + generator.integers(1, len(self.images), size=candidates)) % len(self.images)
            kept = self._includes(first, second)
            found = np.concatenate([found, np.stack([first, second])[:, kept]], axis=1)
            drawn, candidates = drawn + candidates, min(4 * candidates, _CHUNK)
        return found[0, :count], found[1, :count]

    def facts(self) -> dict[str, Any]:
        """Returns what a model's card keeps of the target: plain JSON values by name. Nothing by default."""
        return {}

    def sources(self) -> Sequence[str]:
        """Returns digests of what the target is made of besides its options, so that a training never resumes on others."""
        return []

    @abc.abstractmethod
    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Returns the similarity of valid pairs, (k,)."""

    def _includes(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Returns which pairs the target includes, bool, (k,)."""
        return np.ones(len(first), bool)

    def _check_indices(self, indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(
                f"Expected integer indices of shape (k,). Received: {indices.dtype} of shape {tuple(indices.shape)}."
            )
        if indices.size and not (indices.min() >= 0 and indices.max() < len(self.images)):
            raise ValueError(
                f"Expected indices from 0 to {len(self.images) - 1}. Received: {indices.min()} to {indices.max()}."
            )
        return indices


class CosineSimilarity(SimilarityTarget):
    """The cosine of the images' features after subtracting their mean over the images, averaged over sets of features.

    An image whose features are the mean itself has similarity 0 to all.

    Args:
        images: the regularisation set, (n, height, width, channels).
        features: sets of features, each (n, ...) float. Cosines are computed within a set and averaged over sets.

    Raises:
        ValueError: there is no set, or a set does not have n rows of finite values.
    """

    def __init__(self, images: np.ndarray, features: Sequence[np.ndarray]) -> None:
        super().__init__(images)
        if not features:
            raise ValueError("Expected at least one set of features. Received: none.")
        for part in features:
            if len(part) != len(self.images) or not np.isfinite(part).all():
                raise ValueError(
                    f"Expected finite features of {len(self.images)} images. Received: shape {np.shape(part)}, "
                    f"{int(np.sum(~np.isfinite(part)))} values not finite."
                )
        self._rows = [_centred_unit_rows(part) for part in features]

    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        found = np.zeros(len(first), np.float32)
        for start in range(0, len(first), _CHUNK):
            chosen = slice(start, start + _CHUNK)
            for rows in self._rows:
                found[chosen] += np.einsum("kd,kd->k", rows[first[chosen]], rows[second[chosen]])
        return found / len(self._rows)


def _centred_unit_rows(features: np.ndarray) -> np.ndarray:
    """Subtracts the mean row and scales each row to length 1 (0 where it is the mean), float32, (n, d)."""
    rows = np.asarray(features, np.float32).reshape(len(features), -1)
    rows = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # What is left of a row that is the mean is rounding, which has no direction.
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-6 * lengths.max())


def check_images(images: np.ndarray) -> np.ndarray:
    """Returns images as float32.

    Raises:
        ValueError: there are fewer than two, or they are not of shape (n, height, width, channels) and in [0, 1].
    """
    array = np.asarray(images)
    if array.ndim != 4 or len(array) < 2 or 0 in array.shape or array.dtype.kind not in "fiub":
        raise ValueError(
            "Expected at least two images of shape (n, height, width, channels). "
            f"Received: {array.dtype} of shape {tuple(array.shape)}."
        )
    # Written so that NaN fails as well.
    if not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError(
            f"Expected images in [0, 1]. Received: values from {array.min()} to {array.max()}. Divide bytes by 255."
        )
    return array.astype(np.float32, copy=False)
