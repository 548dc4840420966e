"""What is accepted as a classifier, what is refused and in which words, and that what is attacked is what is served."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation import probing
from cortexzoo.evaluation.attacks import SPSA, BasicIterativeMethod, Batch, CarliniWagnerL2
from cortexzoo.evaluation.classifier import SIGNATURE, Classifier, ClassifierError, saved_model_digest
from cortexzoo.evaluation.conversion import Preprocessing
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.running.clean import evaluate_clean
from cortexzoo.evaluation.suites.clean import CLEAN
from tests.conftest import load_split
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, correct_batch, dense, random_network, save_classifier, tiny_split

PROBE = np.random.default_rng(0).uniform(0, 1, (4, *TINY.image_shape)).astype(np.float32)


def linear(images: tf.Tensor) -> tf.Tensor:
    """Three logits, far from probabilities."""
    weights = np.random.default_rng(2).standard_normal((16, 3)).astype(np.float32)
    return tf.reshape(images, (-1, 16)) @ weights


def save_signature(
    path: Path,
    function: Callable,
    shape: tuple | None = (None, 4, 4, 1),
    dtype: tf.DType = tf.float32,
    name: str = SIGNATURE,
) -> Path:
    """Writes a SavedModel of one signature and nothing else."""
    module = tf.Module()
    serving = tf.function(function, input_signature=[tf.TensorSpec(shape, dtype, name="image")], autograph=False)
    tf.saved_model.save(module, str(path), signatures={name: serving})
    return path


def refusal(path: Path) -> str:
    """The message with which a SavedModel is refused."""
    with pytest.raises(ClassifierError) as raised:
        Classifier(path, TINY, PROBE)
    return str(raised.value)


def test_no_saved_model(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere")
    assert "Expected a SavedModel directory, one that holds saved_model.pb" in message
    assert message.endswith(f"Received: {tmp_path / 'nowhere'}")


def test_folder_of_versions_gets_a_hint(tmp_path: Path) -> None:
    for version in ("1", "2"):
        save_classifier(tmp_path / "model" / version, linear, TINY.image_shape)
    assert refusal(tmp_path / "model").endswith(f"Did you mean {tmp_path / 'model' / '2'}?")


def test_the_newest_version_is_the_greatest_number(tmp_path: Path) -> None:
    for version in ("9", "10"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    assert refusal(tmp_path).endswith(f"Did you mean {tmp_path / '10'}?")


def test_damaged_saved_model(tmp_path: Path) -> None:
    (save_classifier(tmp_path / "1", linear, TINY.image_shape) / "saved_model.pb").write_bytes(b"damaged")
    message = refusal(tmp_path / "1")
    assert "Expected a SavedModel that TensorFlow can load" in message
    assert str(tmp_path / "1") in message


def test_missing_signature(tmp_path: Path) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"logits": linear(image)}, name="predict")
    message = refusal(path)
    assert "Expected the signature 'serving_default'" in message
    assert "Received: predict." in message
    assert "cz.export_model" in message


def test_no_signature_at_all(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    assert "Received: no signature." in refusal(tmp_path / "1")


def test_several_inputs(tmp_path: Path) -> None:
    specification = [tf.TensorSpec((None, 4, 4, 1), tf.float32, name=name) for name in ("image", "mask")]
    serving = tf.function(lambda image, mask: {"logits": linear(image * mask)}, input_signature=specification)
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"), signatures={"serving_default": serving})
    message = refusal(tmp_path / "1")
    assert "Expected one input, the image" in message
    assert "image" in message.split("Received: ")[1]
    assert "mask" in message.split("Received: ")[1]


@pytest.mark.parametrize(
    ("shape", "dtype", "received"),
    [
        ((None, 5, 4, 1), tf.float32, "float32, (None, 5, 4, 1). Resize the images: tf.image.resize(images, (5, 4))"),
        ((None, 16), tf.float32, "float32, (None, 16). It takes flat images"),
    ],
)
def test_wrong_input(tmp_path: Path, shape: tuple, dtype: tf.DType, received: str) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"logits": tf.zeros((tf.shape(image)[0], 3))}, shape, dtype)
    message = refusal(path)
    assert "Expected an input of float32 images of tiny, (None, 4, 4, 1)" in message
    assert f"Received: {received}" in message


def test_whole_numbers_as_input(tmp_path: Path) -> None:
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": linear(tf.cast(image, tf.float32))}

    message = refusal(save_signature(tmp_path / "1", serve, dtype=tf.uint8))
    assert "Expected an input of float images" in message
    assert "Received: uint8. Integers have no gradient" in message


def bounded(most: int) -> Callable:
    """A model that refuses more images at once."""

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_less_equal(tf.shape(image)[0], most)]):
            return {"logits": linear(tf.identity(image))}

    return serve


def sharpened(image: tf.Tensor) -> tf.Tensor:
    return 3.0 * linear(image)


def two_classes(image: tf.Tensor) -> tf.Tensor:
    return linear(image)[:, :1] - linear(image)[:, 1:2]


def beside_zero(image: tf.Tensor) -> tf.Tensor:
    return tf.pad(two_classes(image), [[0, 0], [1, 0]])


def noisy(image: tf.Tensor) -> tf.Tensor:
    return linear(image) + tf.random.normal([tf.shape(image)[0], 3])


ANSWERS = {
    "probabilities": (lambda image: tf.nn.softmax(sharpened(image)), sharpened),
    "several sigmoids": (lambda image: tf.sigmoid(linear(image)), linear),
    "float64": (lambda image: tf.cast(linear(image), tf.float64), linear),
    "float16": (lambda image: tf.cast(linear(image), tf.float16), linear),
    "one unit": (two_classes, lambda image: tf.pad(two_classes(image), [[0, 0], [1, 0]])),
    "one probability": (
        lambda image: tf.sigmoid(two_classes(image)),
        lambda image: tf.pad(two_classes(image), [[0, 0], [1, 0]]),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_other_answers_become_logits(tmp_path: Path, name: str) -> None:
    answer, logits = ANSWERS[name]
    info = dataclasses.replace(TINY, class_names=("a", "b")) if name.startswith("one") else TINY
    classifier = Classifier(save_signature(tmp_path / "1", lambda image: {"scores": answer(image)}), info, PROBE)
    served, wanted = classifier.serving_logits(PROBE), logits(tf.constant(PROBE)).numpy()
    assert served.dtype == np.float32
    # A softmax does not tell what was added to all logits.
    apart = served - served[:, :1], wanted - wanted[:, :1]
    np.testing.assert_allclose(*apart, rtol=1e-2 if name == "float16" else 1e-3, atol=1e-2 if name == "float16" else 1e-4)
    warned = "Probabilities instead of logits" in classifier.signs
    assert warned == (name in ("probabilities", "several sigmoids", "one probability"))


def test_a_surrogate_of_fewer_classes(tmp_path: Path) -> None:
    path = save_classifier(tmp_path / "1", linear, TINY.image_shape, attack_logits=lambda image: linear(image)[:, :2])
    message = refusal(path)
    assert "Expected the endpoint `attack_logits`" in message
    assert "shape (4, 3). Received: (4, 2). Correct it, or export the model without it" in message


def test_a_signature_that_tells_no_shape(tmp_path: Path) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"logits": linear(image)}, None)
    images = np.random.default_rng(1).uniform(0, 1, (5, *TINY.image_shape)).astype(np.float32)
    classifier = Classifier(path, TINY, PROBE)
    batch = Batch(images, classifier.predict(images), np.arange(5), 0)
    found = BasicIterativeMethod(norm="linf", epsilon=0.5).run(classifier, "logits", batch)
    assert (classifier.predict(found) != batch.labels).all()


def counting(image: tf.Tensor, counter: tf.Variable) -> tf.Tensor:
    return linear(image) * tf.where(counter.assign_add(1) % 7 == 0, -1.0, 1.0)


def centred(image: tf.Tensor) -> tf.Tensor:
    logits = linear(image)
    return logits - tf.reduce_mean(logits, axis=0)


def test_inconstant_models_are_found_out(tmp_path: Path) -> None:
    module = tf.Module()
    module.counter = tf.Variable(0, dtype=tf.int64)
    specification = [tf.TensorSpec((None, 4, 4, 1), tf.float32, name="image")]
    serve = tf.function(lambda image: {"logits": counting(image, module.counter)}, input_signature=specification)
    tf.saved_model.save(module, str(tmp_path / "moody"), signatures={SIGNATURE: serve})
    random = save_signature(tmp_path / "random", lambda image: {"logits": noisy(image)})
    statistics = save_signature(tmp_path / "batch", lambda image: {"logits": centred(image)})
    for path in (tmp_path / "moody", random):
        assert list(Classifier(path, TINY, PROBE).signs) == [probing.RANDOM]
    assert list(Classifier(statistics, TINY, PROBE).signs) == [probing.BATCH]


@pytest.mark.parametrize(
    ("preprocessing", "model"),
    [
        (Preprocessing(scale=255.0), lambda image: linear(image / 255.0)),
        (Preprocessing(mean=(0.5,), std=(0.25,)), lambda image: linear(0.25 * image + 0.5)),
    ],
)
def test_preprocessing_is_part_of_the_model(tmp_path: Path, preprocessing: Preprocessing, model: Callable) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"logits": model(image)})
    classifier = Classifier(path, TINY, PROBE, preprocessing=preprocessing)
    np.testing.assert_allclose(classifier.serving_logits(PROBE), linear(PROBE), rtol=1e-4, atol=1e-4)
    assert classifier.digest != Classifier(path, TINY, PROBE).digest == saved_model_digest(path)


@pytest.mark.parametrize(
    ("function", "shape"), [(lambda image: {"logits": linear(image)}, (3, 4, 4, 1)), (bounded(2), (None, 4, 4, 1))]
)
def test_a_model_that_takes_few_images_at_once_is_fed_so(tmp_path: Path, function: Callable, shape: tuple) -> None:
    classifier = Classifier(save_signature(tmp_path / "1", function, shape), TINY, PROBE)
    images = np.random.default_rng(1).uniform(0, 1, (7, *TINY.image_shape)).astype(np.float32)
    np.testing.assert_allclose(classifier.serving_logits(images), linear(images), rtol=1e-5)
    assert classifier.signs == {}
    labels = classifier.predict(images)
    attack = BasicIterativeMethod(norm="linf", epsilon=0.5)
    found = attack.run(classifier, "logits", Batch(images, labels, np.arange(7), 0))
    # Nothing holds a linear classifier of such images at half of their range.
    assert (classifier.predict(found) != labels).all()


def test_several_outputs_without_logits(tmp_path: Path) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"scores": linear(image), "label": tf.argmax(linear(image), -1)})
    message = refusal(path)
    assert "Expected an output named 'logits', or a single output" in message
    assert "label" in message
    assert "scores" in message


def test_single_output_of_any_name_is_taken(tmp_path: Path) -> None:
    classifier = Classifier(save_signature(tmp_path / "1", lambda image: {"output_0": linear(image)}), TINY, PROBE)
    np.testing.assert_allclose(classifier.serving_logits(PROBE), linear(PROBE), rtol=1e-5, atol=1e-6)


def with_nan(images: tf.Tensor) -> tf.Tensor:
    """Not a number for the first image of a batch."""
    return tf.concat([tf.fill((1, 3), np.nan), linear(images)[1:]], axis=0)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        (lambda image: tf.cast(linear(image), tf.int32), "Received: int32. Labels and rounded numbers have no gradient"),
        (lambda image: linear(image)[:-1], "Expected logits of shape (batch, classes)"),
        (lambda image: tf.transpose(linear(image)), "Expected logits of shape (batch, classes)"),
        (with_nan, "Received: NaN or infinity for 1 images"),
        (lambda image: linear(image) / 0.0, "Received: NaN or infinity for 4 images"),
        (lambda image: linear(image)[:, :2], "Expected at least 3 classes"),
        (lambda image: linear(image)[:, 0], "Expected logits of shape (batch, classes)"),
    ],
    ids=["whole numbers", "a row too few", "transposed", "nan", "infinite", "fewer classes", "no classes"],
)
def test_unusable_outputs(tmp_path: Path, logits: Callable, expected: str) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"logits": logits(image)})
    message = refusal(path)
    assert expected in message
    # Which model, and on what it was seen.
    assert f"{path} on 4 images of tiny" in message


def test_more_classes_than_the_data_set_are_taken(tmp_path: Path) -> None:
    path = save_signature(tmp_path / "1", lambda image: {"logits": tf.pad(linear(image), [[0, 0], [0, 2]])})
    assert Classifier(path, TINY, PROBE).num_classes == 5


def test_endpoint_that_is_not_what_is_served(tmp_path: Path) -> None:
    # Attacks would follow, and believe, another model than the one that decides: any accuracy could come out.
    module = tf.Module()
    specification = [tf.TensorSpec((None, 4, 4, 1), tf.float32, name="image")]
    module.logits = tf.function(lambda image: -linear(image), input_signature=specification)
    serving = tf.function(lambda image: {"logits": linear(image)}, input_signature=specification)
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": serving})
    message = refusal(tmp_path / "1")
    assert "Expected the endpoint `logits` to return the logits of the signature" in message


def test_labels_out_of_range(tiny_classifier: Classifier) -> None:
    split = Split(PROBE, np.array([0, 1, 2, 3]), np.arange(4))
    with pytest.raises(ClassifierError, match=r"Expected labels below 3.*Received: label 3 in tiny"):
        evaluate_clean(evaluation_of(Store(":memory:"), tiny_classifier, TINY, split))


def test_nan_beyond_the_probe_is_found_on_the_whole_split(tmp_path: Path) -> None:
    dark = lambda image: tf.reduce_max(image, axis=(1, 2, 3))[:, None] < 0.01  # noqa: E731
    path = save_signature(tmp_path / "1", lambda image: {"logits": tf.where(dark(image), np.nan, linear(image))})
    classifier = Classifier(path, TINY, PROBE)
    split = Split(np.concatenate([PROBE, np.zeros_like(PROBE[:1])]), np.zeros(5, np.int64), np.arange(10, 15))
    with Store(":memory:") as store:
        with pytest.raises(ClassifierError, match=r"NaN or infinity for 1 images, the first of them sample 14\."):
            CLEAN.run(evaluation_of(store, classifier, TINY, split))
        assert len(store.clean(classifier.digest, TINY.name)[0]) == 0
        # Or a report would take the model for one that was evaluated.
        assert store.check(classifier.digest, TINY.name, "endpoints") is None


def test_unknown_endpoint(tiny_classifier: Classifier) -> None:
    with pytest.raises(ClassifierError, match=r"has no endpoint 'attack_logits'\. It has: logits\."):
        tiny_classifier.endpoint("attack_logits")


def test_endpoints(tmp_path: Path) -> None:
    path = save_classifier(tmp_path / "1", linear, TINY.image_shape, attack_logits=lambda image: 2 * linear(image))
    assert Classifier(path, TINY, PROBE).endpoints == ("logits", "attack_logits")


def gradient(function: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray) -> np.ndarray:
    """The gradient of the first logit in the images."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = function(images)[:, 0]
    return tape.gradient(value, images).numpy()


