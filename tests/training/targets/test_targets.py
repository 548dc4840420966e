"""What every target promises, and what each of them means."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr

from cortexzoo import datasets
from cortexzoo.loading import load_model
from cortexzoo.training import targets
from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget
from tests.zoo.conftest import SMALL_ID, catalogue, published  # noqa: F401

GENERATOR = np.random.default_rng(0)
# Smooth blobs of varying contrast: neighbours are alike and some pairs are far from 0.
IMAGES = np.clip(
    0.5 + GENERATOR.normal(0, 0.3, (60, 1, 1, 1)) + GENERATOR.normal(0, 0.3, (60, 4, 4, 1)).repeat(2, 1).repeat(2, 2), 0, 1
).astype(np.float32)
OPTIONS: dict[str, dict] = {
    "pixel": {},
    "thresholded": {"threshold": 0.3},
    "simulated_v1": {"units": 40, "trials": 4},
    "shuffled": {},
    "constant": {"value": -0.25},
}
ALL = [np.repeat(np.arange(60), 60), np.tile(np.arange(60), 60)]


def matrix(target: SimilarityTarget) -> np.ndarray:
    count = len(target.images)
    first, second = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
    return target.similarity(first, second).reshape(count, count)


def centred_cosine(features: np.ndarray) -> np.ndarray:
    """By another road: SciPy's cosine distance."""
    rows = features.reshape(len(features), -1).astype(np.float64)
    rows = rows - rows.mean(axis=0)
    return 1.0 - cdist(rows, rows, "cosine")


@pytest.mark.parametrize("name", OPTIONS)
def test_a_target_is_a_symmetric_matrix_in_range_and_the_same_every_time(name: str) -> None:
    target = targets.build(name, IMAGES, seed=3, **OPTIONS[name])
    values = target.similarity(*ALL)
    assert (values.dtype, values.shape) == (np.float32, (3600,))
    assert np.abs(values).max() <= 1.0
    np.testing.assert_allclose(values.reshape(60, 60), values.reshape(60, 60).T, atol=1e-6)
    np.testing.assert_array_equal(target.images, IMAGES)
    assert target.images.dtype == np.float32
    np.testing.assert_array_equal(targets.build(name, IMAGES, seed=3, **OPTIONS[name]).similarity(*ALL), values)


def test_pixel_similarity_is_the_cosine_after_the_mean_image() -> None:
    np.testing.assert_allclose(matrix(targets.build("pixel", IMAGES, seed=0)), centred_cosine(IMAGES), atol=1e-5)


def test_channels_can_be_averaged_first() -> None:
    colour = np.random.default_rng(1).random((20, 4, 4, 3))
    averaged = matrix(targets.build("pixel", colour, seed=0, average_channels=True))
    np.testing.assert_allclose(averaged, centred_cosine(colour.mean(axis=-1)), atol=1e-5)
    assert np.abs(averaged - matrix(targets.build("pixel", colour, seed=0))).max() > 0.1


def test_image_that_is_the_mean_is_similar_to_none() -> None:
    images = np.array([0.25, 0.75, 0.5], np.float32)[:, None, None, None] * np.ones((1, 2, 2, 1), np.float32)
    expected = np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(matrix(targets.build("pixel", images, seed=0)), expected, atol=1e-6)


