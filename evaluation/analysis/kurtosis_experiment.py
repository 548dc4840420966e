"""How kurtotic weights protect a linear classifier.

  cortexzoo analyze kurtosis_experiment --samples=10000

Trains its own classifiers on MNIST in about a minute, so it takes no model. It
also tests the effect of an L1 penalty without saturation.

A perturbation of at most epsilon in each pixel changes w'x by up to epsilon
||w||_1. For a given ||w||_2 that is smaller if the weights are more kurtotic
(Nayebi and Ganguli 2017). Their procedure is not fully known; this one is ours,
softmax regression on MNIST:

- powers: the weights of one classifier, replaced by sign(w) |w|^a and rescaled
  to the original L2 norm of each class;
- largest: only its largest weights, rescaled in the same way. In both, the
  classes keep their mean logits;
- L1: classifiers trained with an L1 penalty of increasing strength;
- L1, hidden layer: as a control, networks with one layer of sigmoid units
  trained in the same way: kurtosis without saturation.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from scipy import special, stats

from cortexzoo import datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis.histograms import excess_kurtosis
from cortexzoo.evaluation.analysis.tools.output import new_figure, write_table
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.figures import save_figure

EPSILONS = (0.02, 0.05, 0.1)
_DRAWN_EPSILON = 0.05
_DATASET = "mnist"
_EXPONENTS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
_SHARES = (0.5, 0.25, 0.12, 0.06)
_PENALTIES = (0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3)
_HIDDEN_PENALTIES = (0.0, 1e-5, 1e-4, 3e-4)
_HIDDEN_UNITS = 100
_TRAINING_IMAGES, _EPOCHS, _BATCH, _LEARNING_RATE = 20_000, 10, 128, 2e-3


@dataclasses.dataclass(frozen=True)
class Classifier:
    """One classifier of the experiment.

    Attributes:
        family: how it was made.
        setting: the exponent, share or penalty.
        weights: (pixels, units): the weights applied to the image.
        logits: function from images to logits.
    """

    family: str
    setting: float
    weights: np.ndarray
    logits: Callable[[tf.Tensor], tf.Tensor]


def analyse(samples: int, directory: Path, seed: int = 0) -> list[Path]:
    """Trains the classifiers, which takes about a minute, and writes kurtosis-experiment.png and kurtosis-experiment.csv.

    Args:
        samples: number of first test images, for the accuracies.
        directory: where the files go; created if missing.
        seed: seed of the trainings.

    Returns:
        The files.
    """
    from rich.progress import track

    train = datasets.load(_DATASET, "train").first(_TRAINING_IMAGES)
    test = datasets.load(_DATASET, "test").first(samples)
    rows = []
    for classifier in track(classifiers(train, seed), "classifiers"):
        accuracies = worst_case_accuracies(classifier.logits, test.images, test.labels, (0.0, *EPSILONS))
        kurtosis, shift = excess_kurtosis(classifier.weights), relative_shift(classifier.weights)
        rows.append((classifier.family, classifier.setting, kurtosis, shift, *accuracies))
    header = ("family", "setting", "excess_kurtosis", "relative_shift", "accuracy", *(f"accuracy_{e:g}" for e in EPSILONS))
    return [
        save_figure(_draw(rows, len(test)), directory / "kurtosis-experiment.png"),
        write_table(directory / "kurtosis-experiment.csv", header, rows),
    ]


def classifiers(train: Split, seed: int = 0) -> list[Classifier]:
    """Trains and transforms all classifiers."""
    trained = [_trained("L1", penalty, train, 0, seed) for penalty in _PENALTIES]
    nets = [_trained("L1, hidden layer", penalty, train, _HIDDEN_UNITS, seed) for penalty in _HIDDEN_PENALTIES]
    plain = trained[0]
    bias = plain.logits(np.zeros((1, *train.images.shape[1:]), np.float32)).numpy()[0]
    mean = train.images.reshape(len(train), -1).mean(axis=0)
    found = []
    for family, settings, transform in (("powers", _EXPONENTS, power), ("largest", _SHARES, largest)):
        for setting in settings:
            weights = transform(plain.weights, setting)
            found.append(_linear(family, setting, weights, bias + mean @ (plain.weights - weights)))
    return [*found, *trained, *nets]


def power(weights: np.ndarray, exponent: float) -> np.ndarray:
    """Returns sign(w) |w|^exponent, rescaled so that the L2 norm of each column is unchanged."""
    return _with_norms_of(weights, np.sign(weights) * np.abs(weights) ** exponent)


def largest(weights: np.ndarray, share: float) -> np.ndarray:
    """Sets all but a share of the largest weights in each column to 0, and rescales to keep the column's L2 norm."""
    least = np.quantile(np.abs(weights), 1 - share, axis=0)
    return _with_norms_of(weights, np.where(np.abs(weights) >= least, weights, 0.0))


def relative_shift(weights: np.ndarray) -> float:
    """Returns the mean over columns of ||w||_1 / (sqrt(n) ||w||_2), in (0, 1].

    This is the shift by an L-infinity perturbation relative to the largest possible one for n weights of this L2 norm: 1 if
    all weights are equally large, sqrt(2 / pi) for Gaussian weights.
    """
    norms = np.abs(weights).sum(axis=0) / np.linalg.norm(weights, axis=0)
    return float(norms.mean() / np.sqrt(len(weights)))


