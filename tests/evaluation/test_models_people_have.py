"""Models and data as people have them: a right number, a number with its cause beside it, or a sentence with the way out."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz

L = keras.layers
SHAPE, N, EPSILON = (6, 5, 3), 12, 0.2
PROBABILITIES, RANDOM = "Probabilities instead of logits", "Answers differ when asked again"
IMAGES = np.random.default_rng(0).random((N, *SHAPE), np.float32)


def sequential(*layers: keras.Layer, shape: tuple = SHAPE, **options: object) -> keras.Model:
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input(shape, **options), *layers])


class Raw(keras.Model):
    """Applies a function to what a dense layer gives, out of the sight of Keras."""

    def __init__(self, function: Callable, units: int = 3) -> None:
        super().__init__()
        self.function, self.flatten, self.dense = function, L.Flatten(), L.Dense(units)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.function(self.dense(self.flatten(images)))


class AlwaysNoise(L.Layer):
    def call(self, images: tf.Tensor) -> tf.Tensor:
        return images + tf.random.normal(tf.shape(images), stddev=0.3)


class OnlyEight(L.Layer):
    def call(self, images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, (8, 90))


def ensemble() -> keras.Model:
    """A mean of two softmaxes, of which no logits are known."""
    images = keras.Input(SHAPE)
    members = [sequential(L.Flatten(), L.Dense(3, activation="softmax"))(images) for _ in range(2)]
    return keras.Model(images, L.Average()(members))


def named_input() -> keras.Model:
    images = keras.Input(SHAPE, name="image")
    return keras.Model({"image": images}, L.Dense(3)(L.Flatten()(images)))


def outputs_of(model: keras.Model, images: np.ndarray, batch: int = N) -> np.ndarray:
    """What the Keras model itself answers, images in batches that it takes."""
    padded = np.resize(images, (-(-len(images) // batch) * batch, *images.shape[1:]))
    parts = [padded[i : i + batch] for i in range(0, len(padded), batch)]
    named = isinstance(getattr(model, "input", None), dict)
    answers = [model({"image": part} if named else part, training=False) for part in parts]
    return np.concatenate([tf.cast(answer, tf.float32) for answer in answers])[: len(images)]


def classes_of(outputs: np.ndarray) -> np.ndarray:
    return (outputs[:, 0] > 0.5).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)


@pytest.mark.parametrize(
    ("build", "batch", "sign"),
    [
        (lambda: Raw(tf.nn.softmax), N, PROBABILITIES),
        (lambda: Raw(tf.sigmoid, 10), N, PROBABILITIES),
        (lambda: Raw(tf.sigmoid, 1), N, PROBABILITIES),
        (ensemble, N, PROBABILITIES),
        (lambda: sequential(L.Flatten(), L.Dense(3, activation="sparsemax")), N, PROBABILITIES),
        (named_input, N, ""),
        (lambda: sequential(L.Flatten(), L.Dense(3, activation="softmax"), batch_size=8), 8, ""),
        (lambda: sequential(OnlyEight(), L.Dense(3, activation="softmax"), batch_size=8), 8, ""),
    ],
    ids=["softmax", "sigmoids", "sigmoid", "ensemble", "sparsemax", "named_input", "batch_of_8", "reshape_to_8"],
)
def test_the_model_itself_agrees(build: Callable[[], keras.Model], batch: int, sign: str) -> None:
    model = build()
    labels = classes_of(outputs_of(model, IMAGES, batch))
    labels[:2] = (labels[:2] + 1) % 2
    found = cz.attack(model, IMAGES, labels, epsilon=2 * EPSILON, steps=10)
    wrong = classes_of(outputs_of(model, found.images, batch)) != labels
    np.testing.assert_array_equal(found.distances[:2], 0.0)
    assert found.success[2:].any()
    assert wrong[found.success].all()
    result = cz.evaluate(model, IMAGES, labels, suite="clean")
    assert result.clean_accuracy == 1.0 - 2 / N
    assert set(result.signs_of_masking) == ({sign} if sign else set())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_adversarials_of_half_precision_are_no_ties(policy: str) -> None:
    """A softmax in half precision gives equal probabilities where logits differ a little."""
    keras.config.set_dtype_policy(policy)
    try:
        model = sequential(L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(3, activation="softmax"))
    finally:
        keras.config.set_dtype_policy("float32")
    labels = classes_of(outputs_of(model, IMAGES))
    found = cz.attack(model, IMAGES, labels, epsilon=EPSILON, steps=5)
    assert found.success.any()
    assert (classes_of(outputs_of(model, found.images))[found.success] != labels[found.success]).all()


def test_random_models_are_told() -> None:
    result = cz.evaluate(sequential(AlwaysNoise(), L.Flatten(), L.Dense(3)), IMAGES, np.arange(N) % 3, suite="clean")
    assert RANDOM in result.signs_of_masking


def test_one_model_on_images_of_two_sizes() -> None:
    model = sequential(L.Conv2D(3, 3), L.GlobalAveragePooling2D(), shape=(None, None, 3))
    for size in (7, 9):
        images = np.random.default_rng(0).random((4, size, size, 3), np.float32)
        labels = classes_of(outputs_of(model, images, 4))
        assert cz.evaluate(model, images, labels, suite="clean").clean_accuracy == 1.0


def test_scale_for_a_model_of_unit_images() -> None:
    model = sequential(L.Flatten(), L.Dense(3, activation="softmax"))
    # Dark images are of class 0, bright ones of class 1.
    model.layers[-1].set_weights([np.tile(np.float32([0.0, 0.1, 0.0]), (90, 1)), np.float32([0.3, 0.0, 0.0])])
    images = IMAGES * 0.02
    labels = classes_of(outputs_of(model, images))
    result = cz.evaluate(model, 255 * images, labels, suite="clean", scale=255)
    assert "100.0 % with images / 255 and without scale: pass that" in result.signs_of_masking["Images of another range"]


def python_if(values: tf.Tensor) -> tf.Tensor:
    return -values if tf.reduce_mean(values) > 1e9 else values


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Raw(python_if), r"can trace into a graph\. Received: Raw: Using a symbolic .* keras\.ops\.cond"),
        (
            lambda: Raw(lambda values: (values, values)),
            r"a tuple of 2\. Take one: .*keras\.Model\(images, model\(images\)\[0\]\)",
        ),
        (lambda: Raw(lambda values: {"a": values}), r"a dict of 'a'\. Take one: .*model\(images\)\['a'\]"),
        (lambda: sequential(L.Dense(3), shape=(90,)), r"shape \(90,\).* Received: \(6, 5, 3\)\. Wrap the model: .*Flatten"),
        (
            lambda: sequential(L.Flatten(), L.Dense(3), shape=(3, 6, 5)),
            r"channels first\. Wrap it: .*Permute\(\(3, 1, 2\)\)",
        ),
        (lambda: sequential(L.Flatten(), L.Dense(3), shape=(8, 8, 3)), r"tf\.image\.resize\(images, \(8, 8\)\)"),
        (lambda: sequential(L.Conv2D(3, 3)), r"shape \(batch, 4, 3, 3\)\. Add keras\.layers\.Flatten"),
        (lambda: sequential(L.Flatten(), L.Dense(2)), r"at least 3 classes of sequential\S* .*correct them"),
    ],
)
def test_models_that_are_refused(build: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cz.evaluate(build(), IMAGES, np.arange(N) % 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *[({"samples": value}, "`samples` must be a whole number from 1 on") for value in (0, -1, 2.5, "3")],
        *[({"batch_limit": value}, "`batch_limit` must be") for value in (0, -1)],
        ({"workers": 0}, "`workers` must be"),
        *[({"seed": value}, "`seed` must be") for value in (-1, 0.5, 2**40)],
        *[({"epsilons": value}, "Expected positive thresholds") for value in (0.1, {"linf": "8/255"}, {"linf": np.nan})],
        ({"mean": [0.1, 0.2]}, "one for each of 3 channels"),
        ({"mean": np.nan}, "`mean` must be finite"),
    ],
)
def test_options_that_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cz.evaluate(sequential(L.Flatten(), L.Dense(3)), IMAGES, np.arange(N) % 3, **options)


def test_options_as_people_write_them() -> None:
    model = sequential(L.Flatten(), L.Dense(3))
    result = cz.evaluate(
        model, IMAGES, np.arange(N) % 3, norms="linf", epsilons={"linf": np.array([0.05, 0.1])}, samples=np.int64(2)
    )
    assert set(result.robust_accuracies) == {"linf"}


def test_attacks_that_are_refused() -> None:
    from cortexzoo.evaluation.attacks import DeepFool

    model, labels = sequential(L.Flatten(), L.Dense(3)), np.arange(N) % 3
    with pytest.raises(TypeError, match="`attack` to be a name or an object"):
        cz.attack(model, IMAGES, labels, attack=DeepFool)
    with pytest.raises(ValueError, match=r"as in DeepFool\(steps=\.\.\.\)"):
        cz.attack(model, IMAGES, labels, attack=DeepFool(norm="l2"), steps=3)
    for steps in (0, -3, 2.5, "3"):
        with pytest.raises(ValueError, match="`steps` must be a whole number from 1 on"):
            cz.attack(model, IMAGES, labels, steps=steps)
    with pytest.raises(ValueError, match="Expected one `epsilon`"):
        cz.attack(model, IMAGES, labels, epsilon=[0.1, 0.2])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.keras", b"PK no archive", "damaged, or that model.save did not write"),
        ("a.h5", b"no archive", "damaged, or that model.save did not write"),
        ("a.onnx", b"x", "Received: the file .*a.onnx"),
        ("missing", None, "missing, which does not exist"),
    ],
)
def test_files_that_are_no_models(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        cz.evaluate(os.fspath(tmp_path / name), IMAGES, np.arange(N) % 3)


def test_weights_alone(tmp_path: Path) -> None:
    sequential(L.Flatten(), L.Dense(3)).save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match="weights alone"):
        cz.evaluate(tmp_path / "a.weights.h5", IMAGES, np.arange(N) % 3)


def test_data_in_batches_of_another_kind() -> None:
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(N) % 3, np.ones(N))).batch(4)
    with pytest.raises(ValueError, match=r"a tuple of 3: .*Map it"):
        cz.open_images(pairs)
    with pytest.raises(ValueError, match="Collect the batches"):
        cz.open_images((IMAGES[i : i + 4], [0, 1, 2, 0]) for i in range(0, N, 4))


def test_several_models_in_one_program_raise_no_warnings(caplog: pytest.LogCaptureFixture) -> None:
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(6):
                cz.evaluate(sequential(L.Flatten(), L.Dense(3)), IMAGES, np.arange(N) % 3, norms=["linf"], samples=1)
                keras.utils.set_random_seed(3)
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record for record in caplog.records if "retracing" in record.getMessage()]
