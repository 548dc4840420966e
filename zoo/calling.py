"""Calls a Keras model for inference, and says in a sentence why that fails."""

import re
from typing import Any

import keras
import tensorflow as tf

# What a user's own code raises on images that it is not for, or in a graph.
_FAILURES = (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError, tf.errors.OpError)
_LONGEST_CAUSE = 300


def call_model(model: keras.Model, images: tf.Tensor) -> Any:
    """Returns what a model makes of images, eagerly or while it is traced.

    Args:
        model: a Keras model of one batch of images, also one whose only input is named in a dict.
        images: float32, (batch, height, width, channels).

    Raises:
        ValueError: it fails on these images, or TensorFlow cannot trace it.
    """
    names = getattr(model, "input", None)
    inputs = dict.fromkeys(names, images) if isinstance(names, dict) else images
    try:
        return model(inputs, training=False)
    except _FAILURES as error:
        raise ValueError(_sentence(str(error) or type(error).__name__, images)) from error


def _sentence(text: str, images: tf.Tensor) -> str:
    if tf.is_symbolic_tensor(images):
        expected = "Expected a model that TensorFlow can trace into a graph."
        remedy = "In `call`, keras.ops takes the place of NumPy, and keras.ops.cond that of Python's `if` on a tensor."
    else:
        expected = f"Expected a model of images of shape (batch, {', '.join(map(str, images.shape[1:]))})."
        remedy = "Pass images of the size that it was built for."
    return f"{expected} Received: {_cause(text)}. {remedy}"


def _cause(text: str) -> str:
    """The first sentence of the cause, which Keras puts in bold between the layer and its arguments."""
    bold = re.search(r"\x1b\[1m(.*?)\x1b\[0m", text, re.DOTALL)
    layer = re.search(r"when calling (\w+)\.call\(\)", text)
    # TensorFlow puts the name of a node in front.
    line = re.sub(r"\{\{.*?\}\}\s*", "", bold[1] if bold else text).strip().splitlines()[0]
    sentence = line.split(". ")[0][:_LONGEST_CAUSE]
    return f"{layer[1] + ': ' if layer else ''}{sentence}".rstrip(".")
