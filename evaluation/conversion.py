"""Converts images in [0, 1] to a model's input, and its output to logits."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable

import tensorflow as tf

# The kinds of output. All but logits are a sign of gradient masking.
LOGITS, PROBABILITIES, SIGMOIDS, ONE_PROBABILITY, ONE_LOGIT = (
    *("logits", "probabilities", "several sigmoids"),
    *("one probability", "one logit"),
)
# The smallest normal float32: below it the gradient of the logarithm is not finite.
_LEAST = 1.2e-38
_Function = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The model's input for an image in [0, 1]: (image * scale - mean) / std.

    Attributes:
        scale: 255 for a model that takes images from 0 to 255.
        mean: one number, or one per channel, in the units of the scaled image.
        std: likewise.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < float("inf"):
            raise ValueError(f"`scale` must be positive, 255 for images from 0 to 255. Received: scale={self.scale!r}.")
        if not all(math.isfinite(value) for value in self.mean):
            raise ValueError(f"`mean` must be finite. Received: mean={self.mean!r}.")
        if any(not 0.0 < value < float("inf") for value in self.std):
            raise ValueError(f"`std` must be positive. Received: std={self.std!r}.")

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the model's input."""
        if self.scale != 1.0:
            images = images * self.scale
        if self.mean:
            images = images - tf.constant(self.mean, images.dtype)
        return images / tf.constant(self.std, images.dtype) if self.std else images

    def check(self, channels: int) -> None:
        """Checks that `mean` and `std` have one number each, or one per channel.

        Raises:
            ValueError: one of them has another number of values.
        """
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, channels):
                raise ValueError(
                    f"`{name}` must be one number, or one for each of {channels} channels. Received: {name}={values!r}."
                )

    def digest(self, model: str) -> str:
        """Returns the identity in the store of a model with this preprocessing; without any, the model's own."""
        if self == Preprocessing():
            return model
        return hashlib.sha256(f"{model} {json.dumps(dataclasses.asdict(self))}".encode()).hexdigest()


def to_logits(answer: tf.Tensor, kind: str) -> tf.Tensor:
    """Returns logits whose softmax gives the model's probabilities.

    Args:
        answer: the model's output, float, (n, classes), or (n, 1) for two classes.
        kind: the kind of output, one of the constants above.

    Returns:
        Logits, (n, classes). For "several sigmoids" the values before the sigmoid, which have the same order.
    """
    if answer.dtype in (tf.float16, tf.bfloat16):
        answer = tf.cast(answer, tf.float32)
    if kind == ONE_LOGIT:
        return tf.concat([tf.zeros_like(answer), answer], axis=-1)
    if kind == PROBABILITIES:
        return _log(answer)
    if kind == ONE_PROBABILITY:
        return tf.concat([_log(1.0 - answer), _log(answer)], axis=-1)
    return _log(answer) - _log(1.0 - answer) if kind == SIGMOIDS else answer


def _log(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(probabilities, _LEAST))


def in_batches(function: _Function, size: int) -> _Function:
    """Returns a function that feeds `function` exactly `size` images at a time, padding the last batch with black ones.

    For models with a fixed batch size. It is differentiable, also in a graph.
    """

    def fed(images: tf.Tensor) -> tf.Tensor:
        count = tf.shape(images)[0]
        batches = (count + size - 1) // size
        padding = [[0, batches * size - count], *[[0, 0]] * (len(images.shape) - 1)]
        parts = tf.reshape(tf.pad(images, padding), (batches, size, *images.shape[1:]))
        answers = tf.map_fn(function, parts, fn_output_signature=_answer_of(function, parts))
        return tf.reshape(answers, (batches * size, *answers.shape[2:]))[:count]

    return fed


def _answer_of(function: _Function, parts: tf.Tensor) -> tf.TensorSpec:
    traced = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(parts.shape[1:], parts.dtype))
    output = traced.outputs[0]
    return tf.TensorSpec(output.shape, output.dtype)
