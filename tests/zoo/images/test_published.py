"""Data sets of TFDS by name: MNIST from the package, and a small one that is prepared here."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from cortexzoo import datasets
from cortexzoo.images import open_images
from tests.conftest import load_split

NAMES = ["cat", "dog", "owl"]
IMAGES = [np.random.default_rng(row).integers(0, 256, (6 + row % 2, 7, 3), np.uint8) for row in range(8)]
PHOTOS = tfds.features.FeaturesDict(
    {"image": tfds.features.Image(shape=(None, None, 3)), "label": tfds.features.ClassLabel(names=NAMES)}
)


def prepare(folder: Path, name: str, features: tfds.features.FeaturesDict, rows: list[dict[str, object]]) -> None:
    """Writes a data set as TFDS does, with the splits "train" and "test"."""
    splits = {
        split: tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=features.get_tensor_spec())
        for split in ("train", "test")
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name, version="1.0.0", features=features, split_datasets=splits, data_dir=folder, disable_shuffling=True
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    prepare(folder, "photos", PHOTOS, [{"image": image, "label": row % 3} for row, image in enumerate(IMAGES)])
    words = tfds.features.FeaturesDict({"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=NAMES)})
    prepare(folder, "words", words, [{"text": "a", "label": 0}])
    boxes = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(2, 2, 3)), "label": tfds.features.Text()})
    prepare(folder, "boxes", boxes, [{"image": np.zeros((2, 2, 3), np.uint8), "label": "a"}])
    return folder


@pytest.fixture(autouse=True)
def _data_dir(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))


def refusal(reference: str, **options: object) -> str:
    with pytest.raises(ValueError, match="Received: ") as caught:
        open_images(reference, **options)
    return str(caught.value)


def test_resized() -> None:
    source = open_images("photos", image_shape=(6, 7, 3))
    split = source.load("test")
    assert (source.info.class_names, source.info.image_shape, len(split)) == (tuple(NAMES), (6, 7, 3), 8)
    assert source.notes == ("4 of 8 images were resized to 6 x 7 pixels, bilinear.",)
    np.testing.assert_array_equal(split.images[::2], np.stack(IMAGES[::2]) / np.float32(255))
    np.testing.assert_array_equal(split.labels, np.arange(8) % 3)


def test_several_sizes() -> None:
    assert "Expected images of one size. Received: (6, 7, 3), and (7, 7, 3) as image 1." in refusal("photos")


def test_training_images() -> None:
    source = open_images("photos", image_shape=(6, 7, 3))
    assert source.has_train
    assert len(source.load("train")) == 8
    assert not open_images("photos:test", image_shape=(6, 7, 3)).has_train


def test_version_and_part() -> None:
    for reference in ("photos:train[:3]", "photos:1.0.0:train[:3]"):
        source = open_images(reference, image_shape=(6, 7, 3))
        assert source.info.official_test_size == 3
        assert source.info.class_names == tuple(NAMES)
        assert source.info.name.startswith("photos@")


@pytest.mark.parametrize("split", ["tset", "test[", "test[:0]", "validation"])
def test_unknown_split(split: str) -> None:
    message = refusal(f"photos:{split}", image_shape=(6, 7, 3))
    assert "Expected a split of photos/1.0.0, one of train, test, or a part of one." in message
    assert f"Received: '{split}'. Name one, as in 'photos:train[:100]'." in message


def test_without_images_or_classes() -> None:
    assert "Expected labelled images in words/1.0.0. Received: features label, text." in refusal("words")
    assert "Expected one class for each image of boxes/1.0.0. Received: " in refusal("boxes")


def test_part_of_the_catalogue_knows_its_thresholds() -> None:
    source, mnist, digits = open_images("mnist:test[:50]"), datasets.info("mnist"), load_split("mnist", "test").first(50)
    assert source.info.name == open_images(digits.images, digits.labels, name="mnist").info.name
    assert (source.info.thresholds, source.info.class_names) == (mnist.thresholds, mnist.class_names)
    assert (source.info.licence, source.info.natural) == (mnist.licence, False)
    np.testing.assert_array_equal(source.load("test").images, digits.images)


@pytest.mark.parametrize("text", ["photso", "mnits"])
def test_misspelt(text: str) -> None:
    message = refusal(text)
    assert f"Received: '{text}', where there is no file or folder." in message
    assert ("Did you mean: mnist" in message) == (text == "mnits")


@pytest.mark.parametrize(
    "text", ["Mnist", "/nowhere", "../a", "a b", "", "mnist:", "mnist::test", "https://example.org/a.npz"]
)
def test_no_reference(text: str) -> None:
    assert "Expected a data set of the catalogue" in refusal(text)