def test_sets_of_features_are_averaged_as_cosines() -> None:
    parts = [np.random.default_rng(2).normal(size=(60, size)) for size in (3, 7)]
    expected = (centred_cosine(parts[0]) + centred_cosine(parts[1])) / 2
    np.testing.assert_allclose(matrix(CosineSimilarity(IMAGES, parts)), expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(threshold=st.floats(0.0, 0.99))
def test_threshold(threshold: float) -> None:
    pixel = matrix(targets.build("pixel", IMAGES, seed=0))
    found = matrix(targets.build("thresholded", IMAGES, seed=0, threshold=threshold))
    np.testing.assert_array_equal(found, 1.0 * (pixel > threshold) - 1.0 * (pixel < -threshold))


@pytest.mark.parametrize(
    ("side", "values"),
    [
        ("both", {-1, 0, 1}),
        ("low", {0}),
        ("high", {-1, 1}),
        ("high_positive", {1}),
        ("positive", {0, 1}),
        ("negative", {-1, 0}),
        ("double", {-1, 0, 1}),
    ],
)
def test_sides_choose_pairs(side: str, values: set[int]) -> None:
    """The authors' ranges: the pairs that are trained on, whose values are those of the plain threshold."""
    target = targets.build("thresholded", IMAGES, seed=0, threshold=0.3, side=side, inner_threshold=0.05)
    first, second = target.pairs(400, np.random.default_rng(0))
    found = target.similarity(first, second)
    assert set(found.tolist()) == values
    plain = targets.build("thresholded", IMAGES, seed=0, threshold=0.3)
    np.testing.assert_array_equal(found, plain.similarity(first, second))
    # Without signs the same pairs have their pixel similarities.
    raw = targets.build("thresholded", IMAGES, seed=0, threshold=0.3, side=side, inner_threshold=0.05, signs=False)
    pixel = targets.build("pixel", IMAGES, seed=0).similarity(first, second)
    np.testing.assert_array_equal(raw.similarity(first, second), pixel)
    if side == "double":
        assert np.abs(pixel[found == 0]).max() < 0.05


def test_pairs_outside_the_side_are_refused() -> None:
    target = targets.build("thresholded", IMAGES, seed=0, threshold=0.3, side="high")
    with pytest.raises(ValueError, match=r"in the target's range. Received: \d+ of 3600 outside. Draw them with"):
        target.similarity(*ALL)


def test_no_pair_in_range() -> None:
    images = np.eye(50, dtype=np.float32).reshape(50, 5, 10, 1)
    target = targets.build("thresholded", images, seed=0, threshold=0.9, side="high")
    with pytest.raises(ValueError, match=r"none among 1,\d\d\d,\d\d\d of 50 images. Change"):
        target.pairs(4, np.random.default_rng(0))


def test_pairs_are_uniform_over_different_images() -> None:
    target = targets.build("constant", IMAGES[:4], seed=0)
    first, second = target.pairs(24_000, np.random.default_rng(0))
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (first, second), 1)
    assert np.diag(counts).tolist() == [0] * 4
    # 2,000 each; six standard deviations.
    assert np.abs(counts[~np.eye(4, dtype=bool)] - 2000).max() < 6 * np.sqrt(2000)


def test_shuffling_keeps_the_values_and_loses_the_pairs() -> None:
    plain, shuffled = (matrix(targets.build(name, IMAGES, seed=5)) for name in ("pixel", "shuffled"))
    np.testing.assert_allclose(np.sort(shuffled, axis=None), np.sort(plain, axis=None), atol=1e-6)
    off_diagonal = ~np.eye(60, dtype=bool)
    assert abs(pearsonr(plain[off_diagonal], shuffled[off_diagonal]).statistic) < 0.1
    assert not np.array_equal(shuffled, matrix(targets.build("shuffled", IMAGES, seed=6)))


def test_any_target_can_be_shuffled() -> None:
    target = targets.build("shuffled", IMAGES, seed=0, of="thresholded", threshold=0.3, side="high")
    assert set(target.similarity(*target.pairs(100, np.random.default_rng(0))).tolist()) == {-1, 1}


def test_constant() -> None:
    assert set(targets.build("constant", IMAGES, seed=0).similarity(*ALL).tolist()) == {0.0}
    assert set(targets.build("constant", IMAGES, seed=0, value=-0.25).similarity(*ALL).tolist()) == {-0.25}


@pytest.mark.usefixtures("catalogue")
def test_features_of_a_catalogued_model() -> None:
    images = np.random.default_rng(3).random((30, 28, 28, 1), np.float32)
    model = load_model(SMALL_ID)
    for layer, features in model.features(images).items():
        target = targets.build("features", images, seed=0, model=SMALL_ID, layer=layer)
        np.testing.assert_allclose(matrix(target), centred_cosine(np.asarray(features)), atol=1e-3)


