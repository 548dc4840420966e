"""Common corruptions are those of the published definitions, on whole batches, and each sample has its own numbers."""

import colorsys
import json
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from scipy import ndimage
from tensorflow_datasets.image_classification import cifar10_corrupted, mnist_corrupted
from tensorflow_datasets.image_classification import corruptions as published

from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.shifts import CORRUPTIONS, Corruption, SampleGenerators
from cortexzoo.evaluation.shifts.blurs import defocus_blur, disk, glass_blur, magnify, smear, zoom_blur
from cortexzoo.evaluation.shifts.corruptions import SEVERITIES, gaussian_noise, shot_noise
from cortexzoo.evaluation.shifts.digital import contrast, elastic_transform, jpeg_compression, pixelate
from cortexzoo.evaluation.shifts.noise import salt_and_pepper
from cortexzoo.evaluation.shifts.weather import brightness, fog, frost, plasma, snow

RANDOM = {"gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "frost", "fog"}
RANDOM |= {"elastic_transform"}
LEVEL = 1 / 255
# CRC-32 of the eight-bit images of `continuous_images`, by shape and type, one a severity.
GOLDEN = json.loads((Path(__file__).parent / "corruptions.json").read_text())


def smooth_images(count: int, side: int, channels: int) -> np.ndarray:
    """Images of whole grey levels with some structure."""
    noise = np.random.default_rng(side + channels).random((count, side, side, channels))
    smooth = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (np.round(255 * smooth) / 255).astype(np.float32)


COLOUR = smooth_images(3, 32, 3)
PIXELS = np.round(255 * COLOUR).astype(np.uint8)


def continuous_images(count: int, *shape: int) -> np.ndarray:
    """Images of some structure that lie between grey levels: no result is halfway between two."""
    noise = np.random.default_rng(shape[0] + shape[2]).random((count, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0))
    return ((smooth - smooth.min()) / max(smooth.max() - smooth.min(), 1e-6)).astype(np.float32)


def batch_of(images: np.ndarray, first: int = 0) -> Batch:
    return Batch(images, np.zeros(len(images), np.int64), np.arange(first, first + len(images)), 0)


def draws_of(count: int, first: int = 0) -> SampleGenerators:
    return SampleGenerators(batch_of(np.zeros((count, 1, 1, 1)), first), "test", 1)


def affine_from_points(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.linalg.solve(np.column_stack([before, np.ones(3)]), after).T


def warp_affine(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], borderMode: str) -> np.ndarray:
    # Columns first in the matrix, rows first in SciPy.
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    linear, offset = back[:2, :2][::-1, ::-1], back[:2, 2][::-1]
    channels = [ndimage.affine_transform(image[..., c], linear, offset, order=1, mode=borderMode) for c in range(3)]
    return np.stack(channels, axis=-1)


def gaussian(image: np.ndarray, sigma: float, channel_axis: int | None = None, mode: str = "nearest", truncate: float = 4.0):
    axes = (0, 1)
    return ndimage.gaussian_filter(image, sigma, axes=axes, mode=mode, truncate=truncate)


def gaussian_blur(kernel: np.ndarray, ksize: tuple[int, int], sigmaX: float) -> np.ndarray:
    radius = ksize[0] // 2
    return ndimage.gaussian_filter(kernel, sigmaX, radius=radius, mode="mirror")


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """TFDS's functions; of OpenCV and scikit-image, which are not installed, what they call is done by SciPy."""
    cv2 = types.SimpleNamespace(
        GaussianBlur=gaussian_blur,
        filter2D=lambda image, _, kernel: ndimage.correlate(image, kernel, mode="mirror"),
        getAffineTransform=affine_from_points,
        warpAffine=warp_affine,
        BORDER_REFLECT_101="mirror",
    )
    interpolation = types.SimpleNamespace(map_coordinates=ndimage.map_coordinates)
    scipy = types.SimpleNamespace(ndimage=types.SimpleNamespace(zoom=ndimage.zoom, interpolation=interpolation))
    skimage = types.SimpleNamespace(filters=types.SimpleNamespace(gaussian=gaussian))
    lazy = types.SimpleNamespace(cv2=cv2, scipy=scipy, skimage=skimage, PIL_Image=PIL.Image)
    monkeypatch.setattr(published, "tfds", types.SimpleNamespace(core=types.SimpleNamespace(lazy_imports=lazy)))
    return published


@pytest.fixture
def same_numbers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets NumPy's global functions draw what the generator of one sample draws."""

    def use(sample: int) -> None:
        drawn = draws_of(1, sample)
        replacements: dict[str, Any] = {
            "normal": lambda size, scale: scale * drawn.normal(size)[0],
            "uniform": lambda low, high, size: drawn.uniform(low, high, tuple(size))[0],
            "poisson": lambda means: drawn.poisson(means[None])[0],
        }
        for name, function in replacements.items():
            monkeypatch.setattr(np.random, name, function)

    return use


@pytest.mark.parametrize(
    ("name", "function", "constants", "tolerance"),
    [
        ("gaussian_noise", gaussian_noise, [(0.08,), (0.12,), (0.18,), (0.26,), (0.38,)], 0.51),
        ("shot_noise", shot_noise, [(60,), (25,), (12,), (5,), (3,)], 0.51),
        ("contrast", contrast, [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)], 0.51),
        ("defocus_blur", defocus_blur, [(3, 0.1), (4, 0.5), (6, 0.5)], 0.51),
        ("zoom_blur", zoom_blur, [(tuple(np.arange(1, 1.11, 0.01)),), (tuple(np.arange(1, 1.16, 0.01)),)], 0.51),
        ("jpeg_compression", jpeg_compression, [(25,), (18,), (15,), (10,), (7,)], 0.01),
        # The displacements are of float32 there.
        ("elastic_transform", elastic_transform, [(488 / 32, 170.8 / 32, 24.4 / 32), (488 / 32, 0.61, 48.8 / 32)], 1.01),
    ],
)
def test_functions_are_those_of_tfds(
    name: str,
    function: Callable[..., np.ndarray],
    constants: list[tuple],
    tolerance: float,
    definitions: types.ModuleType,
    same_numbers: Callable[[int], None],
) -> None:
    """With the constants that TFDS has for 224 pixels; it rounds to whole grey levels."""
    for severity, values in enumerate(constants, start=1):
        ours = np.clip(function(COLOUR, draws_of(len(COLOUR)), *values), 0, 1)
        for sample, pixels in enumerate(PIXELS):
            same_numbers(sample)
            theirs = getattr(definitions, name)(pixels, severity) / 255
            np.testing.assert_allclose(ours[sample], theirs, rtol=0, atol=tolerance * LEVEL)