def worst_case_accuracies(
    logits_of: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray, labels: np.ndarray, epsilons: Sequence[float]
) -> list[float]:
    """Returns the worst-case accuracy over single signed gradient steps towards each class, clipped to [0, 1].

    The step follows the margin between the class and the label, which does not saturate. For a linear classifier no
    L-infinity perturbation is stronger; for others the accuracy is an upper bound.

    Args:
        logits_of: function from float32 images to logits.
        images: float32, (n, height, width, channels), in [0, 1].
        labels: (n,).
        epsilons: the largest change of a pixel.

    Returns:
        One accuracy per epsilon.
    """
    clean, rows = tf.constant(images), np.arange(len(labels))

    @tf.function(autograph=False, reduce_retracing=True)
    def direction_to(wanted: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(clean)
            logits = logits_of(clean)
            margin = tf.gather(logits, wanted, axis=1) - tf.gather(logits, labels, batch_dims=1)
        return tf.sign(tape.gradient(margin, clean))

    right = np.ones((len(epsilons), len(labels)), bool)
    for k in range(logits_of(clean[:1]).shape[1]):
        direction = direction_to(tf.constant(k))
        for i, epsilon in enumerate(epsilons):
            reached = logits_of(tf.clip_by_value(clean + epsilon * direction, 0.0, 1.0)).numpy()
            right[i] &= (reached[:, k] < reached[rows, labels]) | (labels == k)
    return [float(share) for share in right.mean(axis=1)]


def generalized_normal(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns excess kurtosis and E|w| / sqrt(E w^2) of generalized normal distributions.

    Args:
        shape: their exponents, positive; 2 is Gaussian, 1 Laplace.
    """
    kurtosis = np.array([stats.gennorm.stats(beta, moments="k") for beta in shape], float)
    shift = special.gamma(2 / shape) / np.sqrt(special.gamma(1 / shape) * special.gamma(3 / shape))
    return kurtosis, shift


def _with_norms_of(weights: np.ndarray, changed: np.ndarray) -> np.ndarray:
    return changed * np.linalg.norm(weights, axis=0) / np.linalg.norm(changed, axis=0)


def _linear(family: str, setting: float, weights: np.ndarray, bias: np.ndarray) -> Classifier:
    matrix, offset = tf.constant(weights, tf.float32), tf.constant(bias, tf.float32)
    return Classifier(family, setting, weights, lambda images: tf.reshape(images, (-1, matrix.shape[0])) @ matrix + offset)


def _trained(family: str, penalty: float, train: Split, hidden_units: int, seed: int) -> Classifier:
    """Trains a softmax regression, or a network with one layer of sigmoid units, with an L1 penalty on all weights."""
    import keras

    keras.utils.set_random_seed(seed)
    regularizer, dense = keras.regularizers.L1(penalty), keras.layers.Dense
    layers: list[keras.Layer] = [keras.layers.Flatten()]
    if hidden_units:
        layers.append(dense(hidden_units, activation="sigmoid", kernel_regularizer=regularizer))
    layers.append(dense(datasets.info(_DATASET).num_classes, kernel_regularizer=regularizer))
    model = keras.Sequential([keras.Input(train.images.shape[1:]), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(_LEARNING_RATE), loss)
    model.fit(train.images, train.labels, batch_size=_BATCH, epochs=_EPOCHS, verbose=0)
    weights = keras.ops.convert_to_numpy(layers[1].kernel).astype(np.float64)
    return Classifier(family, penalty, weights, lambda images: model(images, training=False))


def _draw(rows: list[tuple], samples: int) -> Figure:
    figure = new_figure(11.0, 3.8)
    panels = figure.subplots(1, 3)
    kurtosis, shift = generalized_normal(np.geomspace(0.3, 8.0, 50))
    panels[0].plot(kurtosis, shift, color="0.5", linewidth=1.2, label="generalized normal")
    place = 5 + EPSILONS.index(_DRAWN_EPSILON)
    for family, colour, marker in zip(dict.fromkeys(row[0] for row in rows), COLOURS, "os^D", strict=False):
        own = sorted((row for row in rows if row[0] == family), key=lambda row: row[2])
        for panel, column in zip(panels, (3, 4, place), strict=True):
            values = [row[column] * (1 if panel is panels[0] else 100) for row in own]
            panel.plot([row[2] for row in own], values, marker, linestyle="-", color=colour, markersize=4, label=family)
    titles = (
        "relative shift, ||w||₁ / (√n ||w||₂)",
        "clean accuracy (%)",
        f"accuracy (%) after one step per class, ε = {_DRAWN_EPSILON:g}",
    )
    for panel, title in zip(panels, titles, strict=True):
        panel.set_xscale("symlog", linthresh=1.0)
        panel.set_xlabel("excess kurtosis of the weights on the image", fontsize=8)
        panel.set_title(title, fontsize=9)
        panel.tick_params(labelsize=7)
    panels[0].legend(fontsize=7)
    title = f"Kurtotic weights and L∞ perturbations: linear classifiers and a control, {samples:,} test images"
    figure.suptitle(title, fontsize=10)
    return figure