def test_endpoint_and_signature_have_the_same_gradient(tmp_path: Path, tiny_path: Path) -> None:
    named = Classifier(tiny_path, TINY, PROBE)
    function = named.endpoint("logits")
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables, python_endpoints=False)
    bare = Classifier(path, TINY, PROBE)
    found = gradient(bare.endpoint("logits"), PROBE)
    assert np.abs(found).max() > 0.1
    np.testing.assert_allclose(found, gradient(function, PROBE), rtol=1e-5, atol=1e-6)


def test_keras_export_can_be_attacked(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)]
    keras.Sequential(layers).export(tmp_path / "1", verbose=False)
    classifier = Classifier(tmp_path / "1", TINY, PROBE)
    assert classifier.endpoints == ("logits",)
    batch = correct_batch(classifier, tiny_split(classifier.serving_logits), 8)
    images = BasicIterativeMethod(norm="linf", epsilon=0.3).run(classifier, "logits", batch)
    assert np.all(classifier.predict(images) != batch.labels)


def test_model_of_unknown_output_shape_can_be_attacked(tmp_path: Path) -> None:
    # The number of classes is then known from the outputs alone.
    unknown = lambda image: tf.reshape(linear(image), tf.stack([tf.shape(image)[0], -1]))  # noqa: E731
    classifier = Classifier(save_signature(tmp_path / "1", lambda image: {"logits": unknown(image)}), TINY, PROBE)
    batch = correct_batch(classifier, tiny_split(classifier.serving_logits), 8)
    for attack in (
        BasicIterativeMethod(norm="linf", epsilon=0.3),
        BasicIterativeMethod(norm="linf", epsilon=0.3, loss="margin"),
        CarliniWagnerL2(search_steps=5, steps=100),
        SPSA(epsilon=0.3, rounds=3, steps=30, directions=16, learning_rate=0.05),
    ):
        images = attack.run(classifier, "logits", batch)
        assert np.all(classifier.predict(images) != batch.labels), attack