def test_types_are_those_that_tfds_publishes() -> None:
    names = {"frosted_glass_blur": "glass_blur", "elastic": "elastic_transform"}
    assert list(CORRUPTIONS) == [names.get(name, name) for name in cifar10_corrupted.BENCHMARK_CORRUPTIONS]
    configs = cifar10_corrupted.Cifar10Corrupted.BUILDER_CONFIGS
    assert {config.severity for config in configs} == set(SEVERITIES)
    # MNIST-C has others, without severities: docs/similarity.md says how many it shares.
    assert len(CORRUPTIONS.keys() & set(mnist_corrupted._CORRUPTIONS)) == 6


# By severity, as in make_cifar_c.py of https://github.com/hendrycks/robustness: TFDS has those for 224 pixels alone.
PUBLISHED_CONSTANTS = {
    "gaussian_noise": [0.04, 0.06, 0.08, 0.09, 0.10],
    "shot_noise": [500, 250, 100, 75, 50],
    "impulse_noise": [0.01, 0.02, 0.03, 0.05, 0.07],
    "defocus_blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    # The second of three is 1 in all of them: the pixels by which glass moves.
    "glass_blur": [(0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)],
    "motion_blur": [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    "zoom_blur": [(tuple(np.arange(1, most, 0.01)),) for most in (1.06, 1.11, 1.16, 1.21, 1.26)],
    "snow": [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ],
    "frost": [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
    "fog": [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    "brightness": [0.05, 0.1, 0.15, 0.2, 0.3],
    "contrast": [0.75, 0.5, 0.4, 0.3, 0.15],
    "elastic_transform": [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)],
    "pixelate": [0.95, 0.9, 0.85, 0.75, 0.65],
    "jpeg_compression": [80, 65, 58, 50, 40],
}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_constants_are_those_of_cifar_10_c(kind: str) -> None:
    published = PUBLISHED_CONSTANTS[kind]
    assert CORRUPTIONS[kind][1] == tuple(values if isinstance(values, tuple) else (values,) for values in published)


def test_motion_and_snow_have_the_published_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges, uniform = [], SampleGenerators.uniform

    def recorded(self: SampleGenerators, low: float, high: float, shape: tuple[int, ...] = ()) -> np.ndarray:
        ranges.append((low, high))
        return uniform(self, low, high, shape)

    monkeypatch.setattr(SampleGenerators, "uniform", recorded)
    for kind in ("motion_blur", "snow"):
        Corruption(kind=kind).apply(None, batch_of(COLOUR), 1)
    assert ranges == [(-45, 45), (-135, -45)]


def test_height_map_is_that_of_tfds(same_numbers: Callable[[int], None]) -> None:
    for decay in (3, 1.75):
        ours = plasma(draws_of(2), decay)
        for sample in range(2):
            same_numbers(sample)
            np.testing.assert_allclose(ours[sample], published.plasma_fractal(32, decay), atol=1e-12)


def test_fog_is_the_map_over_the_darkened_image() -> None:
    images = 0.5 * smooth_images(2, 28, 1)
    cloud = plasma(draws_of(2), 2.0)[:, :28, :28, None]
    brightest = images.max(axis=(1, 2, 3)).reshape(2, 1, 1, 1)
    expected = (images + 0.75 * cloud) * brightest / (brightest + 0.75)
    np.testing.assert_allclose(fog(images, draws_of(2), 0.75, 2.0), expected, atol=1e-6)


def test_glass_blur_is_that_of_tfds(definitions: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    sigma, iterations = 0.7, 2
    ours = glass_blur(COLOUR, draws_of(len(COLOUR)), sigma, iterations)
    for sample, pixels in enumerate(PIXELS):
        # The published loops run from the last pixel to the first.
        offsets = iter(draws_of(1, sample).integers(-1, 1, (iterations, 30, 30, 2))[0, :, ::-1, ::-1].reshape(-1, 2))
        monkeypatch.setattr(np.random, "randint", lambda low, high, size, offsets=offsets: next(offsets))
        theirs = definitions.glass_blur(pixels, 1) / 255
        # The published image is cut to whole grey levels once more on the way.
        np.testing.assert_allclose(ours[sample], theirs, rtol=0, atol=1.6 * LEVEL)


def test_pixelate_is_pillows_box_filter() -> None:
    for share in (0.95, 0.75, 0.65):
        small = int(32 * share)
        for image, pixels in zip(pixelate(COLOUR, draws_of(3), share), PIXELS, strict=True):
            boxes = PIL.Image.fromarray(pixels).resize((small, small), PIL.Image.Resampling.BOX)
            expected = np.asarray(boxes.resize((32, 32), PIL.Image.Resampling.BOX)) / 255
            np.testing.assert_allclose(image, expected, rtol=0, atol=1.01 * LEVEL)


def test_brightness_adds_to_the_value() -> None:
    images = COLOUR.copy()
    images[0, 0, 0] = 0.0
    found = brightness(images, draws_of(3), 0.2)
    for before, after in zip(images[0, :4].reshape(-1, 3), found[0, :4].reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        np.testing.assert_allclose(after, colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.2)), atol=1e-6)
    gray = smooth_images(2, 28, 1)
    np.testing.assert_allclose(brightness(gray, draws_of(2), 0.2), np.minimum(gray + 0.2, 1.0), atol=1e-6)


def test_smear_of_a_point_is_a_one_sided_gaussian_trail() -> None:
    image = np.zeros((2, 15, 15, 1), np.float32)
    image[:, 7, 7] = 1.0
    weights = np.exp(-(np.arange(7) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    right, diagonal = smear(image, 3, 1.5, np.array([0.0, 45.0]))[..., 0]
    np.testing.assert_allclose(right[7, 7::-1][:7], weights)
    assert right.sum() == pytest.approx(1.0)
    # A step of whole pixels along the diagonal: ceil(i / sqrt(2) - 1/2).
    expected = np.zeros(15)
    for step, weight in enumerate(weights):
        expected[7 - int(np.ceil(step / np.sqrt(2) - 0.5))] += weight
    np.testing.assert_allclose(np.diag(diagonal), expected)


def test_disk_of_less_than_a_pixel_is_its_gaussian() -> None:
    taps = np.exp(-(np.array([-1, 0, 1]) ** 2) / (2 * 0.4**2))
    np.testing.assert_allclose(disk(0.3, 0.4), np.outer(taps, taps) / taps.sum() ** 2, atol=1e-7)
    assert disk(1.5, 0.1).sum() == pytest.approx(1.0)


def test_magnify_by_one_changes_nothing_and_by_two_takes_the_middle() -> None:
    np.testing.assert_allclose(magnify(COLOUR, 1.0), COLOUR, atol=1e-6)
    expected = ndimage.zoom(COLOUR[0, 8:24, 8:24], (2, 2, 1), order=1)
    np.testing.assert_allclose(magnify(COLOUR, 2.0)[0], expected, atol=1e-6)


def test_snow_without_flakes_whitens() -> None:
    gray = COLOUR @ np.array([[0.299], [0.587], [0.114]])
    expected = 0.8 * COLOUR + 0.2 * np.maximum(COLOUR, 1.5 * gray + 0.5)
    found = snow(COLOUR, draws_of(3), 0.1, 0.2, 1, 10.0, 8, 3, 0.8)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # Flakes add light, and the two layers make the sum symmetric under half a turn.
    flakes = snow(COLOUR, draws_of(3), 0.3, 0.3, 1.25, 0.65, 14, 12, 0.8) - expected
    assert flakes.min() >= -1e-6
    assert flakes.max() > 0.1
    np.testing.assert_allclose(flakes, flakes[:, ::-1, ::-1], atol=1e-6)


def test_frost_adds_light_where_ridges_are() -> None:
    ice = frost(np.zeros((4, 32, 32, 1), np.float32), draws_of(4), 1.0, 1.0)
    assert ice.min() >= 0.0
    assert ice.max() <= 1.0
    assert 0.2 < ice.mean() < 0.6
    assert ice.std() > 0.1


def test_impulses_are_salt_and_pepper_alike() -> None:
    images = np.full((50, 28, 28, 1), 0.5, np.float32)
    found = salt_and_pepper(images, draws_of(50), 0.2)
    assert np.mean(found == 0.0) == pytest.approx(0.1, abs=0.01)
    assert np.mean(found == 1.0) == pytest.approx(0.1, abs=0.01)
    assert np.mean(found == 0.5) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(28, 1), (32, 1), (32, 3)], ids=str)
def test_a_sample_does_not_depend_on_its_batch(kind: str, shape: tuple[int, int]) -> None:
    images, shift = smooth_images(3, *shape), Corruption(kind=kind)
    together = shift.apply(None, batch_of(images), 4)
    alone = shift.apply(None, batch_of(images[1:2], first=1), 4)
    np.testing.assert_allclose(together[1:2], alone, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(together, shift.apply(None, batch_of(images), 4))
    assert together.dtype == np.float32
    assert together.min() >= 0.0
    assert together.max() <= 1.0
    np.testing.assert_allclose(255 * together, np.round(255 * together), atol=1e-4)
    # Something changed, and the image is still there.
    assert 1e-3 < np.abs(together - images).mean() < 0.5
    for image, changed in zip(images, together, strict=True):
        assert np.corrcoef(image.ravel(), changed.ravel())[0, 1] > 0.4
    twins = shift.apply(None, batch_of(np.repeat(images[:1], 2, axis=0)), 4)
    assert np.array_equal(twins[0], twins[1]) == (kind not in RANDOM)


@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind not in ("glass_blur", "elastic_transform", "frost")])
def test_greater_severities_change_more(kind: str) -> None:
    batch = batch_of(COLOUR)
    sizes = [np.square(Corruption(kind=kind).apply(None, batch, s) - COLOUR).mean() for s in SEVERITIES]
    assert sizes[0] < sizes[2] < sizes[4]


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 1), (32, 32, 3)], ids=str)
def test_results_are_those_of_the_stores(kind: str, shape: tuple[int, int, int]) -> None:
    """Stored predictions are of these very images; raise `Corruption.version` where they have to change."""
    batch = batch_of(continuous_images(2, *shape))
    changed = [Corruption(kind=kind).apply(None, batch, severity) for severity in SEVERITIES]
    sums = [f"{zlib.crc32(np.round(255 * images).astype(np.uint8).tobytes()):08x}" for images in changed]
    assert sums == GOLDEN["x".join(map(str, shape))][kind]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (7, 1, 1), (2, 2, 1), (5, 3, 2), (40, 60, 3), (33, 64, 4)], ids=str)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_size_is_corrupted(kind: str, shape: tuple[int, int, int]) -> None:
    for count in (1, 2):
        batch = batch_of(continuous_images(count, *shape))
        for severity in SEVERITIES:
            images = batch.check(Corruption(kind=kind).apply(None, batch, severity), kind)
            assert images.dtype == np.float32
    if min(shape[:2]) >= 20:
        # Something changed, and the image is still there.
        assert 1e-3 < np.abs(images - batch.images).mean() < 0.5


