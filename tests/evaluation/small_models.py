"""Small SavedModels to attack: what is true of them is known in closed form, or they are small enough to be fast."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from cortexzoo import datasets
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import Attack, Batch
from cortexzoo.evaluation.attacks.starting_points import StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances

TINY = DatasetInfo("tiny", "tiny", (4, 4, 1), ("a", "b", "c"), 40, thresholds=datasets.info("mnist").thresholds)
Logits = Callable[[tf.Tensor], tf.Tensor]


def save_classifier(
    path: Path,
    logits: Logits,
    image_shape: tuple[int, int, int],
    variables: Sequence[tf.Variable] = (),
    *,
    attack_logits: Logits | None = None,
    python_endpoints: bool = True,
    **others: Logits,
) -> Path:
    """Writes a SavedModel with the contract's signature and, unless told otherwise, its Python endpoints and others."""
    module = tf.Module()
    module.model_weights = list(variables)
    specification = [tf.TensorSpec((None, *image_shape), tf.float32, name="image")]
    functions = {"logits": logits, "attack_logits": attack_logits, **others} if python_endpoints else {}
    for name, function in functions.items():
        if function is not None:
            setattr(module, name, tf.function(function, input_signature=specification, autograph=False))
    serving = tf.function(lambda image: {"logits": logits(image)}, input_signature=specification, autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": serving})
    return path


@dataclasses.dataclass(frozen=True)
class Dense:
    """Dense layers with tanh between them, one layer for a linear classifier.

    Attributes:
        layers: (weights, bias) of each layer.
    """

    layers: tuple[tuple[tf.Variable, tf.Variable], ...]

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Returns logits."""
        values = tf.reshape(images, (-1, self.layers[0][0].shape[0]))
        for i, (weights, bias) in enumerate(self.layers):
            values = (tf.tanh(values) if i else values) @ weights + bias
        return values

    @property
    def variables(self) -> list[tf.Variable]:
        """All weights and biases."""
        return [variable for layer in self.layers for variable in layer]


def dense(*layers: tuple[np.ndarray, np.ndarray]) -> Dense:
    """Returns a classifier of these weights and biases."""
    return Dense(tuple((tf.Variable(w, dtype=tf.float32), tf.Variable(b, dtype=tf.float32)) for w, b in layers))


def random_network(rng: np.random.Generator, pixels: int, hidden: int, classes: int, scale: float = 4.0) -> Dense:
    """Returns a network of one hidden layer whose classes are about equally frequent on images around 0.5."""
    first = scale * rng.standard_normal((pixels, hidden)) / np.sqrt(pixels)
    second = scale * rng.standard_normal((hidden, classes)) / np.sqrt(hidden)
    return dense((first, -0.5 * first.sum(axis=0)), (second, np.zeros(classes)))


def tiny_split(logits: Callable[[np.ndarray], np.ndarray], count: int = TINY.official_test_size, seed: int = 0) -> Split:
    """Returns tiny random images with the labels that the classifier gives them: all are correctly classified."""
    images = np.random.default_rng(seed).uniform(0.2, 0.8, (count, *TINY.image_shape)).astype(np.float32)
    labels = np.argmax(np.asarray(logits(images)), axis=-1).astype(np.int64)
    return Split(images, labels, np.arange(count))


def correct_batch(classifier: Classifier, split: Split, count: int, seed: int = 0) -> Batch:
    """Returns the first correctly classified images of a split, as attacks get them."""
    chosen = np.flatnonzero(classifier.predict(split.images) == split.labels)[:count]
    images, labels = split.images[chosen], split.labels[chosen]
    batch = Batch(images, labels, split.ids[chosen], seed)
    return dataclasses.replace(batch, starts=StartingPoints(classifier, split).of(batch))


def reached(attack: Attack, classifier: Classifier, batch: Batch, endpoint: str = "logits") -> np.ndarray:
    """Returns the distances as the runner records them."""
    images = attack.run(classifier, endpoint, batch)
    wrong = classifier.predict(images) != batch.labels
    return np.where(wrong, distances(batch.images, images, attack.norm), np.inf)
