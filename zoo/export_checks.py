"""What cannot be exported as a classifier of images, with the way out."""

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from cortexzoo.heads import Call, Head, probe_images, record_calls

# Keras sets these itself; a user's model need not take them.
_OPTIONAL_ARGUMENTS = ("training", "mask")


def check_model(model: keras.Model) -> None:
    """Checks what the model takes, as far as it says so itself.

    Raises:
        ValueError: it takes several inputs, or integers.
    """
    if len(names := _input_names(model)) > 1:
        raise ValueError(
            f"Expected a model of one batch of images. Received: {len(names)} inputs: {', '.join(names)}. Export a model "
            "that takes the images and supplies the others itself: keras.Model(images, model([images, ...]))."
        )
    inputs = getattr(model, "inputs", None) or []
    if inputs and not tf.as_dtype(inputs[0].dtype).is_floating:
        raise ValueError(
            f"Expected a model of float images in [0, 1]. Received: an input of dtype {inputs[0].dtype}, to which they "
            "would be rounded, and through which no gradient passes. Build the model on a keras.Input of dtype float32."
        )


def check_outputs(model: keras.Model, image_shape: tuple[int, int, int], head: Head) -> None:
    """Runs the model on a few images and checks what it makes of them.

    Raises:
        ValueError: the images are channels-first; the output is not (batch, classes); it is one constant class, or
            probabilities.
    """
    images = probe_images(image_shape)
    _check_image_shape(image_shape)
    if hasattr(model, "endpoints"):
        return _check_shape(model.endpoints()["logits"](images[:1]))
    outputs, calls = record_calls(model, images)
    _check_layers(calls, image_shape)
    _check_shape(outputs)
    if outputs.shape[1] == 1 and head.kind != "binary":
        raise ValueError(
            "Expected logits of at least two classes. Received: one column, and not that of a dense layer or a sigmoid. "
            "Return the logits [0, z], where z is the logit of the second class."
        )
    if head.kind == "logits" and not head.is_linear:
        _check_not_probabilities(model, images, outputs)


def _input_names(model: keras.Model) -> list[str]:
    if inputs := getattr(model, "inputs", None):
        return [tensor.name for tensor in inputs]
    parameters = inspect.signature(model.call).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind in positional
        and parameter.default is parameter.empty
        and parameter.name not in _OPTIONAL_ARGUMENTS
    ]


def _check_image_shape(shape: tuple[int, int, int]) -> None:
    if shape[0] in (1, 3) and shape[1] == shape[2] > 4:
        raise _channels_first(shape)


def _check_layers(calls: list[Call], image_shape: tuple[int, int, int]) -> None:
    """Only the layers that see the image itself: one behind a `Permute` may work in any order."""
    for call in calls:
        shapes = [tuple(value.shape[1:]) for value in call.inputs[0] if tf.is_tensor(value)]
        if image_shape in shapes and getattr(call.operation, "data_format", None) == "channels_first":
            raise _channels_first(image_shape)


def _channels_first(shape: tuple[int, int, int]) -> ValueError:
    colours = (1, 3, 4)
    given_last = shape[2] in colours and shape[0] not in colours
    height, width, channels = shape if given_last else (*shape[1:], shape[0])
    return ValueError(
        f"Expected images of (height, width, channels). Received: a channels-first model of {tuple(shape)}. Wrap it: "
        f"keras.Sequential([keras.Input(({height}, {width}, {channels})), keras.layers.Permute((3, 1, 2)), model])."
    )


def _check_shape(outputs: Any) -> None:
    if not tf.is_tensor(outputs) or len(outputs.shape) != 2:
        received = (
            f"shape (batch, {', '.join(map(str, outputs.shape[1:]))})" if tf.is_tensor(outputs) else type(outputs).__name__
        )
        raise ValueError(f"Expected a model that returns logits, (batch, classes). Received: {received}.")


def _check_not_probabilities(model: keras.Model, images: tf.Tensor, outputs: tf.Tensor) -> None:
    """Raises where an activation that `find_head` did not see has squashed the outputs."""
    normal = np.asarray(tf.cast(outputs, tf.float64))
    # No image is as bright as this. Only what is squashed to [0, 1] stays there.
    extreme = np.asarray(tf.cast(model(tf.concat([1e3 * images, -1e3 * images], 0), training=False), tf.float64))
    sums = np.concatenate([normal, extreme]).sum(axis=1)
    if (normal < 0).any() or (normal > 1).any():
        return
    if np.allclose(sums, 1.0, atol=1e-2):
        found = "rows in [0, 1] that sum to 1, as after a softmax"
    elif ((extreme >= 0) & (extreme <= 1)).all():
        found = "values that never leave [0, 1], as after a sigmoid"
    else:
        return
    raise ValueError(
        f"Expected a model that returns logits. Received: {found}, and no layer that could be cut. Return the values "
        "before the activation, or apply it by a layer of its own, such as keras.layers.Softmax, as the model's last step."
    )
