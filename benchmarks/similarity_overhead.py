"""The cost of the similarity regulariser: duration of a training step with and without it, compared with 1 + 2k / batch.

  python -m benchmarks.similarity_overhead                           width 16, k = 4, 8, 16, 32 and 64 images of MNIST
  python -m benchmarks.similarity_overhead --pairs=16 --width=64 --steps=10

With k pairs in addition to the batch, the network sees 2k more images per step; any further cost is our overhead. The timed
steps include making batches, pairs and target similarities. All trainings alternate step by step, so that a change in the
machine's speed affects all of them. The table has the median ratio to the plain step of the same round.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable

import numpy as np
from absl import app, flags, logging

from benchmarks.report import publish
from benchmarks.timing import seconds_in_turn
from cortexzoo import datasets
from cortexzoo.training.recipes.similarity import build_model
from cortexzoo.training.recipes.similarity_settings import default_config

_DATASET = flags.DEFINE_string("dataset", "mnist", "A data set with a recipe.")
_TARGET = flags.DEFINE_string("target", "thresholded", "The similarity target.")
_PAIRS = flags.DEFINE_list("pairs", ["4", "8", "16", "32"], "Numbers of pairs per step.")
_WIDTH = flags.DEFINE_integer("width", 16, "Width of the network.")
_STEPS = flags.DEFINE_integer("steps", 30, "Timed steps of each training, after three uncounted ones.", lower_bound=1)
_DTYPE = flags.DEFINE_string("dtype", "float32", "Precision, such as mixed_bfloat16.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `similarity overhead` is updated.")


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    train = datasets.load(_DATASET.value, "train")
    pairs = [0, *(int(text) for text in _PAIRS.value)]
    takers = [_step_taker(train, count) for count in pairs]
    seconds = seconds_in_turn(takers, _STEPS.value, uncounted=3)
    config = default_config(_DATASET.value, "none")
    rows = []
    for count, own in zip(pairs, seconds, strict=True):
        ratio, images = float(np.median(own / seconds[0])), 1.0 + 2.0 * count / config.batch_size
        excess = f"{100 * (ratio / images - 1.0):+.1f} %" if count else ""
        rows.append([str(count), f"{1e3 * np.median(own):.1f}", f"{ratio:.3f}", f"{images:.3f}", excess])
    header = ["pairs", "ms / step", "ratio to no pairs", "1 + 2k / batch", "beyond it"]
    network = f"ResNet18 of width {_WIDTH.value}, {_DTYPE.value}, batch {config.batch_size} of {_DATASET.value}"
    caption = f"{network}: medians of {_STEPS.value} alternating steps; the ratio is the median of the per-round ratios."
    publish("similarity overhead", header, rows, caption, _PAGE.value)


def _step_taker(train: datasets.Split, pairs: int) -> Callable[[int], object]:
    """Returns a function that takes one training step."""
    config = default_config(_DATASET.value, _TARGET.value if pairs else "none")
    config.update({"width": _WIDTH.value, "dtype": _DTYPE.value, "pairs": max(pairs, 1)})
    model, _, batches = build_model(config, train)
    return lambda turn: model.train_on_batch(*batches[turn % len(batches)])


if __name__ == "__main__":
    app.run(main)