def test_model_without_a_gradient_survives_and_is_not_an_error(tmp_path: Path) -> None:
    # TensorFlow gives None, not zeros, as the gradient of a comparison; a sceptic's model may well threshold its input.
    path = save_classifier(tmp_path / "1", lambda image: linear(tf.cast(image > 0.5, tf.float32)), TINY.image_shape)
    classifier = Classifier(path, TINY, PROBE)
    batch = correct_batch(classifier, tiny_split(classifier.serving_logits), 8)
    images = BasicIterativeMethod(norm="l2", epsilon=1.0, rounds=2).run(classifier, "logits", batch)
    np.testing.assert_array_equal(images, batch.images)


def test_serving_path_does_not_depend_on_how_images_are_grouped(digits_classifier: Classifier) -> None:
    images, some = load_split("mnist", "test").images[:1003], [0, 999, 1000, 1002]
    logits = digits_classifier.serving_logits(images)
    assert logits.shape == (1003, 10)
    np.testing.assert_allclose(digits_classifier.serving_logits(images[some]), logits[some], rtol=1e-4, atol=1e-4)
    assert digits_classifier.serving_logits(images[:0]).shape == (0, 10)


def test_a_tie_within_rounding_is_no_clear_misclassification(tmp_path: Path) -> None:
    # Class 1 leads class 0 by a millionth of the logits, then by a ten-thousandth; another batch size may turn the first.
    for lead, clear in ((1e-5, False), (-1e-5, False), (1e-3, True), (-1e-3, False)):
        values = [[10.0, 10.0 + lead, -5.0]]
        path = save_signature(tmp_path / f"{lead}", lambda image, v=values: {"logits": tf.constant(v) + 0.0 * linear(image)})
        classifier = Classifier(path, TINY, PROBE)
        assert classifier.misclassifies(PROBE, np.zeros(4, np.int64)).tolist() == [clear] * 4
        assert classifier.misclassifies(PROBE, np.full(4, 2)).tolist() == [True] * 4
    assert classifier.misclassifies(PROBE[:0], np.zeros(0, np.int64)).shape == (0,)


def test_digest_is_the_same_for_a_copy_and_changes_with_every_file(tmp_path: Path) -> None:
    network = dense((np.ones((16, 3)), np.zeros(3)))
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables)
    (path / "assets").mkdir(exist_ok=True)
    (path / "assets" / "vocabulary.txt").write_text("a b c")
    digest = saved_model_digest(path)
    path.rename(tmp_path / "2")
    assert saved_model_digest(tmp_path / "2") == digest
    files = [file for file in (tmp_path / "2").rglob("*") if file.is_file() and file.name != "fingerprint.pb"]
    assert len(files) == 4
    for file in files:
        original = file.read_bytes()
        for position in (0, len(original) // 2, len(original) - 1):
            changed = bytearray(original)
            changed[position] ^= 1
            file.write_bytes(changed)
            assert saved_model_digest(tmp_path / "2") != digest, f"{file} byte {position}"
        file.write_bytes(original)
    (tmp_path / "2" / "assets" / "vocabulary.txt").rename(tmp_path / "2" / "assets" / "words.txt")
    assert saved_model_digest(tmp_path / "2") != digest
