"""Export and restore: the errors, the plain Keras model, and that a failed export leaves the old version alone."""

import os
from pathlib import Path

import cortexzoo as cz
import keras
import numpy as np
import pytest
import tensorflow as tf
from cortexzoo.catalog import file_digest
from cortexzoo.export import restore_weights
from cortexzoo.loading import create_model
from cortexzoo.models import DenoisedInternalModels

from tests.zoo.conftest import SMALL_CONFIG


@pytest.fixture(scope="module")
def model() -> DenoisedInternalModels:
    return create_model("DenoisedInternalModels", SMALL_CONFIG)


def test_plain_keras_model_gets_the_same_signature(tmp_path: Path) -> None:
    """A researcher's own functional model: no class of ours, only images to logits."""
    plain = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    saved = tf.saved_model.load(cz.export_model(plain, tmp_path / "plain" / "1"))
    images = np.random.default_rng(0).random((4, 6, 6, 1), np.float32)
    served = saved.signatures["serving_default"](image=tf.constant(images))
    np.testing.assert_allclose(served["logits"], plain(images), rtol=1e-5)
    np.testing.assert_array_equal(served["logits"], saved.logits(images))
    assert served.keys() == {"logits", "probabilities", "label"}


def test_image_shape_can_be_given(tmp_path: Path) -> None:
    plain = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="Pass `image_shape`"):
        cz.export_model(plain, tmp_path / "1")
    plain.build((None, 5, 5, 2))
    saved = tf.saved_model.load(cz.export_model(plain, tmp_path / "1", image_shape=(5, 5, 2)))
    assert saved.logits(tf.zeros((2, 5, 5, 2))).shape == (2, 3)


@pytest.mark.parametrize("name", ["latest", "v1", "1.0", "²"])
def test_version_must_be_an_integer(model: keras.Model, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"`path` must end in an integer version, such as .*/1. Received: path='.*"):
        cz.export_model(model, tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_versions_are_not_overwritten_by_accident(model: keras.Model, tmp_path: Path) -> None:
    path = cz.export_model(model, tmp_path / "model" / "1")
    (path / "mine.txt").write_text("")
    with pytest.raises(FileExistsError, match="Choose the next version number or pass overwrite=True"):
        cz.export_model(model, path)
    assert (path / "mine.txt").exists()
    cz.export_model(model, path, overwrite=True)
    assert not (path / "mine.txt").exists()


def test_failed_export_leaves_the_old_version(model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cz.export_model(model, tmp_path / "model" / "1")
    before = {file: file_digest(file) for file in path.rglob("*") if file.is_file()}

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cortexzoo.export._write_warmup_requests", die)
    with pytest.raises(KeyboardInterrupt):
        cz.export_model(model, path, overwrite=True)
    assert {file: file_digest(file) for file in path.rglob("*") if file.is_file()} == before
    # What is left beside it is no integer, so that TF Serving takes it for no version.
    assert [child.name for child in path.parent.iterdir() if child.name.isdigit()] == ["1"]


def test_version_stays_until_the_new_one_has_its_name(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cz.export_model(model, tmp_path / "model" / "1")
    (path / "mine.txt").write_text("")
    replace = os.replace

    def die(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("cortexzoo.export.os.replace", die)
        with pytest.raises(KeyboardInterrupt):
            cz.export_model(model, path, overwrite=True)
    assert (path / "mine.txt").exists()
    cz.export_model(model, path, overwrite=True)
    assert [child.name for child in path.parent.iterdir()] == ["1"]


def test_model_with_several_outputs_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 1))
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    for outputs, received in (([logits, logits], "list"), (inputs, r"shape \(1, 4, 4, 1\)")):
        with pytest.raises(ValueError, match=rf"returns logits, \(batch, classes\). Received: {received}"):
            cz.export_model(keras.Model(inputs, outputs), tmp_path / "1")
    assert not any(tmp_path.iterdir())


def test_other_backends_are_refused(model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match="Received: backend='jax'"):
        cz.export_model(model, tmp_path / "1")


def test_export_ignores_training_state(model: keras.Model, tmp_path: Path) -> None:
    """A compiled, fitted model exports its weights alone: no optimizer, no metrics, no random-seed states."""
    fitted = DenoisedInternalModels.from_config(model.get_config())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted.compile("adam", loss, metrics=["accuracy"], run_eagerly=True)
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    fitted.fit(images, np.arange(4), verbose=0)
    path = cz.export_model(fitted, tmp_path / "1")
    names = tf.train.load_checkpoint(str(path / "variables" / "variables")).get_variable_to_shape_map()
    assert sum(name.startswith("model_weights/") for name in names) == len(names) - 1 == len(fitted.weights)
    saved = tf.saved_model.load(path)
    np.testing.assert_allclose(saved.logits(images), fitted(images), rtol=1e-5)


def test_restored_weights_are_exact(model: keras.Model, tmp_path: Path) -> None:
    path = cz.export_model(model, tmp_path / "1")
    other = create_model("DenoisedInternalModels", SMALL_CONFIG)
    restore_weights(other, path)
    for received, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("widths", [[16, 9], [16, 8, 8]], ids=["shapes", "number"])
def test_weights_of_another_model_change_nothing(model: keras.Model, tmp_path: Path, widths: list[int]) -> None:
    path = cz.export_model(model, tmp_path / "1")
    other = create_model("DenoisedInternalModels", {**SMALL_CONFIG, "denoiser_widths": widths})
    before = other.get_weights()
    with pytest.raises(ValueError, match="Received: "):
        restore_weights(other, path)
    for received, expected in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(received, expected)
