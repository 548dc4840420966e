"""Small MNIST networks of which it is known whether and how they hide their gradient: the diagnosis is validated on them."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation.diagnosis.flips import flipped

SEED = 0
IMAGE_SHAPE = (28, 28, 1)
# Enough for 95 %, and for the network that is trained against flips to overfit to them.
TRAINING_IMAGES = 4000
_EPOCHS, _GREEDY_EPOCHS, _BATCH, _RATE = 8, 8, 128, 3e-3
# Pixels that the training attack flips, the usual threshold of L0 on MNIST.
_FLIPS = 12
_NOISE, _DEAD, _FACTOR, _DECIMALS = 0.2, 0.25, 1000.0, 1
Logits = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Network:
    """Two convolutions and two dense layers with ReLU between them.

    Attributes:
        weights: kernels and biases in turn, float32.
    """

    weights: list[tf.Variable]

    def __call__(self, images: tf.Tensor, dtype: tf.DType = tf.float32, normalize: Logits = tf.identity) -> tf.Tensor:
        """Returns logits computed in `dtype`; `normalize` is applied to the output of the first convolution."""
        first, first_bias, second, second_bias, hidden, hidden_bias, last, last_bias = (
            tf.cast(weight, dtype) for weight in self.weights
        )
        values = tf.nn.relu(normalize(tf.nn.conv2d(tf.cast(images, dtype), first, 2, "SAME") + first_bias))
        values = tf.nn.relu(tf.nn.conv2d(values, second, 2, "SAME") + second_bias)
        values = tf.nn.relu(tf.reshape(values, (-1, hidden.shape[0])) @ hidden + hidden_bias)
        return values @ last + last_bias

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the output of the first convolution."""
        return tf.nn.conv2d(images, self.weights[0], 2, "SAME") + self.weights[1]


def train(split: Split, *, against_flips: bool = False, seed: int = SEED) -> Network:
    """Returns a network trained on digits in seconds, on flipped ones in half a minute.

    Against flips, every step trains on images whose 12 pixels of the steepest gradient are flipped at once. That attack
    always makes the same change, and the network learns to lead it astray: "catastrophic overfitting" (Wong, Rice and
    Kolter 2020, https://arxiv.org/abs/2001.03994; sparse: Zhong, Huang and Liu 2025, https://arxiv.org/abs/2502.21041).

    Args:
        split: MNIST; the first `TRAINING_IMAGES` are used.
        against_flips: whether pixels are flipped.
        seed: of the weights and of the order of the images.
    """
    generator = np.random.default_rng(seed)
    network = Network(_initial_weights(generator))
    step = _training_step(network, against_flips)
    images, labels = split.images[:TRAINING_IMAGES], split.labels[:TRAINING_IMAGES]
    for _ in range(_GREEDY_EPOCHS if against_flips else _EPOCHS):
        order = generator.permutation(len(labels))
        for first in range(0, len(order), _BATCH):
            chosen = order[first : first + _BATCH]
            step(tf.constant(images[chosen]), tf.constant(labels[chosen]))
    return network


def _initial_weights(generator: np.random.Generator) -> list[tf.Variable]:
    """Normal with variance 2 / fan-in (He et al. 2015), biases of 0."""
    weights = []
    for shape in ((5, 5, 1, 8), (5, 5, 8, 16), (7 * 7 * 16, 64), (64, 10)):
        values = generator.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
        weights += [tf.Variable(values, dtype=tf.float32), tf.Variable(tf.zeros(shape[-1]))]
    return weights


def _training_step(network: Network, against_flips: bool) -> Callable[[tf.Tensor, tf.Tensor], None]:
    """A step of Adam (Kingma and Ba 2015, algorithm 1)."""
    moments = [(tf.Variable(tf.zeros_like(weight)), tf.Variable(tf.zeros_like(weight))) for weight in network.weights]
    count = tf.Variable(0.0)

    @tf.function(autograph=False, reduce_retracing=True)
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        """Descends the cross-entropy of one batch, which is attacked by flips first if wanted."""
        if against_flips:
            images = tf.stop_gradient(flipped(network, images, labels, _FLIPS))
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(images))
            loss = tf.reduce_mean(losses)
        count.assign_add(1.0)
        rate = _RATE * tf.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)
        for weight, gradient, (mean, square) in zip(
            network.weights, tape.gradient(loss, network.weights), moments, strict=True
        ):
            mean.assign(0.9 * mean + 0.1 * gradient)
            square.assign(0.999 * square + 0.001 * tf.square(gradient))
            weight.assign_sub(rate * mean / (tf.sqrt(square) + 1e-7))

    return step


def _threshold(images: tf.Tensor) -> tf.Tensor:
    return tf.where(images > 0.5, 1.0, 0.0)


