"""What cannot be exported as a classifier of images, with the way out."""

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cortexzoo.calling import call_model
from cortexzoo.heads import Call, Head, model_batch, probe_images, record_calls

# Keras sets these itself; a user's model need not take them.
_OPTIONAL_ARGUMENTS = ("training", "mask")


def check_model(model: keras.Model, image_shape: tuple[int, int, int] | None = None) -> None:
    """Checks what the model takes, as far as it says so itself.

    Raises:
        ValueError: it takes several inputs, integers, or images of another shape than `image_shape`.
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
    if inputs and image_shape is not None:
        _check_input_shape(tuple(inputs[0].shape[1:]), image_shape)


def _check_input_shape(taken: tuple[int | None, ...], given: tuple[int, int, int]) -> None:
    """Checks what a model takes, without the batch; Keras itself adds and drops a last axis of one."""
    shapes = (given, given[:2]) if given[2] == 1 else (given,)
    if not any(tf.TensorShape(taken).is_compatible_with(shape) for shape in shapes):
        raise ValueError(
            f"Expected images of shape {taken}, as the model takes them. Received: {given}. {shape_remedy(taken, given)}"
        )


def shape_remedy(taken: tuple[int | None, ...], given: tuple[int, int, int]) -> str:
    """Returns what to do where a model takes another shape, (height, width, channels) or flat, than images have."""
    height, width, channels = given
    wrapped = f"keras.Sequential([keras.Input({given}), keras.layers"
    if taken == (height * width * channels,):
        return f"Wrap the model: {wrapped}.Flatten(), model])."
    if taken == (channels, height, width):
        return f"It takes channels first. Wrap it: {wrapped}.Permute((3, 1, 2)), model])."
    remedies = []
    if len(taken) == 3 and not tf.TensorShape(taken[:2]).is_compatible_with((height, width)):
        remedies.append(f"Resize the images: tf.image.resize(images, {taken[:2]}).")
    if len(taken) == 3 and taken[2] not in (None, channels) and channels == 1:
        remedies.append(f"Repeat the one channel: np.repeat(images, {taken[2]}, axis=-1).")
    return " ".join(remedies) or "Pass images of that shape."


def check_outputs(
    model: keras.Model, image_shape: tuple[int, int, int], head: Head, *, takes_probabilities: bool = False
) -> None:
    """Runs the model on a few images and checks what it makes of them.

    Raises:
        ValueError: the images are channels-first; the output is not (batch, classes); it is one constant class, or
            probabilities, unless it may give these.
    """
    images = probe_images(image_shape, model_batch(model))
    _check_image_shape(image_shape)
    if hasattr(model, "endpoints"):
        return _check_shape(model.endpoints()["logits"](images[:1]), image_shape)
    outputs, calls = record_calls(model, images)
    _check_layers(calls, image_shape)
    _check_shape(outputs, image_shape)
    squashed = _squashed(model, images, outputs) if head.kind == "logits" and not head.is_linear else ""
    if squashed and not takes_probabilities:
        raise ValueError(
            f"Expected a model that returns logits. Received: {squashed}, and no layer that could be cut. Return the "
            "values before the activation, or apply it by a layer of its own, such as keras.layers.Softmax, as the model's "
            "last step."
        )
    if outputs.shape[1] == 1 and head.kind != "binary" and not squashed:
        raise ValueError(
            "Expected logits of at least two classes. Received: one column, and not that of a dense layer or a sigmoid. "
            "Return the logits [0, z], where z is the logit of the second class."
        )


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


def _check_shape(outputs: Any, image_shape: tuple[int, int, int]) -> None:
    if not tf.is_tensor(outputs):
        raise ValueError(
            f"Expected a model that returns logits, (batch, classes). Received: {_several(outputs, image_shape)}"
        )
    if len(outputs.shape) != 2:
        raise ValueError(
            "Expected a model that returns logits, (batch, classes). "
            f"Received: shape (batch, {', '.join(map(str, outputs.shape[1:]))}). Add keras.layers.Flatten() or pooling, and "
            "a keras.layers.Dense(classes)."
        )


def _several(outputs: Any, image_shape: tuple[int, int, int]) -> str:
    """What else than a tensor a model returns, and how to take the one that is wanted."""
    if isinstance(outputs, dict) and outputs:
        received, key = f"a dict of {', '.join(map(repr, outputs))}", next(iter(outputs))
    elif isinstance(outputs, (list, tuple)):
        received, key = f"a {type(outputs).__name__} of {len(outputs)}", 0
    else:
        return f"{type(outputs).__name__}."
    return f"{received}. Take one: images = keras.Input({image_shape}); keras.Model(images, model(images)[{key!r}])."


def _squashed(model: keras.Model, images: tf.Tensor, outputs: tf.Tensor) -> str:
    """What an activation that `find_head` did not see has made of the outputs; empty where there is none."""
    normal = np.asarray(tf.cast(outputs, tf.float64))
    # No image is as bright as this. Only what is squashed to [0, 1] stays there.
    extreme = np.concatenate([tf.cast(call_model(model, factor * images), tf.float64) for factor in (1e3, -1e3)])
    sums = np.concatenate([normal, extreme]).sum(axis=1)
    if (normal < 0).any() or (normal > 1).any():
        return ""
    if np.allclose(sums, 1.0, atol=1e-2):
        return "rows in [0, 1] that sum to 1, as after a softmax"
    return "values that never leave [0, 1], as after a sigmoid" if ((extreme >= 0) & (extreme <= 1)).all() else ""
