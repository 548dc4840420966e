"""Arrays as people have them: one form, one identity, or a sentence."""

import pickle
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexzoo import datasets
from cortexzoo.images import ImageSource, open_images
from tests.conftest import load_split, needs_dataset

N = 6
BYTES = np.random.default_rng(0).integers(0, 256, (N, 20, 24, 3), np.uint8)
BYTES[0, 0, 0], BYTES[1, 0, 0] = 0, 255
FLOATS = BYTES.astype(np.float32) / np.float32(255)
LABELS = np.arange(N) % 3
# Stored results are found by it: it never changes.
IDENTITY = "images@9631a413ff17"


def refusal(data: object, labels: object = LABELS, **options: object) -> str:
    with pytest.raises(ValueError, match="Received: ") as caught:
        open_images(data, labels, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def _no_arrays(value: object) -> str | None:
    """Test ids without the images in them."""
    return value if isinstance(value, str) else ""


def test_floats() -> None:
    source = open_images(FLOATS, LABELS)
    split = source.load("test")
    assert (split.images.dtype, split.labels.dtype, split.ids.dtype) == (np.float32, np.int64, np.int64)
    np.testing.assert_array_equal(split.images, FLOATS)
    np.testing.assert_array_equal(split.labels, LABELS)
    np.testing.assert_array_equal(split.ids, np.arange(N))


def test_description() -> None:
    info = open_images(FLOATS, LABELS).info
    assert (info.image_shape, info.class_names, info.num_classes) == ((20, 24, 3), ("0", "1", "2"), 3)
    assert (info.official_test_size, info.tfds_name, info.thresholds) == (N, "", {})
    assert hash(info) == hash(pickle.loads(pickle.dumps(info)))


def test_identity_never_changes() -> None:
    assert open_images(BYTES, LABELS).info.name == IDENTITY


SAME = {
    "uint8": BYTES,
    "float32": FLOATS,
    "float64": BYTES / 255,
    "Fortran order": np.asfortranarray(FLOATS),
    "big endian": FLOATS.astype(">f4"),
    "read only": np.frombuffer(BYTES.tobytes(), np.uint8).reshape(BYTES.shape),
    "list": (BYTES / 255).tolist(),
    "jax": jnp.asarray(FLOATS),
    "tensor": tf.constant(BYTES),
}


@pytest.mark.parametrize("images", SAME.values(), ids=SAME)
def test_same_images_have_the_same_identity(images: object) -> None:
    source = open_images(images, LABELS)
    assert source.info.name == IDENTITY
    np.testing.assert_array_equal(source.load("test").images, FLOATS)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.int64, np.uint16])
def test_scale(dtype: type) -> None:
    assert open_images(BYTES.astype(dtype), LABELS, scale=255).info.name == IDENTITY


@pytest.mark.parametrize("images", [BYTES.astype(np.float16), jnp.asarray(BYTES, jnp.bfloat16)], ids=["float16", "bfloat16"])
def test_scaled_half_precision(images: object) -> None:
    np.testing.assert_allclose(open_images(images, LABELS, scale=256).load("test").images, BYTES / 256, rtol=2**-8)


SAME_LABELS = {
    "int32": LABELS.astype(np.int32),
    "uint8": LABELS.astype(np.uint8),
    "whole floats": LABELS.astype(np.float32),
    "column": LABELS[:, None],
    "one-hot": np.eye(3)[LABELS],
    "one-hot of booleans": np.eye(3, dtype=bool)[LABELS],
    "list": LABELS.tolist(),
    "tensor": tf.constant(LABELS),
}


@pytest.mark.parametrize("labels", SAME_LABELS.values(), ids=SAME_LABELS)
def test_same_labels_have_the_same_identity(labels: object) -> None:
    source = open_images(BYTES, labels)
    assert source.info.name == IDENTITY
    np.testing.assert_array_equal(source.load("test").labels, LABELS)


