"""What every model of the zoo must hold: each catalogued one, and an untrained instance of each class."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
from cortexzoo import models
from cortexzoo.card import ModelCard
from cortexzoo.catalog import model_directory
from cortexzoo.loading import create_model
from tests.conftest import load_split

CATALOGUED = {card.id: card for card in cz.list_models()}
# So that the checks themselves are tested where the catalogue is empty: every class as it is, and the unusual configs.
UNTRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"untrained {name}": (name, {}) for name in models.MODELS},
    "untrained biCNN": ("ConvolutionalNetwork", {"binarize": True}),
    "untrained biDIM": ("DenoisedInternalModels", {"binarize": True}),
    "untrained singleIM": ("DenoisedInternalModels", {"denoiser_widths": None, "shared_encoder": True}),
    "untrained saturating MLP": ("MultilayerPerceptron", {"activation": "tanh", "saturation_penalty": 0.5}),
    # The published width has 11 million weights.
    "untrained ResidualNetwork": ("ResidualNetwork", {"width": 2}),
    "untrained blurred ResidualNetwork": ("ResidualNetwork", {"width": 2, "blur": 1.0}),
    "untrained CNN for CIFAR": ("ConvolutionalNetwork", {"image_shape": [32, 32, 3], "num_classes": 7}),
}
# Other seeds of a network differ in weights alone: they are checked by hand.
_PARAMETERS = [pytest.param(name, marks=pytest.mark.slow) if "-seed" in name else name for name in [*CATALOGUED, *UNTRAINED]]
OUTPUTS = {"logits": tf.float32, "probabilities": tf.float32, "label": tf.int64}
RANDOM_ENDPOINTS = {"logits_stochastic"}


@dataclasses.dataclass(frozen=True, repr=False)
class Artefact:
    """A model in its two forms, with images for it."""

    model: keras.Model
    path: Path
    saved: Any
    card: ModelCard | None
    images: tf.Tensor

    @property
    def endpoints(self) -> dict[str, Callable]:
        """The SavedModel's Python endpoints, by name."""
        return {name: getattr(self.saved, name) for name in self.model.endpoints()}

    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """What TF Serving would answer."""
        return self.saved.signatures["serving_default"](image=images)


@pytest.fixture(scope="module", params=_PARAMETERS)
def artefact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    card = CATALOGUED.get(request.param)
    if card:
        model, path = cz.load_model(card.id), model_directory(card.id) / str(card.version)
    else:
        keras.utils.set_random_seed(0)
        model = create_model(*UNTRAINED[request.param])
        path = cz.export_model(model, tmp_path_factory.mktemp("untrained") / "model" / "1")
    if card:
        images = load_split(card.dataset, "test").images[:8]
    else:
        images = np.random.default_rng(0).random((8, *model.image_shape), np.float32)
    return Artefact(model, path, tf.saved_model.load(path), card, tf.convert_to_tensor(images))


def input_gradient(function: Callable, images: tf.Tensor) -> np.ndarray:
    """The gradient of a random projection of the outputs: no symmetry between classes cancels it."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = function(images)
        weights = np.random.default_rng(1).normal(size=outputs.shape)
        total = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    gradient = tape.gradient(total, images)
    assert gradient is not None, "no gradient reaches the image"
    return gradient.numpy()


def assert_close(received: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Close relative to the largest value: float32 sums of another order differ in the last digits."""
    received, expected = np.asarray(received), np.asarray(expected)
    np.testing.assert_allclose(received, expected, rtol=tolerance, atol=tolerance * max(1e-6, np.abs(expected).max()))


def test_signature(artefact: Artefact) -> None:
    signature = artefact.saved.signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    assert set(inputs) == {"image"}
    assert inputs["image"].dtype == tf.float32
    assert inputs["image"].shape.as_list() == [None, *artefact.model.image_shape]
    assert {name: output.dtype for name, output in signature.structured_outputs.items()} == OUTPUTS


def test_outputs_agree_with_each_other(artefact: Artefact) -> None:
    served = artefact.serve(artefact.images)
    assert served["logits"].shape == (len(artefact.images), artefact.model.num_classes)
    assert np.isfinite(served["logits"]).all()
    assert_close(served["probabilities"], tf.nn.softmax(served["logits"]))
    np.testing.assert_array_equal(served["label"], np.argmax(served["logits"], axis=1))


def test_export_parity(artefact: Artefact) -> None:
    expected = artefact.model(artefact.images, training=False)
    assert_close(artefact.serve(artefact.images)["logits"], expected)
    assert_close(artefact.saved.logits(artefact.images), expected)


