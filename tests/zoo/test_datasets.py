"""Images, labels and ids: what `cortexzoo.datasets` promises of every split."""

import hashlib
import pickle
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexzoo import datasets
from cortexzoo.datasets import loading, prepared
from cortexzoo.norms import NORMS
from tests.conftest import load_split, needs_dataset, read_once

# Decoding 50,000 colour images takes long; the code that parts them from the validation images is MNIST's.
ARRAYS = [
    *(("mnist", split) for split in datasets.SPLITS),
    *(pytest.param("fashion_mnist", split, marks=needs_dataset("fashion_mnist")) for split in ("validation", "test")),
    *(pytest.param(name, "test", marks=needs_dataset(name)) for name in ("cifar10", "cifar10_gray")),
]
# The official class counts of LeCun's test split: the embedded copy is the real MNIST.
MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
VALIDATION_IDS_SHA256 = {60_000: "f681afedcebfe23e", 50_000: "f7f684df30681d89"}


@pytest.mark.parametrize(("name", "split"), ARRAYS)
def test_arrays(name: str, split: str) -> None:
    loaded, description = load_split(name, split), datasets.info(name)
    assert loaded.images.shape == (len(loaded), *description.image_shape)
    assert (loaded.images.dtype, loaded.labels.dtype, loaded.ids.dtype) == (np.float32, np.int64, np.int64)
    assert loaded.images.min() >= 0.0
    assert 0.99 < loaded.images.max() <= 1.0
    assert np.unique(loaded.labels).tolist() == list(range(description.num_classes))


def test_train_and_validation_part_the_published_training_images() -> None:
    train, validation = load_split("mnist", "train"), load_split("mnist", "validation")
    assert len(validation) == datasets.VALIDATION_SIZE
    np.testing.assert_array_equal(np.sort(np.concatenate([train.ids, validation.ids])), np.arange(60_000))


@pytest.mark.parametrize(("published", "digest"), VALIDATION_IDS_SHA256.items())
def test_validation_ids_never_change(published: int, digest: str) -> None:
    ids = loading.development_ids(published, "validation")
    assert hashlib.sha256(ids.tobytes()).hexdigest().startswith(digest)


def test_validation_images_are_those_of_the_fixed_ids() -> None:
    np.testing.assert_array_equal(load_split("mnist", "validation").ids, loading.development_ids(60_000, "validation"))


def test_ids_are_positions_in_the_published_split() -> None:
    images, labels = read_once("mnist", "train")
    validation = load_split("mnist", "validation")
    np.testing.assert_array_equal(labels[validation.ids], validation.labels)
    np.testing.assert_array_equal(images[validation.ids[:50]] / np.float32(255), validation.images[:50])


def test_two_loads_are_equal() -> None:
    first, second = datasets.load("mnist", "test"), load_split("mnist", "test")
    for attribute in ("images", "labels", "ids"):
        np.testing.assert_array_equal(getattr(first, attribute), getattr(second, attribute))


def test_embedded_mnist_is_mnist() -> None:
    test = load_split("mnist", "test")
    assert np.bincount(test.labels).tolist() == MNIST_TEST_COUNTS
    assert len(test) == datasets.info("mnist").official_test_size


def test_mnist_is_read_from_the_package() -> None:
    package = Path(datasets.__file__).parents[1]
    assert Path(prepared.builder("mnist").data_dir).is_relative_to(package)


@needs_dataset("cifar10")
def test_found_test_images_are_at_most_the_official_number() -> None:
    """A prepared directory may hold a part of the test split; what is loaded is what is there."""
    found = load_split("cifar10", "test")
    builder = prepared.builder("cifar10")
    assert len(found) == builder.info.splits["test"].num_examples
    assert len(found) <= datasets.info("cifar10").official_test_size


@needs_dataset("cifar10")
def test_gray_cifar_is_the_luma_of_cifar() -> None:
    colour, gray = load_split("cifar10", "test"), load_split("cifar10_gray", "test")
    red, green, blue = (colour.images[:100, ..., channel].astype(np.float64) for channel in range(3))
    luma = 0.2989 * red + 0.5870 * green + 0.1140 * blue
    np.testing.assert_allclose(gray.images[:100, ..., 0], luma, atol=1e-6)
    np.testing.assert_array_equal(gray.labels, colour.labels)
    np.testing.assert_array_equal(gray.ids, colour.ids)