def test_large_images_need_no_matrix_of_all_their_pixels() -> None:
    images = continuous_images(1, 224, 224, 3)
    changed = zoom_blur(images, draws_of(1), (1.0, 1.1))
    np.testing.assert_allclose(changed, (2 * images + magnify(images, 1.1)) / 3, atol=1e-6)
    small = images[:, :20, :30]
    rows = [(small + magnify(small, 1.0) + magnify(small, 1.1)) / 3, zoom_blur(small, draws_of(1), (1.0, 1.1))]
    np.testing.assert_allclose(*rows, atol=1e-6)


def test_sides_of_different_length_are_treated_alike() -> None:
    """Turned by a right angle, what has no direction gives the same image turned."""
    images = continuous_images(2, 24, 36, 1)
    turned = np.swapaxes(images, 1, 2)
    for kind in ("defocus_blur", "zoom_blur", "contrast", "pixelate", "brightness"):
        upright, lying = (Corruption(kind=kind).apply(None, batch_of(values), 3) for values in (images, turned))
        np.testing.assert_allclose(np.swapaxes(upright, 1, 2), lying, atol=1.01 / 255)


def test_unknown_types_and_severities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`kind` must be one of gaussian_noise,.*Received: 'rain'"):
        Corruption(kind="rain")
    with pytest.raises(ValueError, match=r"must be among \(1, 2, 3, 4, 5\). Received: \(6,\)"):
        Corruption(kind="fog", levels=(6,))
