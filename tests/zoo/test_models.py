"""The model families: their equations written out in NumPy, their shapes, their configs."""

import inspect
import itertools
import json

import keras
import numpy as np
import pytest
from keras import ops

from cortexzoo.loading import create_model
from cortexzoo.models import MODELS, ConvolutionalNetwork, DenoisedInternalModels, ImageClassifier
from tests.conftest import load_split

GENERATOR = np.random.default_rng(0)
# The four rows of the paper's ablation: its name, denoiser, shared encoder.
ABLATIONS = [("DIM", True, False), ("IM", False, False), ("singleIM", False, True), ("Dn-singleIM", True, True)]
SMALL = {"denoiser_widths": (12, 6), "internal_widths": (8, 5), "image_shape": (4, 4, 1), "num_classes": 3}


def small_model(denoiser: bool = True, shared_encoder: bool = False, **changes) -> DenoisedInternalModels:
    """A small instance with random weights and biases; Keras' zero biases would hide a forgotten one."""
    options = {**SMALL, "denoiser_widths": SMALL["denoiser_widths"] if denoiser else None, **changes}
    model = DenoisedInternalModels(shared_encoder=shared_encoder, **options)
    model.build()
    model.set_weights([GENERATOR.normal(scale=0.5, size=weight.shape) for weight in model.weights])
    return model


def random_images(count: int, shape: tuple[int, ...] = (4, 4, 1)) -> np.ndarray:
    return GENERATOR.random((count, *shape), np.float32)


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0.0)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-values))


def binary(values: np.ndarray) -> np.ndarray:
    return (values >= 0.5).astype(np.float64)


def reference(model: DenoisedInternalModels, images: np.ndarray, binarize: bool = False) -> dict[str, np.ndarray]:
    """The equations of Liu et al. (2021), class by class, in float64."""
    threshold = binary if binarize else (lambda values: values)
    denoised = threshold(images.reshape(len(images), -1).astype(np.float64))
    if model.denoiser is not None:
        *hidden, last = model.denoiser.layers
        for layer in hidden:
            denoised = relu(denoised @ ops.convert_to_numpy(layer.kernel) + ops.convert_to_numpy(layer.bias))
        denoised = sigmoid(denoised @ ops.convert_to_numpy(last.kernel) + ops.convert_to_numpy(last.bias))
        denoised = threshold(denoised)
    latents, reconstructions, ratios = [], [], []
    for i in range(model.num_classes):
        values = denoised
        for layer in model.encoder:
            kernel, bias = (ops.convert_to_numpy(weight) for weight in (layer.kernel, layer.bias))
            values = values @ (kernel if model.shared_encoder else kernel[i])
            values = values + (bias if model.shared_encoder else bias[i, 0])
            values = values if layer is model.encoder[-1] else relu(values)
        latents.append(values)
        for layer in model.decoder:
            values = values @ ops.convert_to_numpy(layer.kernel)[i] + ops.convert_to_numpy(layer.bias)[i, 0]
            values = sigmoid(values) if layer is model.decoder[-1] else relu(values)
        reconstructions.append(values)
        ratios.append(np.abs(values).sum(axis=1) / np.abs(denoised).sum(axis=1))
    return {
        "logits": model.logit_scale * np.stack(ratios, axis=1),
        "denoised": denoised,
        "latents": latents[0] if model.shared_encoder else np.stack(latents, axis=1),
        "reconstructions": np.stack(reconstructions, axis=1),
    }


