"""Distances between images, against NumPy's norms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cortexzoo.evaluation.norms import distances, largest_distance
from cortexzoo.norms import NORMS

_SHAPES = arrays.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=4)
_PAIRS = _SHAPES.flatmap(
    lambda shape: st.tuples(*[arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))] * 2)
)
_ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}


@given(_PAIRS, st.sampled_from(sorted(_ORDERS)))
def test_lp_distances_are_numpys(pair: tuple[np.ndarray, np.ndarray], norm: str) -> None:
    images, others = pair
    flat = (others.astype(np.float64) - images.astype(np.float64)).reshape(len(images), -1)
    found = distances(images, others, norm)
    assert (found.shape, found.dtype) == ((len(images),), np.float64)
    np.testing.assert_allclose(found, np.linalg.norm(flat, _ORDERS[norm], axis=1), rtol=1e-12)


@given(_PAIRS, st.sampled_from(NORMS))
def test_distances_are_symmetric_and_bounded(pair: tuple[np.ndarray, np.ndarray], norm: str) -> None:
    images, others = pair
    found = distances(images, others, norm)
    np.testing.assert_array_equal(found, distances(others, images, norm))
    np.testing.assert_array_equal(distances(images, images, norm), 0.0)
    assert np.all(found <= largest_distance(images.shape[1:], norm) * (1 + 1e-12))


@pytest.mark.parametrize("norm", NORMS)
def test_black_to_white_is_the_largest_distance(norm: str) -> None:
    black = np.zeros((1, 3, 5, 2), np.float32)
    assert distances(black, 1 - black, norm) == pytest.approx(largest_distance((3, 5, 2), norm))


def test_l0_counts_a_pixel_of_several_channels_once() -> None:
    images = np.zeros((2, 4, 4, 3), np.float32)
    others = images.copy()
    others[0, 1, 2, :] = (0.5, 0.1, 0.0)
    others[1, 0, 0, 0] = others[1, 3, 3, 2] = 1.0
    np.testing.assert_array_equal(distances(images, others, "l0"), [1.0, 2.0])


def test_l0_ignores_rounding_only() -> None:
    images = np.full((1, 1, 2, 1), 0.7, np.float32)
    rounded = np.nextafter(images, np.float32(1.0))
    assert distances(images, rounded, "l0") == 0.0
    # The smallest step of an 8-bit image is far beyond it.
    assert distances(images, images - np.float32(1 / 255), "l0") == 2.0


@pytest.mark.parametrize("norm", NORMS)
def test_no_images_have_no_distances(norm: str) -> None:
    none = np.zeros((0, 4, 4, 1), np.float32)
    assert distances(none, none, norm).shape == (0,)


def test_unknown_norm_is_refused() -> None:
    image = np.zeros((1, 2, 2, 1), np.float32)
    with pytest.raises(ValueError, match=r"`norm` must be one of linf, l2, l1, l0\. Received: norm='l3'"):
        distances(image, image, "l3")
