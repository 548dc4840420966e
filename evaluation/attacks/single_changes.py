"""Asks the model about images that differ from a few known ones in a single place each."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.batching import at_most
from cortexzoo.evaluation.attacks.tensors import at_least_float32, wrong_by
from cortexzoo.evaluation.classifier import Classifier

# Images and values of images that are made at once: enough to keep the processor busy, and a bound on memory.
_IMAGES, _VALUES = 512, 2**24


@dataclasses.dataclass(frozen=True)
class Changes:
    """Single changes of known images, each given by one entry of every array.

    Attributes:
        rows: int, (k,). Which of the known images changes.
        places: int, (k,). Where: which of its pixels, or which of its values.
        values: float32, (k, width). The new content of that place.
    """

    rows: np.ndarray
    places: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray | slice) -> "Changes":
        """Returns the changes at these positions."""
        return Changes(self.rows[chosen], self.places[chosen], self.values[chosen])

    def apply(self, states: np.ndarray) -> np.ndarray:
        """Returns the changed images, one for each change; for `states` see `margins_after`."""
        changed = states[self.rows]
        changed[np.arange(len(self)), self.places] = self.values
        return changed


def margins_after(classifier: Classifier, states: np.ndarray, labels: np.ndarray, changes: Changes) -> np.ndarray:
    """Returns the best other logit minus the label's after each change, float32, (k,): positive if the label loses.

    It is infinite where logits are NaN or infinite.

    Args:
        classifier: the model.
        states: float32, (n, places, width). The known images, of which a place is a pixel with its channels or one value.
        labels: int64, (n,).
        changes: k single changes.
    """
    score = classifier.compiled((margins_after, states.shape[1:]), lambda: _build(classifier, *states.shape[1:]))
    size = at_most(classifier, max(1, min(_IMAGES, _VALUES // np.prod(states.shape[1:], dtype=int))))
    states, labels = tf.constant(states), tf.constant(labels)
    parts = (changes.take(slice(first, first + size)) for first in range(0, len(changes), size))
    found = [score(states, labels, part.rows, part.places, part.values).numpy() for part in parts]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def groups(samples: np.ndarray, values: int) -> list[np.ndarray]:
    """Returns the samples in groups for which arrays of so many values a sample fit into memory."""
    size = max(1, _VALUES // values)
    return [samples[first : first + size] for first in range(0, len(samples), size)]


def _build(classifier: Classifier, places: int, width: int) -> Callable:
    logits_of = classifier.endpoint("logits")
    index = tf.TensorSpec((None,), tf.int64)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, places, width), tf.float32),
            index,
            index,
            index,
            tf.TensorSpec((None, width), tf.float32),
        ],
        autograph=False,
    )
    def score(states, labels, rows, chosen, values):
        each = tf.stack([tf.range(tf.size(rows, tf.int64)), chosen], axis=1)
        changed = tf.tensor_scatter_nd_update(tf.gather(states, rows), each, values)
        logits = at_least_float32(logits_of(tf.reshape(changed, (-1, *classifier.image_shape))))
        # As `Classifier.loses_by` counts them.
        usable = tf.reduce_all(tf.math.is_finite(logits), axis=-1)
        return tf.where(usable, tf.cast(wrong_by(logits, tf.gather(labels, rows)), tf.float32), np.inf)

    return score