@pytest.mark.parametrize("binarize", [False, True], ids=["gray", "binary"])
@pytest.mark.parametrize(("denoiser", "shared_encoder"), [row[1:] for row in ABLATIONS], ids=[row[0] for row in ABLATIONS])
def test_equations(denoiser: bool, shared_encoder: bool, binarize: bool) -> None:
    model = small_model(denoiser, shared_encoder, binarize=binarize, logit_scale=7.0)
    images = random_images(6)
    expected = reference(model, images, binarize)
    received = {name: ops.convert_to_numpy(value) for name, value in model.features(images).items()}
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(received[name], value, rtol=2e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(ops.convert_to_numpy(model(images)), expected["logits"], rtol=2e-4)


@pytest.mark.parametrize(("name", "denoiser", "shared_encoder"), ABLATIONS)
def test_ablation_table(name: str, denoiser: bool, shared_encoder: bool) -> None:
    """The parameters of the paper-sized networks, counted by hand."""
    widths = None if not denoiser else (512, 256, 64)
    model = DenoisedInternalModels(denoiser_widths=widths, shared_encoder=shared_encoder)
    model.build()

    def dense(*sizes: int) -> int:
        return sum(inputs * outputs + outputs for inputs, outputs in itertools.pairwise(sizes))

    encoder, decoder = dense(784, 128, 32, 10), dense(10, 32, 128, 784)
    internal = (1 if shared_encoder else 10) * encoder + 10 * decoder
    assert model.count_params() == internal + (dense(784, 512, 256, 64, 256, 512, 784) if denoiser else 0)


def test_binarized_model_is_the_same_weights_behind_thresholds() -> None:
    """biDIM: D(x) and the internal models are DIM's, on x >= 0.5 and D(x) >= 0.5."""
    plain = small_model(logit_scale=3.0)
    binarized = DenoisedInternalModels.from_config({**plain.get_config(), "binarize": True})
    binarized.build()
    assert [weight.shape for weight in binarized.weights] == [weight.shape for weight in plain.weights]
    binarized.set_weights(plain.get_weights())
    images = random_images(6)
    denoised = binary(ops.convert_to_numpy(plain.denoise(binary(images).astype(np.float32)))).astype(np.float32)
    expected = plain.logit_scale * plain.ratios(denoised, plain.reconstruct(denoised))
    np.testing.assert_array_equal(ops.convert_to_numpy(binarized(images)), ops.convert_to_numpy(expected))


def test_attack_logits_of_a_binarized_model_use_the_soft_threshold() -> None:
    model = small_model(binarize=True)
    model.binarize.steepness = 1e4
    images = random_images(6)
    # A step as steep as this is the threshold itself, so that the surrogate meets the model.
    surrogate = ops.convert_to_numpy(model.endpoints()["attack_logits"](images))
    np.testing.assert_allclose(surrogate, ops.convert_to_numpy(model(images)), rtol=1e-4)
    model.binarize.steepness = 1.0
    surrogate = ops.convert_to_numpy(model.endpoints()["attack_logits"](images))
    assert np.abs(surrogate - ops.convert_to_numpy(model(images))).max() > 1e-3


def test_endpoints_of_models_without_thresholds() -> None:
    assert set(small_model().endpoints()) == {"logits", "features"}
    assert set(small_model(binarize=True).endpoints()) == {"logits", "features", "attack_logits"}


def test_binarized_network_is_the_network_of_binary_images() -> None:
    plain, binarized = ConvolutionalNetwork(), ConvolutionalNetwork(binarize=True)
    plain.build()
    binarized.build()
    binarized.set_weights(plain.get_weights())
    images = random_images(3, (28, 28, 1))
    expected = ops.convert_to_numpy(plain(binary(images).astype(np.float32)))
    np.testing.assert_array_equal(ops.convert_to_numpy(binarized(images)), expected)


def test_network_shapes() -> None:
    """The maps of Schott et al. on 28 x 28 pixels: the last one is a single pixel."""
    model = ConvolutionalNetwork()
    model.build()
    features = {name: tuple(value.shape) for name, value in model.features(random_images(2, (28, 28, 1))).items()}
    assert features == {
        "block_0": (2, 24, 24, 20),
        "block_1": (2, 11, 11, 70),
        "block_2": (2, 5, 5, 256),
        "logits": (2, 10),
    }
    kernels = 25 * 1 * 20 + 16 * 20 * 70 + 9 * 70 * 256 + 25 * 256 * 10
    assert model.count_params() == kernels + (20 + 70 + 256 + 10) + 4 * (20 + 70 + 256)


def test_network_refuses_lists_of_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"one more than `maps`. Received: maps=\(20,\), kernels=\(5,\)"):
        ConvolutionalNetwork(maps=(20,), kernels=(5,), strides=(1, 1))