def test_endpoint_parity(artefact: Artefact) -> None:
    for name, function in artefact.model.endpoints().items():
        if name in RANDOM_ENDPOINTS:
            continue
        tf.nest.map_structure(assert_close, artefact.endpoints[name](artefact.images), function(artefact.images))


def test_input_gradient_parity(artefact: Artefact) -> None:
    for name, function in artefact.model.endpoints().items():
        if name == "features" or name in RANDOM_ENDPOINTS:
            continue
        expected = input_gradient(function, artefact.images)
        assert_close(input_gradient(artefact.endpoints[name], artefact.images), expected, tolerance=1e-4)


def test_every_endpoint_is_differentiable(artefact: Artefact) -> None:
    functions = {name: function for name, function in artefact.endpoints.items() if name != "features"}
    if "features" in artefact.endpoints:
        for name in artefact.saved.features(artefact.images):
            functions[f"features[{name}]"] = lambda images, name=name: artefact.saved.features(images)[name]
    assert "logits" in functions
    for name, function in functions.items():
        gradient = input_gradient(function, artefact.images)
        assert np.isfinite(gradient).all(), name
        assert gradient.any(), f"the gradient of {name} is zero everywhere"


def test_inference_is_deterministic(artefact: Artefact) -> None:
    for name in set(artefact.endpoints) - RANDOM_ENDPOINTS - {"features"}:
        first, second = (artefact.endpoints[name](artefact.images).numpy() for _ in range(2))
        np.testing.assert_array_equal(first, second)
    first, second = (artefact.serve(artefact.images)["logits"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_of_any_size(artefact: Artefact, batch: int) -> None:
    whole, part = artefact.serve(artefact.images), artefact.serve(artefact.images[:batch])
    for name in OUTPUTS:
        assert_close(part[name], whole[name][:batch])


def test_keras_file_round_trip(artefact: Artefact, tmp_path: Path) -> None:
    artefact.model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert type(copy) is type(artefact.model)
    assert copy.get_config() == artefact.model.get_config()
    for received, expected in zip(copy.get_weights(), artefact.model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)
    np.testing.assert_array_equal(copy(artefact.images), artefact.model(artefact.images))


def test_weights_are_stored_once(artefact: Artefact) -> None:
    reader = tf.train.load_checkpoint(str(artefact.path / "variables" / "variables"))
    sizes = {name: int(np.prod(shape)) for name, shape in reader.get_variable_to_shape_map().items()}
    weights = sum(size for name, size in sizes.items() if name.startswith("model_weights/"))
    assert weights == artefact.model.count_params()
    # Beside them: the object graph, and perhaps random-seed states.
    data = artefact.path / "variables" / "variables.data-00000-of-00001"
    assert 4 * weights <= data.stat().st_size <= 4 * weights + 50_000


def test_artefact_holds_no_python(artefact: Artefact) -> None:
    """No pickles and no code: what TF Serving reads is all there is."""
    files = {path.relative_to(artefact.path).as_posix() for path in artefact.path.rglob("*") if path.is_file()}
    assert files == {
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
        "assets.extra/tf_serving_warmup_requests",
    }


@pytest.mark.parametrize("model_id", CATALOGUED)
def test_card_tells_the_truth(model_id: str) -> None:
    card, model = cz.verify(model_id), cz.load_model(model_id)
    assert card.parameters == model.count_params()
    assert card.class_name == type(model).__name__
    assert card.config == model.get_config()
    assert model_id == card.id == f"{card.dataset}/{model_id.split('/')[1]}"
    on_disk = {
        path.relative_to(model_directory(model_id)).as_posix()
        for path in model_directory(model_id).rglob("*")
        if path.is_file()
    }
    assert on_disk == {*card.files, "card.json", "README.md"}


@pytest.mark.parametrize("model_id", [model_id for model_id, card in CATALOGUED.items() if card.clean])
def test_clean_accuracy_on_the_card(model_id: str) -> None:
    """Counted again on the whole test split with the served signature."""
    card, test = CATALOGUED[model_id], load_split(CATALOGUED[model_id].dataset, "test")
    if card.clean["samples"] != len(test):
        pytest.skip(f"counted on {card.clean['samples']:,} test images, and here there are {len(test):,}")
    serve = tf.saved_model.load(model_directory(model_id) / str(card.version)).signatures["serving_default"]
    labels = [serve(image=tf.convert_to_tensor(test.images[i : i + 500]))["label"] for i in range(0, len(test), 500)]
    correct = int((np.concatenate(labels) == test.labels).sum())
    assert card.clean["accuracy"] == pytest.approx(card.clean["correct"] / card.clean["samples"])
    # Another processor may round two logits that are nearly equal the other way.
    assert abs(correct - card.clean["correct"]) <= 2
