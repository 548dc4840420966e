"""Where models are loaded from, and what a new head keeps."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
from cortexzoo.models import ImageClassifier
from tests.zoo.conftest import SMALL_CONFIG, SMALL_ID
from tests.zoo.families import FAMILIES, random_images, small_model


def save(name: str, path: Path) -> ImageClassifier:
    """Saves a model of a family with weights that no initializer draws."""
    model = small_model(name)
    model.set_weights([np.full(weight.shape, 0.25 + 0.01 * i, np.float32) for i, weight in enumerate(model.weights)])
    model.save(path)
    return model


def test_paths_beside_a_card(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = cz.load_model(SMALL_ID).get_weights()
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", "/nonexistent")
    for path in (catalogue / SMALL_ID, catalogue / SMALL_ID / "1"):
        for name in (path, str(path)):
            for received, value in zip(cz.load_model(name).get_weights(), expected, strict=True):
                np.testing.assert_array_equal(received, value)
    assert cz.load_model(SMALL_ID, catalogue=catalogue).get_config()["denoiser_widths"] == SMALL_CONFIG["denoiser_widths"]
    (catalogue / SMALL_ID / "1" / "variables" / "variables.index").write_bytes(b"")
    with pytest.raises(cz.IntegrityError, match=r"variables\.index"):
        cz.load_model(catalogue / SMALL_ID / "1")


def test_savedmodel_without_a_card(catalogue: Path) -> None:
    (catalogue / SMALL_ID / "card.json").unlink()
    with pytest.raises(ValueError, match=r"Expected a SavedModel beside a card.json.* model.save\('mine.keras'\)"):
        cz.load_model(catalogue / SMALL_ID / "1")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_keras_files(tmp_path: Path, suffix: str) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3, "softmax")])
    path, images = tmp_path / f"mine.{suffix}", np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    if suffix == "keras":
        model.save(path)
    else:
        keras.src.legacy.saving.legacy_h5_format.save_model_to_hdf5(model, path, include_optimizer=False)
    np.testing.assert_array_equal(cz.load_model(path)(images), model(images))
    with pytest.raises(ValueError, match=r"Only models of the zoo can have another head by `num_classes`"):
        cz.load_model(path, num_classes=2)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_lambda_layers_are_refused(tmp_path: Path, suffix: str) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Lambda(lambda x: 2.0 * x)])
    path = tmp_path / f"mine.{suffix}"
    if suffix == "keras":
        model.save(path)
    else:
        keras.src.legacy.saving.legacy_h5_format.save_model_to_hdf5(model, path, include_optimizer=False)
    with pytest.raises(ValueError, match=r"Expected a Keras model in .* with a Lambda layer, whose code would run"):
        cz.load_model(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected a Keras model in .*mine.keras. Received: there is no such file"):
        cz.load_model(tmp_path / "mine.keras")


# Each class has an autoencoder of its own.
WITHOUT_BODY = ("ABS", "biABS")


@pytest.mark.parametrize("change", [0, 2])
@pytest.mark.parametrize("name", sorted(set(FAMILIES) - set(WITHOUT_BODY)))
def test_new_head(name: str, change: int, tmp_path: Path) -> None:
    """As many classes as before are other classes too: the head is new in any case."""
    old = save(name, tmp_path / "old.keras")
    num_classes = old.num_classes + change
    new = cz.load_model(tmp_path / "old.keras", num_classes=num_classes)
    images = random_images(new)
    assert new(images).shape == (6, num_classes)
    assert new.get_config() == {**old.get_config(), "num_classes": num_classes}
    fresh = [weight for layer in new.class_layers for weight in layer.weights]
    for received, value in zip(new.weights, old.weights, strict=True):
        is_fresh = any(received is weight for weight in fresh)
        assert is_fresh != np.array_equal(received.numpy(), value.numpy()), received.path
        if change:
            assert is_fresh == (received.shape != value.shape), received.path
    new.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    assert np.isfinite(new.train_on_batch(images, np.arange(6) % num_classes))


@pytest.mark.parametrize(("name", "options"), [("DIM", {"denoiser_widths": None}), *((name, {}) for name in WITHOUT_BODY)])
def test_autoencoders_of_classes_alone_have_no_body(name: str, options: dict, tmp_path: Path) -> None:
    small_model(name, **options).save(tmp_path / "old.keras")
    with pytest.raises(ValueError, match=r"weights of its own for every class.* such as mnist/dim or mnist/single_im"):
        cz.load_model(tmp_path / "old.keras", num_classes=5)


def test_one_class_is_none(catalogue: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected `num_classes` >= 2. Received: num_classes=1"):
        cz.load_model(SMALL_ID, num_classes=1)


@pytest.mark.parametrize("called", [False, True])
def test_export_of_keras_itself(catalogue: Path, tmp_path: Path, called: bool) -> None:
    model, images = cz.load_model(SMALL_ID), np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    if called:
        model(images)
    model.export(tmp_path / "exported", verbose=False)
    saved = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(saved.serve(images), model(images), rtol=1e-5)
