"""The cost of an adversarial training step in clean steps, compared with 1 + k for k steps of the attack.

  python -m benchmarks.adversarial_training                                 Madry's network, k = 1, 3, 7, 20 in L-infinity
  python -m benchmarks.adversarial_training --steps=7 --norm=l1 --norm=l0   other norms

A step of the attack is a forward and a backward pass, as is a step of the training: k of them cannot cost less than k clean
steps, but for the gradient of the weights, which only the training needs. All trainings alternate step by step, so that a
change in the machine's speed affects all of them. The table has the median ratio to the clean step of the same round.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable

import keras
import numpy as np
from absl import app, flags, logging

from benchmarks.report import publish
from benchmarks.timing import seconds_in_turn
from cortexzoo import datasets
from cortexzoo.models import MaxPoolingNetwork
from cortexzoo.norms import NORMS
from cortexzoo.training.adversarial import AdversarialTrainer, ProjectedGradient
from cortexzoo.training.batches import EpochBatches

_STEPS = flags.DEFINE_multi_integer("steps", [1, 3, 7, 20], "Steps of the attack.", lower_bound=1)
_NORM = flags.DEFINE_multi_enum("norm", ["linf"], NORMS, "Norm of the attack.")
_BATCH = flags.DEFINE_integer("batch", 128, "Images in a batch.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 15, "Timed steps of each training, after three uncounted ones.", lower_bound=1)
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `adversarial training` is updated.")


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    train = datasets.load("mnist", "train")
    batches = EpochBatches(train.images, train.labels, _BATCH.value, seed=0)
    attacks = [(norm, steps) for norm in _NORM.value for steps in _STEPS.value]
    takers = [_step_taker(batches, None), *(_step_taker(batches, attack) for attack in attacks)]
    seconds = seconds_in_turn(takers, _ROUNDS.value, uncounted=3)
    rows = [["none", "0", f"{1e3 * np.median(seconds[0]):.0f}", "1.00", "1", ""]]
    for (norm, steps), own in zip(attacks, seconds[1:], strict=True):
        ratio, limit = float(np.median(own / seconds[0])), 1 + steps
        row = [norm, str(steps), f"{1e3 * np.median(own):.0f}", f"{ratio:.2f}", str(limit)]
        rows.append([*row, f"{100 * (ratio / limit - 1.0):+.1f} %"])
    header = ["norm", "steps", "ms / training step", "in clean steps", "1 + steps", "beyond it"]
    caption = (
        f"Madry's network on MNIST, batch {_BATCH.value}: medians of {_ROUNDS.value} alternating steps; the ratio is the "
        "median of the per-round ratios."
    )
    publish("adversarial training", header, rows, caption, _PAGE.value)


def _step_taker(batches: EpochBatches, attack: tuple[str, int] | None) -> Callable[[int], object]:
    """Returns a function that takes one training step, on clean images or with an attack, (norm, steps)."""
    classifier = MaxPoolingNetwork(maps=(32, 64), hidden_units=(1024,))
    classifier.build()
    model = classifier
    if attack is not None:
        norm, steps = attack
        model = AdversarialTrainer(classifier, ProjectedGradient(norm, {"l0": 12, "l1": 8}.get(norm, 0.3), steps))
        model(batches[0][0][:1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"], jit_compile=False)
    return lambda turn: model.train_on_batch(*batches[turn % len(batches)])


if __name__ == "__main__":
    app.run(main)