def test_a_tuple_of_images_and_labels() -> None:
    assert open_images((BYTES, LABELS)).info.name == IDENTITY


def test_a_source_is_itself() -> None:
    source = open_images(BYTES, LABELS)
    assert open_images(source) is source


@given(row=st.integers(0, N - 1), label=st.booleans())
def test_any_change_is_another_identity(row: int, label: bool) -> None:
    images, labels = BYTES.copy(), LABELS.copy()
    if label:
        labels[row] = 1 - min(labels[row], 1)
    else:
        images[row, 3, 4, 1] ^= 1
    assert open_images(images, labels).info.name != IDENTITY


def test_shape_is_part_of_the_identity() -> None:
    names = {open_images(BYTES.reshape(N, *shape), LABELS).info.name for shape in ((20, 24, 3), (24, 20, 3), (10, 48, 3))}
    assert len(names) == 3


def test_identity_is_that_of_another_process() -> None:
    code = "import sys, numpy as np; from cortexzoo.images import open_images\n"
    code += "rng = np.random.default_rng(5); print(open_images(rng.random((3, 4, 5)), [0, 1, 2]).info.name)\n"
    code += "assert 'tensorflow' not in sys.modules, 'arrays need no TensorFlow'"
    images = np.random.default_rng(5).random((3, 4, 5))
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == open_images(images, [0, 1, 2]).info.name


def test_name() -> None:
    assert open_images(BYTES, LABELS, name="my_photos-1.2").info.name == "my_photos-1.2" + IDENTITY.removeprefix("images")
    for name in ("", "a/b", "a b", "a@b", 3):
        assert f"Received: name={name!r}" in refusal(BYTES, name=name)


def test_negative_zero_is_zero() -> None:
    zeros = np.zeros((2, 3, 3, 1), np.float32)
    assert open_images(-zeros, [0, 1]).info.name == open_images(zeros, [0, 1]).info.name


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 5),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    channels=st.sampled_from([1, 2, 3, 4]),
    classes=st.integers(2, 1000),
    seed=st.integers(0, 99),
)
def test_any_size(n: int, height: int, width: int, channels: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, labels = rng.random((n, height, width, channels)), rng.integers(0, classes, n)
    source = open_images(images, np.eye(classes)[labels])
    assert (source.info.image_shape, source.info.num_classes) == ((height, width, channels), classes)
    np.testing.assert_array_equal(source.load("test").images, images.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 1), (224, 224, 3), (3, 3, 8), (1, 1, 5), (512, 2, 1)])
def test_unusual_sizes(shape: tuple[int, int, int]) -> None:
    assert open_images(np.full((2, *shape), 0.5), [0, 1]).info.image_shape == shape


def test_images_without_channels_have_one() -> None:
    source = open_images(FLOATS[..., 0], LABELS)
    assert source.info.image_shape == (20, 24, 1)
    assert source.info.name == open_images(FLOATS[..., :1], LABELS).info.name


def test_two_classes_at_least() -> None:
    assert open_images(BYTES, np.zeros(N, int)).info.class_names == ("0", "1")


def test_booleans_are_black_and_white() -> None:
    images = open_images(BYTES > 127, LABELS).load("test").images
    np.testing.assert_array_equal(images, BYTES > 127)


def test_floats_are_not_copied_and_cannot_be_changed() -> None:
    images = FLOATS.copy()
    split = open_images(images, LABELS).load("test")
    assert np.shares_memory(split.images, images)
    assert not split.images.flags.writeable
    assert images.flags.writeable


def test_bytes_are_kept_as_bytes() -> None:
    """Four times the memory is taken when the images are loaded, not before."""
    source = open_images(BYTES, LABELS)
    content = source.splits["test"].__self__
    assert np.shares_memory(content.images, BYTES)


