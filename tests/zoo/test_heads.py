"""The last activation of a classifier: found by what it does, cut while the model is traced, and back afterwards."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from cortexzoo.heads import linear_head

IMAGES = np.random.default_rng(0).random((5, 6, 6, 1), np.float32)


def sequential(*head: keras.layers.Layer) -> keras.Sequential:
    return keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), *head])


def functional(head: Callable) -> keras.Model:
    inputs = keras.Input((6, 6, 1))
    return keras.Model(inputs, head(layers.Flatten()(inputs)))


class Subclassed(keras.Model):
    """Dense units, then whatever `end` does to them."""

    def __init__(self, units: int, end: Callable, activation: str | None = None) -> None:
        super().__init__()
        self.image_shape = (6, 6, 1)
        self.dense, self.end = layers.Dense(units, activation), end

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.end(self.dense(ops.reshape(images, (-1, 36))))


class ScaledDense(layers.Dense):
    """Divides its outputs by their sum: no softmax, though they sum to 1."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        values = ops.abs(super().call(inputs))
        return values / ops.sum(values, axis=-1, keepdims=True)


def twice(units: int) -> Callable:
    """One activation layer in two places: its hidden half has to stay."""
    shared = layers.Activation("sigmoid")
    return lambda values: shared(layers.Dense(units)(shared(layers.Dense(4)(values))))


def convolutional(values: keras.KerasTensor) -> keras.KerasTensor:
    maps = layers.Conv2D(3, 6, activation="softmax")(layers.Reshape((6, 6, 1))(values))
    return layers.Dropout(0.5)(layers.Flatten()(maps))


MODELS = {
    "dense softmax": ("softmax", lambda: sequential(layers.Dense(3, "softmax"))),
    "tf.nn.softmax": ("softmax", lambda: sequential(layers.Dense(3, tf.nn.softmax))),
    "Softmax layer": ("softmax", lambda: sequential(layers.Dense(3), layers.Rescaling(9.0), layers.Softmax())),
    "Activation layer": ("softmax", lambda: sequential(layers.Dense(3), layers.Activation("softmax"))),
    "softmax in float32": ("softmax", lambda: sequential(layers.Dense(3, dtype="mixed_bfloat16"), layers.Softmax())),
    "dropout after it": ("softmax", lambda: sequential(layers.Dense(3, "softmax"), layers.Dropout(0.5))),
    "convolution": ("softmax", lambda: functional(convolutional)),
    "nested": ("softmax", lambda: sequential(sequential_head())),
    "operation": ("softmax", lambda: functional(lambda values: ops.softmax(layers.Dense(3)(values)))),
    "half precision": ("softmax", lambda: sequential(layers.Dense(3, "softmax", dtype="float16"))),
    "subclassed": ("softmax", lambda: Subclassed(3, layers.Softmax())),
    "subclassed, dense": ("softmax", lambda: Subclassed(3, lambda values: values, "softmax")),
    "sigmoids": ("sigmoid", lambda: sequential(layers.Dense(3, "sigmoid"))),
    "one sigmoid": ("binary", lambda: sequential(layers.Dense(1, "sigmoid"))),
    "one linear unit": ("binary", lambda: sequential(layers.Dense(1))),
    "logits": ("logits", lambda: sequential(layers.Dense(3))),
    "logits, not negative": ("logits", lambda: sequential(layers.Dense(3, "relu"))),
    "hidden softmax": ("logits", lambda: sequential(layers.Dense(3, "softmax"), layers.Dense(3))),
    "not a softmax": ("logits", lambda: sequential(ScaledDense(3))),
    "clipped softmax": (
        "logits",
        lambda: functional(lambda values: ops.clip(layers.Dense(3, "softmax")(values), 1e-7, 1.0)),
    ),
    "one layer twice": ("logits", lambda: functional(twice(3))),
    "unknown to Keras": ("logits", lambda: Subclassed(3, tf.nn.softmax)),
}
INVERSES = {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid, "logits": tf.identity}


def sequential_head() -> keras.Sequential:
    return keras.Sequential([layers.Dense(4, "relu"), keras.Sequential([layers.Dense(3), layers.Softmax()])])


@pytest.mark.parametrize("name", MODELS)
def test_kind_and_values(name: str) -> None:
    keras.utils.set_random_seed(0)
    kind, make = MODELS[name]
    model = make()
    before = tf.cast(model(IMAGES), tf.float32)
    with linear_head(model) as found:
        assert found == kind
        values = tf.cast(tf.function(lambda images: model(images, training=False))(tf.constant(IMAGES)), tf.float32)
    if kind == "binary":
        linear = model.layers[-1].activation is keras.activations.linear
        values = values if linear else tf.sigmoid(values)
    else:
        values = INVERSES[kind](values)
    np.testing.assert_allclose(values, before, atol=2e-3 if "half" in name else 1e-6)
    np.testing.assert_array_equal(tf.cast(model(IMAGES), tf.float32), before)


def test_activation_is_back_after_an_error() -> None:
    model = sequential(layers.Dense(3), layers.Softmax())
    before = model(IMAGES)
    with pytest.raises(KeyboardInterrupt), linear_head(model):
        raise KeyboardInterrupt
    np.testing.assert_array_equal(model(IMAGES), before)


def test_random_model() -> None:
    """What is random before the head does not hide it."""

    class Noisy(layers.Layer):
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return inputs + keras.random.normal(ops.shape(inputs))

    with linear_head(sequential(Noisy(), layers.Dense(3, "softmax"))) as kind:
        assert kind == "softmax"


def test_shape_of_the_images_can_be_given() -> None:
    model = keras.Sequential([layers.Flatten(), layers.Dense(3, "softmax")])
    with pytest.raises(ValueError, match="Pass `image_shape`"), linear_head(model):
        pass
    with linear_head(model, image_shape=(6, 6, 1)) as kind:
        assert kind == "softmax"
