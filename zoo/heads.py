"""Finds the softmax or sigmoid at the end of a Keras classifier, and lets the model run without it.

Attacks and exports need logits. Most classifiers that people have end in a softmax:

>>> with linear_head(model) as kind:            # "softmax"
...     logits = model(images, training=False)
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from cortexzoo.calling import call_model

Kind = Literal["logits", "softmax", "sigmoid", "binary"]
# Layers that end in their `activation` and in nothing else.
_PLAIN_LAYERS = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv2D)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer, or of another operation of a functional model.

    Attributes:
        operation: what was called.
        inputs: its positional and keyword arguments.
        outputs: the tensor that it returned.
    """

    operation: keras.Operation
    inputs: tuple[tuple[Any, ...], dict[str, Any]]
    outputs: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Head:
    """How a classifier ends.

    Attributes:
        kind: "softmax", "sigmoid" (one for each class) or "binary" (one unit, its sigmoid left out or not) where the last
            activation is known; else "logits".
        operation: the layer or operation that applies the last activation, None where it was not found.
        is_linear: whether the outputs are known to be those of a linear layer.
    """

    kind: Kind = "logits"
    operation: keras.Operation | None = None
    is_linear: bool = False

    @contextlib.contextmanager
    def removed(self) -> Iterator[None]:
        """While open, the model returns what its last activation would be applied to."""
        if self.operation is None or self.is_linear:
            yield
        else:
            with _without_activation(self.operation):
                yield


@contextlib.contextmanager
def linear_head(model: keras.Model, image_shape: tuple[int, int, int] | None = None) -> Iterator[Kind]:
    """While open, calling or tracing the model gives the values before its last softmax or sigmoid.

    Call the model itself: `predict` may hold a function that was traced before. Sequential, functional, nested and
    subclassed models will do, as long as the activation is applied by a layer or by an operation of a functional model.

    Args:
        model: a Keras classifier of one batch of images, on the TensorFlow backend.
        image_shape: (height, width, channels). Defaults to the model's own.

    Yields:
        "softmax"; "sigmoid" for one sigmoid a class; "binary" for a single unit with or without a sigmoid, whose value z
        stands for the logits [0, z]; "logits" where no last activation was found, and nothing is cut.
    """
    head = find_head(model, image_shape)
    with head.removed():
        yield head.kind


def find_head(model: keras.Model, image_shape: tuple[int, int, int] | None = None) -> Head:
    """Runs the model on a few images and returns how it ends.

    No list of layer types is behind this. The candidate is the first layer whose output is the model's output. It is the
    head if the softmax or sigmoid of what it returns without its activation is what it returned with it.
    """
    if hasattr(model, "endpoints"):
        return Head()  # A model of the zoo: its logits are logits.
    images = probe_images(image_shape or model_image_shape(model), model_batch(model))
    outputs, calls = record_calls(model, images)
    if not tf.is_tensor(outputs) or len(outputs.shape) != 2:
        return Head()
    last = next((call for call in calls if _same_values(call.outputs, outputs)), None)
    # A layer that is called twice may be a hidden one as well, which has to keep its activation.
    if last is None or sum(call.operation is last.operation for call in calls) > 1:
        return Head()
    head = _head_of(last, classes=outputs.shape[1])
    return head if head.is_linear or _ends_in(head, model, images) else Head()


def record_calls(model: keras.Model, images: tf.Tensor) -> tuple[Any, list[Call]]:
    """Calls a model for inference, and returns its outputs and the calls of layers and operations, inner ones first."""
    calls: list[Call] = []
    original = keras.Operation.__call__

    def recording_call(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        outputs = original(operation, *args, **kwargs)
        if tf.is_tensor(outputs) and not tf.is_symbolic_tensor(outputs):
            calls.append(Call(operation, (args, kwargs), outputs))
        return outputs

    keras.Operation.__call__ = recording_call
    try:
        return call_model(model, images), calls
    finally:
        keras.Operation.__call__ = original


def probe_images(image_shape: tuple[int, int, int], batch: int | None = None) -> tf.Tensor:
    """Returns a black, a white and two noisy images, float32, (4, height, width, channels), in [0, 1].

    Args:
        image_shape: (height, width, channels).
        batch: as many images instead, for a model that takes no other number.
    """
    noise = np.random.default_rng(0).random((2, *image_shape), np.float32)
    images = np.concatenate([np.zeros_like(noise[:1]), np.ones_like(noise[:1]), noise])
    return tf.constant(np.resize(images, (batch or len(images), *image_shape)))


def model_batch(model: keras.Model) -> int | None:
    """Returns the number of images that a model takes, as in `keras.Input(..., batch_size=8)`; None for any number."""
    inputs = getattr(model, "inputs", None)
    return inputs[0].shape[0] if inputs else None


def model_image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Returns (height, width, channels) of the images that a model takes.

    Raises:
        ValueError: the model does not know.
    """
    inputs = getattr(model, "inputs", None)
    shape = getattr(model, "image_shape", None) or (inputs[0].shape[1:] if inputs else ())
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"Expected images of known (height, width, channels). Received: shape {tuple(shape)}. Pass `image_shape`."
        )
    return tuple(shape)


def _head_of(call: Call, classes: int) -> Head:
    values = _without_activation_called(call)
    if values is None or values.shape != call.outputs.shape:
        return Head()
    values, outputs = tf.cast(values, tf.float32), tf.cast(call.outputs, tf.float32)
    tolerance = 1e-4 if call.outputs.dtype.size >= 4 else 2e-2
    if classes > 1 and np.allclose(tf.nn.softmax(values), outputs, rtol=0.0, atol=tolerance):
        return Head("softmax", call.operation)
    if np.allclose(tf.sigmoid(values), outputs, rtol=0.0, atol=tolerance):
        return Head("sigmoid" if classes > 1 else "binary", call.operation)
    if isinstance(call.operation, _PLAIN_LAYERS) and _same_values(values, outputs):
        return Head("logits" if classes > 1 else "binary", call.operation, is_linear=True)
    return Head()


def _ends_in(head: Head, model: keras.Model, images: tf.Tensor) -> bool:
    """Whether without the head's activation the model returns the head's output: nothing after it changes these values."""
    with head.removed():
        outputs, calls = record_calls(model, images)
    return any(call.operation is head.operation and _same_values(call.outputs, outputs) for call in calls)


def _without_activation_called(call: Call) -> tf.Tensor | None:
    """What the layer returns for the same inputs without its activation; None where there is no telling."""
    args, kwargs = call.inputs
    activated = callable(getattr(call.operation, "activation", None))
    if not args or not tf.is_tensor(args[0]) or (getattr(call.operation, "weights", None) and not activated):
        return None
    with _without_activation(call.operation):
        values = call.operation(*args, **kwargs)
    return values if tf.is_tensor(values) else None


@contextlib.contextmanager
def _without_activation(operation: keras.Operation) -> Iterator[None]:
    """A layer with an activation becomes linear; one without weights, such as Softmax, returns what it gets."""
    if callable(getattr(operation, "activation", None)):
        activation, operation.activation = operation.activation, keras.activations.linear
        try:
            yield
        finally:
            operation.activation = activation
    else:
        operation.call = lambda values, *_, **__: values
        try:
            yield
        finally:
            del operation.call


def _same_values(one: tf.Tensor, other: tf.Tensor) -> bool:
    """Whether two tensors hold the same numbers in the same order, whatever their shapes and float types."""
    if tf.size(one) != tf.size(other):
        return False
    return np.array_equal(*(tf.reshape(tf.cast(values, tf.float64), -1) for values in (one, other)), equal_nan=True)