def test_rounding_beyond_one_is_cut_off() -> None:
    images = FLOATS.copy()
    images[0, 0, 0, 0], images[1, 0, 0, 0] = -1e-8, np.nextafter(np.float32(1), np.float32(2))
    np.testing.assert_array_equal(open_images(images, LABELS).load("test").images, FLOATS)


def test_user_images_have_a_test_split_only() -> None:
    source = open_images(BYTES, LABELS)
    assert not source.has_train
    with pytest.raises(
        ValueError, match=r"`split` of images@\w+ must be one of test. Received: split='train'. Data sets of"
    ):
        source.load("train")
    with pytest.raises(ValueError, match=r"must be one of test. Received: split='validation'.$"):
        source.load("validation")


def test_colour_images_count_as_natural() -> None:
    assert open_images(BYTES, LABELS).info.natural
    assert not open_images(BYTES[..., :1], LABELS).info.natural


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (FLOATS.transpose(0, 3, 1, 2), "np.transpose(images, (0, 2, 3, 1)), or image_shape=(3, 20, 24)"),
        (np.zeros((N, 3, 32, 32)), "looks like channels first"),
        (np.zeros((N, 1, 28, 28)), "looks like channels first"),
        (np.zeros((N, 1, 8, 8)), "looks like channels first"),
        (np.zeros((N, 784)), "images.reshape(-1, 28, 28, 1)"),
        (np.zeros((N, 3072)), "images.reshape(-1, 32, 32, 3)"),
        (np.zeros((N, 7)), "or (n, height, width) with one channel. Received: shape (6, 7)."),
        (np.zeros(()), "Received: shape ()."),
        (np.zeros((N, 2, 2, 2, 1)), "Received: shape (6, 2, 2, 2, 1)."),
        (np.zeros((0, 4, 4, 1)), "Expected at least one image"),
        (np.zeros((N, 0, 4, 1)), "Expected at least one image"),
        (BYTES.astype(np.float32), "Received: values from 0 to 255. Pass scale=255"),
        (BYTES.astype(np.float32) * 257, "Pass scale=65535"),
        (
            BYTES.astype(int),
            "int64 from 0 to 255. Pass scale=255 if 255 is white; for a model of images in [0, 1] pass images / 255.",
        ),
        (BYTES.astype(np.uint16) * 257, "Pass scale=65535 if 65535 is white; for"),
        ((BYTES > 127).astype(np.uint8), "Received: no value above 1. Pass scale=1"),
        ((FLOATS - 0.4) / 0.2, "images * std + mean, and make keras.layers.Normalization"),
        (FLOATS * 2 - 1, "(images + 1) / 2, and make keras.layers.Rescaling(2, offset=-1) the model's first layer"),
        (FLOATS - 0.5, "images + 0.5, and make keras.layers.Rescaling(1, offset=-0.5)"),
        (FLOATS * 1.1 - 0.05, "np.clip(images, 0, 1)"),
        (FLOATS + 1j, "Expected images as uint8 or floating-point numbers. Received: complex"),
        (np.full((N, 2, 2, 1), "a"), "Received: <U1."),
        (iter(FLOATS), "Collect the batches: images, labels = map(np.concatenate, zip(*batches))."),
        (None, "Received: NoneType of Python objects."),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "Expected images that NumPy can read as one array. Received: list"),
    ],
    ids=_no_arrays,
)
def test_refused_images(images: object, expected: str) -> None:
    assert expected in refusal(images)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity(bad: float, dtype: type) -> None:
    images = FLOATS.astype(dtype)
    images[2, 1, 1, 0] = images[4, 0, 0, 1] = bad
    assert "Received: 2 of 6 images with them, the first of them image 2." in refusal(images)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "255", True, (255,)])
def test_refused_scale(scale: object) -> None:
    assert "`scale` must be the value that stands for white" in refusal(BYTES, scale=scale)


