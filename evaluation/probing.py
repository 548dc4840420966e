"""Checks of a model on a few images: which batch sizes it takes, what kind of output it has, and whether it is constant."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.conversion import LOGITS, ONE_LOGIT, ONE_PROBABILITY, PROBABILITIES, SIGMOIDS

# Often enough to find a model whose output changes only every few calls.
_REPEATS = 12
_FEW = 4
# Tolerance for float32 rounding between batches, relative to the largest output.
_ROUNDING = 1e-3
# Of a random model's mean answer, within which it is not told right from wrong.
_DEVIATIONS = 4.0
# A softmax in half precision makes logits equal that differ by this.
_HALF = {tf.float16.as_numpy_dtype: 2.0**-8, tf.bfloat16.as_numpy_dtype: 2.0**-5}
RANDOM, BATCH = "Answers differ when asked again", "Answers depend on the other images of the batch"
_Function = Callable[[tf.Tensor], tf.Tensor]


class ClassifierError(ValueError):
    """A SavedModel that cannot be attacked as it is; the message says what to change."""


def batch_size(function: _Function, declared: int | None, probe: np.ndarray, name: str) -> int | None:
    """Returns how many images at once a model takes; None if it takes any number.

    Args:
        function: the model.
        declared: the batch size that its signature declares; None if that is free.
        probe: images.
        name: the model's name, for errors.

    Raises:
        ClassifierError: the model does not even take one image.
    """
    if declared is not None:
        return declared
    # Larger than any probe, so that a limit shows here and not during the evaluation.
    sizes = [max(64, len(probe)), 32, 16, 8, 4, 2, 1]
    for size in sizes:
        images = np.resize(probe, (size, *probe.shape[1:]))
        try:
            function(tf.constant(images))
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, ValueError) as error:
            failure = error
        else:
            return None if size == sizes[0] else size
    shape = probe.shape[1:]
    raise ClassifierError(f"Expected a model that answers for one image of shape {shape}, {name}. Received: {failure}")


def examine(function: _Function, classes: int, probe: np.ndarray, name: str) -> tuple[str, dict[str, str]]:
    """Returns the kind of output, one of those in `conversion`, and reasons to distrust it, as sentences by name.

    Args:
        function: the model, which takes the probe as one batch.
        classes: the data set's number of classes.
        probe: images.
        name: the model's name, for errors.

    Raises:
        ClassifierError: the output is not one row of float numbers per image.
    """
    answer = function(tf.constant(probe))
    where = f"of {name}"
    if not answer.dtype.is_floating:
        raise ClassifierError(
            f"Expected float logits {where}. Received: {answer.dtype.name}. Labels and rounded numbers have no gradient: "
            "export the values before them, as output 'logits'."
        )
    values = answer.numpy().astype(np.float64)
    if values.ndim != 2 or len(values) != len(probe):
        raise ClassifierError(f"Expected logits of shape (batch, classes) {where}. Received: shape {values.shape}.")
    kind = _kind(values, classes, function, probe)
    return kind, {**_kind_sign(kind), **_inconstancy(function, probe, values)}


def precision(function: _Function, probe: np.ndarray) -> float:
    """Returns the share of an answer by which a half-precision model rounds it, and 0 for any other.

    A model computes in half precision where its answers have no more digits, whatever type they come in. Noise is among
    the images: on plain ones the logits of any model may have few digits by chance.
    """
    noise = np.random.default_rng(0).random(probe.shape, np.float32)
    answer = function(tf.constant(np.concatenate([probe, noise]))).numpy().astype(np.float64)
    if np.array_equal(answer, np.round(answer)):
        return 0.0
    # Large logits are infinite in half precision, hence not equal.
    with np.errstate(over="ignore"):
        return next(
            (found for kind, found in _HALF.items() if np.array_equal(answer, answer.astype(kind).astype(float))), 0.0
        )


def noise(function: _Function, probe: np.ndarray, repeats: int) -> float:
    """Returns a bound on the error of the mean of several answers: four standard deviations of the gap of two logits.

    Args:
        function: the model, from images to logits.
        probe: images.
        repeats: the number of answers.
    """
    answers = np.stack([function(tf.constant(probe)).numpy().astype(np.float64) for _ in range(repeats)])
    deviation = float(np.sqrt(np.mean(np.var(answers, axis=0, ddof=1))))
    return _DEVIATIONS * deviation * (2 / repeats) ** 0.5


def _kind(values: np.ndarray, classes: int, function: _Function, probe: np.ndarray) -> str:
    """The kind of output, judged on the probe, its negative, and black, gray and white images."""
    plain = [np.full(probe.shape[1:], level, np.float32) for level in (0.0, 0.5, 1.0)]
    others = function(tf.constant(np.concatenate([1.0 - probe, np.stack(plain)]))).numpy().astype(np.float64)
    found = np.concatenate([values, others])
    shares = bool(np.all((found >= 0.0) & (found <= 1.0)))
    if found.shape[1] == 1 and classes <= 2:
        return ONE_PROBABILITY if shares else ONE_LOGIT
    if shares and np.allclose(found.sum(axis=1), 1.0, atol=1e-2):
        return PROBABILITIES
    return SIGMOIDS if shares else LOGITS


def _kind_sign(kind: str) -> dict[str, str]:
    hint = "a sigmoid or softmax that rounds to 0 or 1 hides the gradient. Export the logits"
    return {} if kind in (LOGITS, ONE_LOGIT) else {"Probabilities instead of logits": f"the model gives {kind}: {hint}"}


def _inconstancy(function: _Function, probe: np.ndarray, values: np.ndarray) -> dict[str, str]:
    """Signs found by repeating the same images, alone and together with others."""
    few = tf.constant(probe[:_FEW])
    answers = [function(few).numpy().astype(np.float64) for _ in range(_REPEATS)]
    if changed := sum(_differ(answer, answers[0]) for answer in answers):
        return {RANDOM: f"{changed} of {_REPEATS - 1} repetitions gave other logits: the model is random or has a state"}
    apart = np.concatenate([function(tf.constant(probe[i : i + 1])).numpy() for i in range(min(_FEW, len(probe)))])
    if _differ(answers[0], values[:_FEW]) or _differ(apart.astype(np.float64), answers[0]):
        return {BATCH: "an image alone and the same image in a batch get different logits, as with batch statistics"}
    return {}


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    finite = np.abs(other[np.isfinite(other)])
    return not np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING * np.max(finite, initial=0.0), equal_nan=True)
