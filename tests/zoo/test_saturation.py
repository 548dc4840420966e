"""Saturation: the penalty against its definition, and the endpoints of networks whose gradients vanish."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from cortexzoo.export import export_model, restore_weights
from cortexzoo.layers import NONLINEARITIES, SaturationPenalty
from cortexzoo.models import MaxPoolingNetwork, MultilayerPerceptron
from tests.zoo.test_layers import gradient

GENERATOR = np.random.default_rng(0)
SHAPE = {"image_shape": (6, 6, 1), "num_classes": 3}
FLOATS = {"width": 32, "allow_subnormal": False}
PRE_ACTIVATIONS = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=4), elements=st.floats(-20, 20, **FLOATS)
)


def distance_to_flat(name: str, values: np.ndarray) -> np.ndarray:
    """psi_c in float64, from the definition: distance to the nearest flat point, else the derivative."""
    if name == "relu":
        return np.where(values > 0, values, 0.0)
    if name == "hard_tanh":
        return np.where(np.abs(values) < 1, np.minimum(1 - values, 1 + values), 0.0)
    return derivative(name, values)


def derivative(name: str, values: np.ndarray) -> np.ndarray:
    """In float64, by formulas that lose no digits: sigma'(z) = 1 / (4 cosh^2(z / 2)), tanh'(z) = 1 / cosh^2(z)."""
    values = values.astype(np.float64)
    return {
        "sigmoid": lambda: 0.25 / np.cosh(values / 2) ** 2,
        "tanh": lambda: 1.0 / np.cosh(values) ** 2,
        "relu": lambda: (values > 0).astype(float),
        "hard_tanh": lambda: (np.abs(values) < 1).astype(float),
    }[name]()


def networks(**options: object) -> list[keras.Model]:
    """One small network of each class and nonlinearity, with weights that are no special case."""
    made = []
    for activation in NONLINEARITIES:
        made.append(MultilayerPerceptron((7, 5), activation, **options, **SHAPE))
        made.append(MaxPoolingNetwork((2, 3), 3, (5,), activation, **options, **SHAPE))
    for model in made:
        model.build()
        model.set_weights([GENERATOR.normal(scale=0.5, size=weight.shape) for weight in model.weights])
    return made


def name_of(model: keras.Model) -> str:
    return f"{type(model).__name__} {model.activation}"


NETWORKS = networks()


def images(count: int = 4) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).random((count, 6, 6, 1), np.float32))


@pytest.mark.parametrize("activation", NONLINEARITIES)
@settings(max_examples=25, deadline=None)
@given(values=PRE_ACTIVATIONS, weight=st.sampled_from([0.0, 0.3, 7.0]))
def test_penalty_is_its_definition(activation: str, values: np.ndarray, weight: float) -> None:
    """weight * mean over the batch of sum over units, and the input comes back as it is."""
    layer = SaturationPenalty(activation, weight)
    np.testing.assert_array_equal(layer(values, training=True), values)
    expected = weight * distance_to_flat(activation, values.astype(np.float64)).reshape(len(values), -1).sum(axis=1).mean()
    # The sigmoid's 1 - sigma(z) is off by one part in 10 million, absolutely.
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-4, abs=1e-4 * weight)


@pytest.mark.parametrize("activation", NONLINEARITIES)
def test_nothing_is_added_at_inference(activation: str) -> None:
    layer, values = SaturationPenalty(activation, 2.0), GENERATOR.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(layer(values), values)
    assert layer.losses == []


def test_penalties_of_several_calls_add_up() -> None:
    """One layer on all pre-activations of a network, as the models use it; never on the logits."""
    model = MultilayerPerceptron((7, 5), "sigmoid", saturation_penalty=3.0, **SHAPE)
    model.build()
    model(images(), training=True)
    received = float(sum(model.losses))
    features = model.features(images())
    expected = 3.0 * sum(
        distance_to_flat("sigmoid", np.asarray(features[f"pre_activation_{i}"])).sum(axis=1).mean() for i in range(2)
    )
    assert received == pytest.approx(expected, rel=1e-5)


def test_weight_changes_without_a_new_trace() -> None:
    model = MultilayerPerceptron((7,), saturation_penalty=0.0, **SHAPE)
    model.build()
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    labels = np.array([0, 1, 2, 0])
    plain = model.evaluate(images(), labels, verbose=0)
    traces, call, losses = [], model.call, []
    model.call = lambda *arguments, **options: traces.append(1) or call(*arguments, **options)
    for weight in (0.0, 1.0, 2.0):
        model.penalty.weight.assign(weight)
        model.reset_metrics()
        losses.append((float(model.train_on_batch(images(), labels)), len(traces)))
    (without, first), (once, second), (twice, third) = losses
    assert first == second == third > 0
    assert without == pytest.approx(plain, rel=1e-5)
    assert twice - without == pytest.approx(2 * (once - without), rel=1e-4)
    assert once > without


@pytest.mark.parametrize("activation", ["linear", "softmax"])
def test_unknown_activation(activation: str) -> None:
    with pytest.raises(ValueError, match=f"must be one of sigmoid, tanh, relu, hard_tanh. Received: .*'{activation}'"):
        SaturationPenalty(activation)


def test_negative_weight() -> None:
    with pytest.raises(ValueError, match="Received: weight=-1"):
        SaturationPenalty("relu", -1.0)


def test_penalty_survives_its_config() -> None:
    layer = SaturationPenalty("tanh", 0.25)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.activation, float(copy.weight)) == ("tanh", 0.25)
    assert copy.get_config() == layer.get_config()


def test_penalty_of_an_exported_network_is_its_last_weight(tmp_path) -> None:
    """Weights come back, the annealed one among them, and inference is that of a network without penalty."""
    model = MultilayerPerceptron((7, 5), saturation_penalty=1.0, **SHAPE)
    model.build()
    model.penalty.weight.assign(0.5)
    assert model.weights[-1] is model.penalty.weight
    path = export_model(model, tmp_path / "model" / "1")
    copy = MultilayerPerceptron.from_config(model.get_config())
    copy.build()
    restore_weights(copy, path)
    assert float(copy.penalty.weight) == 0.5
    plain = MultilayerPerceptron((7, 5), **SHAPE)
    plain.build()
    plain.set_weights(model.get_weights()[:-1])
    expected = ops.convert_to_numpy(plain(images()))
    np.testing.assert_array_equal(copy(images()), expected)
    saved = tf.saved_model.load(path)
    np.testing.assert_allclose(saved.logits(images()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NONLINEARITIES)
@given(values=hnp.arrays(np.float32, 20, elements=st.floats(-60, 60, **FLOATS)))
@settings(max_examples=25, deadline=None)
def test_slopes(name: str, values: np.ndarray) -> None:
    """Values stay bit for bit; the slopes are those of the definitions, and never zero where they are not to be."""
    entry = NONLINEARITIES[name]
    expected = ops.convert_to_numpy(entry.function(values))
    np.testing.assert_array_equal(ops.convert_to_numpy(entry.softened(values)), expected)
    softened = derivative(name, values / 10) if entry.stable_slope else np.where(derivative(name, values), 1.0, 0.1)
    np.testing.assert_allclose(gradient(entry.softened, values), softened, rtol=1e-4)
    if entry.stable_slope:
        np.testing.assert_array_equal(ops.convert_to_numpy(entry.stable(values)), expected)
        # sigma'(60) is 1e-26 and tanh'(60) 3e-52, which float32 cannot hold.
        np.testing.assert_allclose(gradient(entry.stable, values.astype(np.float64)), derivative(name, values), rtol=1e-10)


@pytest.mark.parametrize("model", NETWORKS, ids=name_of)
def test_endpoints_agree_with_the_logits(model: keras.Model) -> None:
    endpoints = model.endpoints()
    smooth = {"logits_stable"} if model.activation in ("sigmoid", "tanh") else set()
    assert endpoints.keys() == {"logits", "features", "logits_float64", "logits_softened"} | smooth
    expected = ops.convert_to_numpy(endpoints.pop("logits")(images()))
    np.testing.assert_array_equal(endpoints.pop("features")(images())["logits"], expected)
    for name, function in endpoints.items():
        logits = function(images())
        assert logits.dtype == (tf.float32 if name == "logits_softened" else tf.float64)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("model", NETWORKS, ids=name_of)
def test_float64_gradients_are_those_of_finite_differences(model: keras.Model) -> None:
    """In float64 from end to end, so that small differences are exact enough; the stable derivative is the true one."""
    image, direction = images(1), np.random.default_rng(2).normal(size=(1, 6, 6, 1))
    direction = tf.constant(direction / np.linalg.norm(direction))
    weights = tf.constant([[1.0, -2.0, 0.5]], tf.float64)
    step = 1e-6

    def projected(shift: float) -> tf.Tensor:
        moved = tf.cast(image, tf.float64) + shift * direction
        return tf.reduce_sum(weights * model._propagate(moved, dtype="float64")["logits"])

    expected = float(projected(step) - projected(-step)) / (2 * step)
    for name in ("logits_float64", "logits_stable"):
        if name in model.endpoints():
            function = model.endpoints()[name]
            slope = np.sum(gradient(lambda x, f=function: weights * f(x), image) * direction.numpy())
            assert slope == pytest.approx(expected, rel=1e-4, abs=1e-7), name


def test_a_saturated_network_is_opaque_to_float32_only() -> None:
    """What Brendel and Bethge saw: no gradient in float32, a full one where the derivative is not rounded away."""
    model = MultilayerPerceptron((8, 8), "sigmoid", **SHAPE)
    model.build()
    weights = model.get_weights()
    # Biases so high that sigma(z) is 1 in float32. In float64 it depends on how the machine computes sigma.
    weights[1] += 40.0
    model.set_weights(weights)

    def first_class(endpoint: str) -> np.ndarray:
        return gradient(lambda x: model.endpoints()[endpoint](x)[:, 0], images())

    assert not first_class("logits").any()
    assert np.abs(first_class("logits_stable")).min() > 0
    assert np.abs(first_class("logits_softened")).min() > 0
    # Too small for float32? The loss may be scaled, as the logits are float64.
    weights[1] += 80.0
    model.set_weights(weights)
    assert not first_class("logits_stable").any()
    scaled = gradient(lambda x: 1e60 * model.endpoints()["logits_stable"](x)[:, 0], images())
    assert np.abs(scaled).min() > 0


@pytest.mark.parametrize("model", NETWORKS, ids=name_of)
def test_features_are_the_network(model: keras.Model) -> None:
    features = {name: ops.convert_to_numpy(value) for name, value in model.features(images()).items()}
    hidden = len(model.hidden)
    names = {f"{kind}_{i}" for i in range(hidden) for kind in ("pre_activation", "activation")}
    assert features.keys() == names | {"logits"}
    for i in range(hidden):
        expected = NONLINEARITIES[model.activation].function(features[f"pre_activation_{i}"])
        np.testing.assert_array_equal(features[f"activation_{i}"], expected)
    kernel, bias = (ops.convert_to_numpy(weight) for weight in model.readout.weights)
    np.testing.assert_allclose(
        features["logits"], features[f"activation_{hidden - 1}"] @ kernel + bias, rtol=1e-4, atol=1e-5
    )


def test_shapes_of_the_paper_sized_networks() -> None:
    perceptron, network = MultilayerPerceptron(), MaxPoolingNetwork()
    perceptron.build()
    network.build()
    assert perceptron.count_params() == 784 * 200 + 2 * 200 * 200 + 200 * 10 + 3 * 200 + 10
    dense = 7 * 7 * 32 * 128 + 128 * 10 + 128 + 10
    assert network.count_params() == 25 * 16 + 16 + 25 * 16 * 32 + 32 + dense
