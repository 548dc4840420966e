"""Export and restore: the errors, the plain Keras model, and that a failed export leaves the old version alone."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
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
    for outputs, received in (([logits, logits], "a list of 2. Take one: "), (inputs, r"shape \(batch, 4, 4, 1\)")):
        with pytest.raises(ValueError, match=rf"returns logits, \(batch, classes\). Received: {received}"):
            cz.export_model(keras.Model(inputs, outputs), tmp_path / "1")
    assert not any(tmp_path.iterdir())


def small_classifier(*head: keras.layers.Layer, dtype: str = "float32") -> keras.Sequential:
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(dtype=dtype), keras.layers.Dense(5, "relu", dtype=dtype)]
    return keras.Sequential([*layers, *head])


def serve(model: keras.Model, path: Path, **options: object) -> tuple[dict[str, np.ndarray], np.ndarray, object]:
    """What the exported model serves for a few images, these, and the loaded object."""
    saved = tf.saved_model.load(cz.export_model(model, path / "model" / "1", **options))
    images = np.random.default_rng(0).random((6, *saved.signatures["serving_default"].inputs[0].shape[1:]), np.float32)
    served = saved.signatures["serving_default"](image=tf.constant(images))
    return {name: value.numpy() for name, value in served.items()}, images, saved


def test_a_softmax_head_is_served_once(tmp_path: Path) -> None:
    model = small_classifier(keras.layers.Dense(3), keras.layers.Rescaling(9.0), keras.layers.Softmax())
    served, images, _ = serve(model, tmp_path)
    expected = model(images)
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-6)
    np.testing.assert_allclose(tf.nn.softmax(served["logits"]), expected, atol=1e-6)
    assert served["logits"].min() < 0
    np.testing.assert_array_equal(served["label"], np.argmax(expected, axis=1))


def test_one_sigmoid_is_two_classes(tmp_path: Path) -> None:
    model = small_classifier(keras.layers.Dense(1, "sigmoid"))
    served, images, _ = serve(model, tmp_path)
    positive = np.asarray(model(images))
    np.testing.assert_allclose(served["probabilities"], np.hstack([1 - positive, positive]), atol=1e-6)
    np.testing.assert_array_equal(served["logits"][:, 0], 0.0)


def test_sigmoids_are_served_without_themselves(tmp_path: Path) -> None:
    model = small_classifier(keras.layers.Dense(3, "sigmoid"))
    served, images, _ = serve(model, tmp_path)
    np.testing.assert_allclose(tf.sigmoid(served["logits"]), model(images), atol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
@pytest.mark.parametrize("head", ["softmax", None])
def test_logits_are_float32(tmp_path: Path, dtype: str, head: str | None) -> None:
    model = small_classifier(keras.layers.Dense(3, head, dtype=dtype), dtype=dtype)
    served, images, saved = serve(model, tmp_path)
    assert served["logits"].dtype == served["probabilities"].dtype == saved.logits(images).dtype == np.float32
    expected = tf.cast(model(images), tf.float32)
    np.testing.assert_allclose(served["probabilities" if head else "logits"], expected, atol=2e-2)


@keras.saving.register_keras_serializable(package="tests")
class AlwaysNoisy(keras.layers.Layer):
    """Adds noise in inference too."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(seed)
        self.untracked = tf.Variable(0.0)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + self.untracked + keras.random.normal(keras.ops.shape(inputs), seed=self.generator)


def test_random_model_is_exported_with_its_state(tmp_path: Path) -> None:
    model = small_classifier(AlwaysNoisy(), keras.layers.Dense(3, "softmax"))
    served, images, saved = serve(model, tmp_path)
    assert (saved.logits(images) != served["logits"]).numpy().all()
    np.testing.assert_allclose(tf.nn.softmax(served["logits"]), served["probabilities"], atol=1e-6)
    copy = small_classifier(AlwaysNoisy(), keras.layers.Dense(3, "softmax"))
    restore_weights(copy, tmp_path / "model" / "1")
    for received, expected in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


class RawSoftmax(keras.Model):
    """Its activation is no layer."""

    def __init__(self, activation: object, units: int = 3) -> None:
        super().__init__()
        self.activation_of_mine, self.dense = activation, keras.layers.Dense(units)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.activation_of_mine(self.dense(keras.ops.reshape(images, (-1, 16))))


@pytest.mark.parametrize(
    ("activation", "units", "received"),
    [
        (tf.nn.softmax, 3, "rows in .* as after a softmax"),
        (tf.sigmoid, 3, "values that never leave .* as after a sigmoid"),
        (tf.sigmoid, 1, "values that never leave .* as after a sigmoid"),
    ],
)
def test_hidden_probabilities_are_refused(tmp_path: Path, activation: object, units: int, received: str) -> None:
    model = RawSoftmax(activation, units)
    with pytest.raises(ValueError, match=rf"Expected .*logits.* Received: {received}.* Return "):
        cz.export_model(model, tmp_path / "1", image_shape=(4, 4, 1))
    assert not any(tmp_path.iterdir())
    cz.export_model(RawSoftmax(lambda values: values), tmp_path / "1", image_shape=(4, 4, 1))


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    image, other = keras.Input((4, 4, 1), name="image"), keras.Input((), name="temperature")
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(image)) * keras.ops.reshape(other, (-1, 1))

    class Tempered(keras.Model):
        def call(self, image: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
            return image * temperature

    for model in (keras.Model([image, other], logits), Tempered()):
        with pytest.raises(ValueError, match="Received: 2 inputs: image, temperature"):
            cz.export_model(model, tmp_path / "1", image_shape=(4, 4, 1))


def test_integer_images_are_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1), dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="Received: an input of dtype uint8"):
        cz.export_model(model, tmp_path / "1")


def test_channels_first_is_refused_and_its_remedy_works(tmp_path: Path) -> None:
    layers = keras.layers
    convolution = layers.Conv2D(2, 3, data_format="channels_first")
    model = keras.Sequential([keras.Input((2, 8, 9)), layers.Rescaling(2.0), convolution, layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match="Received: a channels-first model of") as error:
        cz.export_model(model, tmp_path / "1")
    wrapped = eval(str(error.value).split("Wrap it: ")[1].rstrip("."), {"keras": keras, "model": model})
    served, images, saved = serve(wrapped, tmp_path)
    np.testing.assert_allclose(served["logits"], model(images.transpose(0, 3, 1, 2)), rtol=1e-4)
    with tf.GradientTape() as tape:
        tape.watch(batch := tf.constant(images))
        total = tf.reduce_sum(saved.logits(batch)[:, 0])
    assert tape.gradient(total, batch).numpy().any()
    plain = keras.Sequential([keras.Input((3, 8, 8)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"keras.Input\(\(8, 8, 3\)\)"):
        cz.export_model(plain, tmp_path / "1")


def test_recurrent_model(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Reshape((6, 6)), layers.GRU(4), layers.Dense(3, "softmax")])
    served, images, _ = serve(model, tmp_path)
    np.testing.assert_allclose(served["probabilities"], model(images), atol=1e-6)


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