def test_scale_that_the_images_do_not_have() -> None:
    assert "in [0, 1] already. Leave `scale` out." in refusal(FLOATS, scale=255)
    assert "Expected images from 0 to scale=100. Received: values from 0 to 255. Pass scale=255" in refusal(BYTES, scale=100)
    assert "Expected images from 0 to scale=255. Received: values from -1 to 1. They look" in refusal(
        FLOATS * 2 - 1, scale=255
    )


def test_black_and_white_bytes_with_a_scale() -> None:
    images = (BYTES > 127).astype(np.uint8)
    np.testing.assert_array_equal(open_images(images, LABELS, scale=1).load("test").images, images)


def test_image_shape_confirms() -> None:
    flat = np.full((2, 3, 20, 24), 0.5)
    assert open_images(flat, [0, 1], image_shape=(3, 20, 24)).info.image_shape == (3, 20, 24)
    assert "Expected images of shape (32, 32, 3), as `image_shape` says. Received: (20, 24, 3)." in refusal(
        BYTES, image_shape=(32, 32, 3)
    )
    for shape in ((32, 32), 32, (0, 32, 3), (32.0, 32, 3), "abc"):
        assert "`image_shape` must be (height, width, channels)" in refusal(BYTES, image_shape=shape)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, "Expected `labels`, one for each image. Received: none."),
        (LABELS[:-1], "Received: 6 images and 5 labels."),
        ([], "Expected at least one label."),
        (np.zeros((0, 3)), "Expected at least one label."),
        (LABELS + 0.5, "Expected labels that are whole numbers. Received: float64 labels, among them 0.5."),
        (np.where(LABELS == 1, np.nan, LABELS), "among them nan."),
        (LABELS - 1, "Received: labels from -1 to 1."),
        (LABELS + 10**9, "Received: labels from 1000000000"),
        (np.array(["cat", "dog", "owl"])[LABELS], "Received: <U3 labels. np.unique"),
        (np.eye(3)[LABELS] * 0.9, "a single 1 among zeros. Received: shape (6, 3), and row 0 is [0.9 0.  0. ]"),
        (np.ones((N, 3)), "labels.argmax(axis=1)"),
        (np.zeros((N, 3, 1)), "Received: shape (6, 3, 1)."),
        (object(), "Expected labels as one array of numbers. Received: object of Python objects."),
    ],
    ids=_no_arrays,
)
def test_refused_labels(labels: object, expected: str) -> None:
    assert expected in refusal(BYTES, labels)


def test_one_image_without_its_axis() -> None:
    assert "Received: 20 images and 1 labels. Is this one image? Then pass image[None]." in refusal(BYTES[0], [1])


def test_labels_beside_what_has_labels() -> None:
    assert "Received: labels beside 'mnist'." in refusal("mnist", LABELS)
    assert "Received: labels beside ImageSource." in refusal(open_images(BYTES, LABELS), LABELS)


def test_torch_like() -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
            return np.asarray(FLOATS, dtype)

    class OnDevice:
        def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    assert open_images(Tensor(), LABELS).info.name == IDENTITY
    assert "Received: OnDevice, can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first." in refusal(
        OnDevice()
    )


def test_catalogued() -> None:
    source = open_images("mnist")
    assert isinstance(source, ImageSource)
    assert source.info.name == "mnist"
    assert source.has_train
    assert len(source.load("test")) == 10_000


@needs_dataset("cifar10")
def test_part_of_a_prepared_data_set() -> None:
    source = open_images("cifar10:test[:20]")
    np.testing.assert_array_equal(source.load("test").images, load_split("cifar10", "test").images[:20])
    assert (source.info.natural, source.info.thresholds) == (True, datasets.info("cifar10").thresholds)


@pytest.mark.parametrize("option", [{"name": "digits"}, {"scale": 255}, {"image_shape": (32, 32, 1)}], ids=str)
def test_catalogued_data_sets_are_as_they_are(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=rf"Expected no `{next(iter(option))}` for mnist, .* as in 'mnist:test'."):
        open_images("mnist", **option)
