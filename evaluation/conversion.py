"""From images in [0, 1] to what a model wants, and from what it answers to logits."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable

import tensorflow as tf

# How a model answers, and the sign of gradient masking that an answer other than logits is.
LOGITS, PROBABILITIES, SIGMOIDS, ONE_PROBABILITY, ONE_LOGIT = (
    *("logits", "probabilities", "several sigmoids"),
    *("one probability", "one logit"),
)
# The least normal float32: below it a logarithm's gradient is no number.
_LEAST = 1.2e-38
_Function = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What a model's input is, given an image in [0, 1]: (image * scale - mean) / std.

    Attributes:
        scale: 255 for a model of images from 0 to 255.
        mean: subtracted, one number or one a channel, in the units of the scaled image.
        std: divided by, likewise.
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
        """Checks that there is one number of each kind, or one a channel.

        Raises:
            ValueError: there are fewer or more.
        """
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, channels):
                raise ValueError(
                    f"`{name}` must be one number, or one for each of {channels} channels. Received: {name}={values!r}."
                )

    def digest(self, model: str) -> str:
        """Returns the identity of a model with this input in the store: the model's own where nothing is done to images."""
        if self == Preprocessing():
            return model
        return hashlib.sha256(f"{model} {json.dumps(dataclasses.asdict(self))}".encode()).hexdigest()


def to_logits(answer: tf.Tensor, kind: str) -> tf.Tensor:
    """Returns logits, of which the softmax gives the model's probabilities.

    Args:
        answer: what the model gave, float, (n, classes), or (n, 1) of a model of two classes.
        kind: how it answers, one of the constants above.

    Returns:
        Logits, (n, classes), two of a model of two classes. Of "several sigmoids" those before the sigmoid: their order is
        the answers' own.
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
    """Returns the function fed `size` images at a time, the last batch filled up with black ones.

    For a model that takes no other batch. It can be differentiated, in a graph too.
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