def _straight_through(images: tf.Tensor) -> tf.Tensor:
    """The threshold, with the gradient of the identity (Bengio, Leonard and Courville 2013)."""
    return images + tf.stop_gradient(_threshold(images) - images)


def _dead_zone(images: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value((images - _DEAD) / (1.0 - 2.0 * _DEAD), 0.0, 1.0)


def _restored_statistics(network: Network, images: np.ndarray) -> Logits:
    """Batch normalisation that was left in training mode: it gives any batch the statistics of the training images."""
    mean, variance = tf.nn.moments(network.features(tf.constant(images)), axes=(0, 1, 2))
    mean, deviation = tf.constant(mean.numpy()), tf.constant(np.sqrt(variance.numpy()))

    def normalize(values: tf.Tensor) -> tf.Tensor:
        own_mean, own_variance = tf.nn.moments(values, axes=(0, 1, 2))
        return (values - own_mean) / tf.sqrt(own_variance + 1e-3) * deviation + mean

    return normalize


def _undefended(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: network(x)}


def _float64(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: network(x, tf.float64), "logits_float64": lambda x: tf.cast(network(x), tf.float64)}


def _bfloat16(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: network(x, tf.bfloat16)}


def _scaled(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: _FACTOR * network(x)}


def _rounded(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: tf.round(network(x) * 10.0**_DECIMALS) / 10.0**_DECIMALS}


def _binarized(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: network(_threshold(x))}


def _binarized_with_surrogate(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return _binarized(network, images) | {"attack_logits": lambda x: network(_straight_through(x))}


def _noisy(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: network(x + _NOISE * tf.random.normal(tf.shape(x)))}


def _with_batch_statistics(network: Network, images: np.ndarray) -> dict[str, Logits]:
    normalize = _restored_statistics(network, images)
    return {"logits": lambda x: network(x, normalize=normalize)}


def _float16(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: tf.cast(network(x), tf.float16)}


def _with_dead_zone(network: Network, images: np.ndarray) -> dict[str, Logits]:
    return {"logits": lambda x: network(_dead_zone(x))}


@dataclasses.dataclass(frozen=True)
class KnownAnswer:
    """A network, and the cause that the diagnosis has to name.

    Attributes:
        name: of the network.
        title: what was done to it, for people.
        cause: name of the cause in `verdict.CAUSES`; None for a network that hides nothing.
        endpoints: of a trained network and its training images, the functions of the SavedModel by name.
        against_flips: whether the network is trained against flipped pixels.
    """

    name: str
    title: str
    cause: str | None
    endpoints: Callable[[Network, np.ndarray], Mapping[str, Logits]] = _undefended
    against_flips: bool = False


KNOWN_ANSWERS = (
    KnownAnswer("undefended", "nothing was done to it", None),
    KnownAnswer("float64", "computes in float64", None, _float64),
    KnownAnswer("bfloat16", "computes in bfloat16", None, _bfloat16),
    KnownAnswer("scaled_logits", "its logits are multiplied by 1,000", "saturated_loss", _scaled),
    KnownAnswer("rounded_logits", "its logits are rounded to one decimal", "rounded_logits", _rounded),
    KnownAnswer("hard_threshold", "every pixel is made black or white first", "hard_threshold", _binarized),
    KnownAnswer(
        "hard_threshold_with_surrogate",
        "the same, exported with a surrogate gradient",
        "hard_threshold_with_surrogate",
        _binarized_with_surrogate,
    ),
    KnownAnswer("random_noise", "new noise is added to every image", "randomness", _noisy),
    KnownAnswer(
        "batch_statistics",
        "batch normalisation was left in training mode",
        "batch_statistics",
        _with_batch_statistics,
    ),
    KnownAnswer("float16_logits", "its logits are float16", "half_precision", _float16),
    KnownAnswer("dead_zone", "pixels near black and white are made black and white", "dead_zone", _with_dead_zone),
    KnownAnswer("trained_against_flips", "trained against 12 flipped pixels", "sparse_masking", against_flips=True),
)


def save(known: KnownAnswer, network: Network, images: np.ndarray, path: Path) -> Path:
    """Writes a network as a SavedModel and returns its path.

    Args:
        known: what is done to the network.
        network: trained by `train`, with the same `against_flips`.
        images: its training images, float32, (n, 28, 28, 1).
        path: the new folder.
    """
    module, image = tf.Module(), tf.TensorSpec((None, *IMAGE_SHAPE), tf.float32, name="image")
    module.model_weights = network.weights
    endpoints = known.endpoints(network, images)
    for name, function in endpoints.items():
        setattr(module, name, tf.function(function, input_signature=[image], autograph=False))
    serving = tf.function(lambda image: {"logits": endpoints["logits"](image)}, input_signature=[image], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": serving})
    return path
