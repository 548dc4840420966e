"""The cost of the saturation penalty: a training step with it against the same step without.

  python -m benchmarks.saturation_penalty                          the sigmoid MLP, the ReLU MLP and the ReLU CNN
  python -m benchmarks.saturation_penalty --networks=relu_cnn --rounds=5 --page=README.md

Both networks of a pair have the same size and see the same batch of 128 images. Each round runs some steps of one and then
as many of the other, so that a change in the machine's speed affects both. The table has the median of the rounds' ratios.
"""

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from benchmarks.report import publish
from benchmarks.timing import seconds_in_turn
from cortexzoo.loading import create_model
from cortexzoo.training.recipes import find

_NETWORKS = flags.DEFINE_list("networks", ["sigmoid_mlp", "relu_mlp", "relu_cnn"], "Networks of the MNIST recipes.")
_STEPS = flags.DEFINE_integer("steps", 50, "Steps of each network in a round.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 15, "Rounds; the median counts.", lower_bound=1)
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `saturation penalty` is updated.")


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    header, rows = ["network", "ms / step without", "ms / step with", "ratio", "least and greatest ratio"], []
    for network in _NETWORKS.value:
        programs = [_training_steps(network, penalty) for penalty in (False, True)]
        plain, saturating = seconds_in_turn(programs, _ROUNDS.value, uncounted=1)
        ratios = saturating / plain
        cells = [f"{1e3 * np.median(seconds) / _STEPS.value:.2f}" for seconds in (plain, saturating)]
        rows.append([network, *cells, f"{np.median(ratios):.3f}", f"{ratios.min():.3f}, {ratios.max():.3f}"])
    publish("saturation penalty", header, rows, f"Medians of {_ROUNDS.value} rounds of {_STEPS.value} steps.", _PAGE.value)


def _training_steps(network: str, penalty: bool) -> Callable[[int], object]:
    """Returns a function that runs the steps of one round with `fit`, in one trace."""
    config = find(f"mnist/saturating_{network}").config()
    strength = config.strength if penalty else None
    model = create_model(config.class_name, {"activation": config.activation, "saturation_penalty": strength})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(config.learning_rate), loss, metrics=["accuracy"], jit_compile=False)
    generator = np.random.default_rng(0)
    images = generator.random((config.batch_size, *model.image_shape), np.float32)
    batch = (images, generator.integers(0, model.num_classes, config.batch_size))
    batches = tf.data.Dataset.from_tensors(batch).repeat(_STEPS.value)
    return lambda _: model.fit(batches, shuffle=False, verbose=0)


if __name__ == "__main__":
    app.run(main)
