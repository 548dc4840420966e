"""Losses of logits that attacks increase, chosen so that neither confidence nor the scale of the logits puts them out."""

from collections.abc import Callable

import tensorflow as tf

from cortexzoo.evaluation.attacks.tensors import at_least_float32, wrong_by

UNTARGETED = ("cross_entropy", "dlr", "margin")
TARGETED = ("targeted_dlr", "targeted_margin")
# Logits, labels, targets (int64, (n,)) and a factor on the logits, to one value per sample.
_Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def logit_loss(name: str, classes: int) -> _Loss:
    """Returns a function of logits, labels, target classes and a factor on the logits that gives one value per sample, (n,).

    The factor is that of the cross-entropy; no other loss depends on the scale of the logits, but for the margins, which
    are proportional to it. Untargeted losses ignore the targets. The difference of logits ratio needs three sorted logits,
    its targeted form four (Croce and Hein 2020, https://arxiv.org/abs/2003.01690, eq. 5 and 6): with fewer classes it is
    replaced by the margin, which is its numerator.

    Args:
        name: one of `UNTARGETED` and `TARGETED`.
        classes: the number of logits.
    """
    if name == "dlr" and classes < 3:
        name = "margin"
    if name == "targeted_dlr" and classes < 4:
        name = "targeted_margin"
    loss = _LOSSES[name]
    return lambda logits, labels, targets, scale: loss(at_least_float32(logits), labels, targets, scale)


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor, _: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """f = log sum_{j != y} exp(z_j) - z_y, of which the cross-entropy is log(1 + exp(f)).

    Both grow together, and their gradients differ by a factor, the probability of all other classes, which is 0 in float32
    once the softmax is confident. Steps that depend on the direction of the gradient alone are the same with either.
    """
    logits *= tf.cast(scale, logits.dtype)
    true = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
    return tf.reduce_logsumexp(tf.where(true, logits.dtype.min, logits), axis=-1) - _of(logits, labels)


def _margin(logits: tf.Tensor, labels: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return wrong_by(logits, labels)


def _targeted_margin(logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return _of(logits, targets) - _of(logits, labels)


def _dlr(logits: tf.Tensor, labels: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    """The margin divided by the distance from the largest to the third largest logit (eq. 5)."""
    ordered = tf.math.top_k(logits, 3).values
    return _ratio(wrong_by(logits, labels), ordered[:, 0] - ordered[:, 2])


def _targeted_dlr(logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """The targeted margin divided by the distance from the largest to the mean of the third and fourth (eq. 6)."""
    ordered = tf.math.top_k(logits, 4).values
    return _ratio(_targeted_margin(logits, labels, targets, scale), ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2)


def _ratio(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """Rounded logits can all be equal."""
    return numerator / tf.where(denominator > 0.0, denominator, 1.0)


def _of(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    return tf.gather(logits, classes, batch_dims=1)


_LOSSES: dict[str, _Loss] = {
    "cross_entropy": _cross_entropy,
    "dlr": _dlr,
    "margin": _margin,
    "targeted_dlr": _targeted_dlr,
    "targeted_margin": _targeted_margin,
}