def test_black_and_white_images_have_finite_logits() -> None:
    """The ratio divides by the energy of the image, which is zero for a black one where there is no denoiser."""
    images = np.stack([np.zeros((4, 4, 1), np.float32), np.ones((4, 4, 1), np.float32)])
    for _, denoiser, shared_encoder in ABLATIONS:
        for binarize in (False, True):
            model = small_model(denoiser, shared_encoder, binarize=binarize)
            for name, function in model.endpoints().items():
                values = function(images)
                values = values["logits"] if name == "features" else values
                assert np.isfinite(ops.convert_to_numpy(values)).all()


@pytest.mark.parametrize("class_name", ["ConvolutionalNetwork", "DenoisedInternalModels"])
def test_colour_images(class_name: str) -> None:
    shape = (32, 32, 3)
    model = create_model(class_name, {"image_shape": shape, "num_classes": 7})
    images = random_images(2, shape)
    logits = model(images)
    assert tuple(logits.shape) == (2, 7)
    assert np.isfinite(ops.convert_to_numpy(logits)).all()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False)
    before = model.get_weights()
    model.train_on_batch(images, np.array([1, 2]))
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "model",
    [
        ConvolutionalNetwork(maps=(4,), kernels=(3, 3), strides=(1, 2), binarize=True, image_shape=(8, 8, 2), num_classes=4),
        DenoisedInternalModels(
            denoiser_noise=0.4, internal_noise=0.1, logit_scale=2.5, binarize=True, shared_encoder=True, **SMALL
        ),
        DenoisedInternalModels(denoiser_widths=None),
    ],
    ids=["network", "dim", "im"],
)
def test_config_is_json_and_rebuilds_the_model(model: ImageClassifier) -> None:
    config = json.loads(json.dumps(model.get_config()))
    assert config == model.get_config()
    copy = create_model(type(model).__name__, config)
    assert copy.get_config() == config
    model.build()
    copy.set_weights(model.get_weights())
    images = random_images(2, model.image_shape)
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(images)), ops.convert_to_numpy(model(images)))


def test_hyperparameters_are_all_constructor_arguments() -> None:
    """A constructor argument that the config forgets would come back as its default."""
    for class_ in MODELS.values():
        arguments = set(inspect.signature(class_).parameters) - {"kwargs"}
        assert arguments == set(class_().get_config()) - {"name"}


def test_training_noise_changes_the_output_and_inference_does_not() -> None:
    model, images = small_model(), random_images(4)
    first, second = (ops.convert_to_numpy(model(images, training=True)) for _ in range(2))
    assert (first != second).any(axis=1).all()
    np.testing.assert_array_equal(ops.convert_to_numpy(model(images)), ops.convert_to_numpy(model(images)))


def test_fit_on_the_logits_learns() -> None:
    """A few steps of plain Keras, as a user fine-tunes: the loss falls."""
    digits = load_split("mnist", "test").first(256)
    keras.utils.set_random_seed(0)
    model = DenoisedInternalModels(denoiser_widths=(64, 32), internal_widths=(32, 8))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    history = model.fit(digits.images, digits.labels, batch_size=32, epochs=8, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]


def test_unknown_class() -> None:
    with pytest.raises(ValueError, match=r"Expected a class of cortexzoo.models: AnalysisBySynthesis, .*Received: 'Resnet'"):
        create_model("Resnet", {})


def test_base_class_names_what_a_subclass_must_implement() -> None:
    class Bare(ImageClassifier):
        pass

    with pytest.raises(NotImplementedError, match="Bare must implement `hyperparameters`"):
        Bare((4, 4, 1), 3).get_config()
