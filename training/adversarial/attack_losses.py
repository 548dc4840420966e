"""Losses that an attack increases: functions of logits, labels and the logits of the clean images, one value per sample."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# Logits, int labels and clean logits, to (batch,).
AttackLoss = Callable[[Any, Any, Any], Any]


def cross_entropy(logits: Any, labels: Any, clean_logits: Any) -> Any:
    """-log softmax(z)_y."""
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def margin(logits: Any, labels: Any, clean_logits: Any) -> Any:
    """max_{j != y} z_j - z_y, whose gradient does not vanish where the network is sure (Carlini and Wagner 2017)."""
    true = ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    others = ops.max(logits - 1e9 * true, axis=-1)
    return others - ops.sum(true * logits, axis=-1)


def kl_divergence(logits: Any, labels: Any, clean_logits: Any) -> Any:
    """KL(p || q) of the prediction p on the clean image and q on the attacked one, which needs no label.

    TRADES attacks and trains with it (Zhang et al. 2019, https://arxiv.org/abs/1901.08573, eq. 5).
    """
    clean = ops.log_softmax(clean_logits)
    return ops.sum(ops.exp(clean) * (clean - ops.log_softmax(logits)), axis=-1)


ATTACK_LOSSES: dict[str, AttackLoss] = {"cross_entropy": cross_entropy, "margin": margin, "kl": kl_divergence}


def find_loss(loss: str | AttackLoss) -> AttackLoss:
    """Returns a loss by name; a function is one already.

    Raises:
        ValueError: there is no such loss.
    """
    if callable(loss):
        return loss
    if loss not in ATTACK_LOSSES:
        raise ValueError(f"`loss` must be a function or one of {', '.join(ATTACK_LOSSES)}. Received: {loss!r}")
    return ATTACK_LOSSES[loss]