@pytest.mark.usefixtures("catalogue")
def test_wrong_features() -> None:
    images = np.zeros((3, 28, 28, 1), np.float32)
    with pytest.raises(ValueError, match=r"`layer` must be one of the features of mnist/small: .*Received: layer='stem'"):
        targets.build("features", images, seed=0, model=SMALL_ID, layer="stem")
    with pytest.raises(ValueError, match=r"images of shape \(28, 28, 1\) for mnist/small. Received: \(8, 8, 1\)"):
        targets.build("features", IMAGES, seed=0, model=SMALL_ID, layer="latents")
    with pytest.raises(ValueError, match="must name a model of the catalogue"):
        targets.build("features", images, seed=0, model="mnist/smal", layer="latents")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pixels", {}, "`name` must be one of constant, features, .*Received: name='pixels'"),
        ("pixel", {"threshold": 0.5}, "'pixel' takes the options: average_channels. Received: threshold"),
        ("features", {"layer": "x"}, "takes the options: model, layer. Received: layer"),
        ("recordings", {}, "takes the options: path, responses, epochs, directory. Received: none"),
        ("thresholded", {"threshold": 1.0}, "0 <= `threshold` < 1. Received: threshold=1.0"),
        ("thresholded", {"side": "left"}, "`side` must be one of both, low, .*Received: side='left'"),
        ("thresholded", {"inner_threshold": 0.9}, "0 <= `inner_threshold` <= 0.8. Received: inner_threshold=0.9"),
        ("constant", {"value": 1.5}, "-1 <= `value` <= 1. Received: value=1.5"),
        ("shuffled", {"of": "pixels"}, "Received: name='pixels'"),
        ("shuffled", {"value": 0.5}, "'pixel' takes the options"),
        ("simulated_v1", {"trials": 1}, "`trials` >= 2.*Received: trials=1"),
        ("simulated_v1", {"complex_share": 2.0}, "complex_share=2.0"),
    ],
)
def test_wrong_options(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        targets.build(name, IMAGES, seed=0, **options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[..., 0], r"shape \(n, height, width, channels\). Received: float32 of shape \(60, 8, 8\)"),
        (IMAGES[:1], r"at least two images"),
        (255 * IMAGES, r"in \[0, 1\]. Received: values from .*Divide bytes by 255"),
        (np.full_like(IMAGES, np.nan), "values from nan to nan"),
        (IMAGES.astype(str), "Received: <U"),
    ],
)
def test_wrong_images(images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        targets.build("pixel", images, seed=0)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], [2], "as many first as second images. Received: 2 and 1"),
        ([0.5], [1], r"integer indices of shape \(k,\). Received: float64"),
        ([[0]], [[1]], r"of shape \(1, 1\)"),
        ([60], [1], "from 0 to 59. Received: 60 to 60"),
        ([-1], [1], "Received: -1 to -1"),
    ],
)
def test_wrong_pairs(first: list, second: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        targets.build("pixel", IMAGES, seed=0).similarity(np.array(first), np.array(second))


def test_published_settings_name_data_sets() -> None:
    for setting in targets.PUBLISHED:
        assert {setting.task, setting.pairs} <= set(datasets.DATASETS)
        assert datasets.info(setting.task).image_shape == datasets.info(setting.pairs).image_shape
        assert targets.published_setting(setting.task, setting.pairs) is setting
    with pytest.raises(ValueError, match=r"cifar10 with cifar10, .*Received: mnist with cifar10"):
        targets.published_setting("mnist", "cifar10")


def test_import_is_cheap(tmp_path: Path) -> None:
    """Targets that need no framework load none."""
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from cortexzoo.training import targets; "
        "targets.build('simulated_v1', np.random.default_rng(0).random((9, 8, 8, 1)), seed=0, units=4); "
        "assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