@given(st.integers(min_value=0, max_value=20))
def test_first(count: int) -> None:
    split = datasets.Split(np.zeros((12, 2, 2, 1), np.float32), np.arange(12), np.arange(12) + 7)
    first = split.first(count)
    assert len(first) == len(first.images) == len(first.ids) == min(count, 12)
    np.testing.assert_array_equal(first.ids, np.arange(min(count, 12)) + 7)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"`name` must be one of cifar10, .*Received: name='imagenet'"):
        datasets.load("imagenet", "test")
    with pytest.raises(ValueError, match="Received: name='imagenet'"):
        datasets.info("imagenet")


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match=r"`split` must be one of train, validation, test. Received: split='dev'"):
        datasets.load("mnist", "dev")


def test_every_file_of_the_package_that_describes_a_data_set_is_found() -> None:
    files = {path.stem for path in Path(datasets.__file__).parent.glob("*.py") if "\nDATASET = " in path.read_text()}
    assert set(datasets.DATASETS) == files
    assert all(name == info.name for name, info in datasets.DATASETS.items())


def test_a_new_file_is_a_new_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blobs.py").write_text(
        "from cortexzoo.datasets.base import DatasetInfo\n\nDATASET = DatasetInfo('blobs', '', (5, 7, 2), ('a', 'b'), 9)\n"
    )
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "cortexzoo.datasets.blobs", raising=False)
    assert set(datasets._discover()) == {*datasets.DATASETS, "blobs"}
    monkeypatch.delitem(sys.modules, "cortexzoo.datasets.blobs")
    monkeypatch.delattr(datasets, "blobs")


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_thresholds_have_every_norm_and_a_source(name: str) -> None:
    description = datasets.info(name)
    assert tuple(description.thresholds) == NORMS
    assert description.thresholds_source


def test_thresholds() -> None:
    """Stored results are read at these: they never change."""
    dark = {"linf": 0.3, "l2": 1.5, "l1": 8.0, "l0": 12.0}
    natural = {"linf": 8 / 255, "l2": 0.5, "l1": 12.0, "l0": 24.0}
    assert datasets.info("mnist").thresholds == datasets.info("fashion_mnist").thresholds == dark
    assert datasets.info("cifar10").thresholds == datasets.info("cifar10_gray").thresholds == natural


def test_only_cifar_is_natural() -> None:
    assert [name for name, info in datasets.DATASETS.items() if info.natural] == ["cifar10", "cifar10_gray"]


def test_descriptions_are_keys_and_travel_to_workers() -> None:
    mnist = datasets.info("mnist")
    assert {mnist: 1}[pickle.loads(pickle.dumps(mnist))] == 1


def test_thresholds_of_an_unknown_norm() -> None:
    with pytest.raises(ValueError, match=r"Expected thresholds for linf, l2, l1, l0. Received: l3"):
        datasets.DatasetInfo("x", "", (2, 2, 1), ("a", "b"), 1, thresholds={"l3": 1.0})


@pytest.fixture
def no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty TFDS_DATA_DIR, and a name server that knows nobody."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))


@pytest.mark.usefixtures("no_connection")
@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_missing_data_set_without_a_connection(name: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(datasets.DatasetUnavailableError) as caught:
        datasets.load(name, "test")
    assert time.monotonic() - started < 20
    message = str(caught.value)
    assert message.startswith(f"Expected the data set '{name}' in {tmp_path / 'empty'}, or a connection to download it.")
    assert "Received: ConnectionError, no connection to " in message
    assert f"Set TFDS_DATA_DIR to a folder that holds {name}/<version>/dataset_info.json" in message
    assert len(message.splitlines()) == 1


@pytest.mark.usefixtures("no_connection")
def test_data_set_unknown_to_tfds() -> None:
    with pytest.raises(ValueError, match=r"Received: 'cats_vs_dog'. Did you mean: cats_vs_dogs"):
        prepared.builder("cats_vs_dog")


def test_newest_prepared_version_is_read(tmp_path: Path) -> None:
    for version in ("3.0.9", "3.0.10", "2.9.9", "incomplete"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "dataset_info.json").touch()
    (tmp_path / "4.0.0").mkdir()
    assert [path.name for path in prepared._prepared_versions(tmp_path, None)] == ["2.9.9", "3.0.9", "3.0.10"]
    assert [path.name for path in prepared._prepared_versions(tmp_path, "3.0.9")] == ["3.0.9"]
