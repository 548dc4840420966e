"""Recordings of a simulated V1, to try what takes recordings of neurons.

Examples:
  cortexzoo study simulated_recordings --data=mnist --output=v1.npz
  cortexzoo study simulated_recordings --data=fashion_mnist --images=500 \\
      --units=200 --scans=2 --output=v1.npz

docs/recordings.md describes the format. A path without .npz is a new folder for a TFDS dataset.
"""

from absl import flags

from cortexzoo import datasets
from cortexzoo.console import run
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.preparation import prepare, refusals
from cortexzoo.training.recordings.file import save_recordings
from cortexzoo.training.recordings.simulation import simulate_recordings

_DATA = flags.DEFINE_string("data", "mnist", "The data set whose training images are shown.")
_IMAGES = flags.DEFINE_integer("images", 5000, "How many training images.", lower_bound=2)
_UNITS = flags.DEFINE_integer("units", 1000, "How many cells.", lower_bound=1)
_TRIALS = flags.DEFINE_integer("trials", 10, "How often each image is shown.", lower_bound=2)
_SCANS = flags.DEFINE_integer("scans", 1, "Among how many scans the cells are divided.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "runs/studies/v1.npz", "An .npz file, or a new folder for a TFDS dataset.")


def main(arguments: list[str]) -> None:
    """Simulates the recordings and prints where they are."""
    with refusals():
        output = prepare(arguments, _OUTPUT.value)
        try:
            images = datasets.load(_DATA.value, "train").images[: _IMAGES.value]
            counts = {"units": _UNITS.value, "trials": _TRIALS.value, "scans": _SCANS.value}
            save_recordings(simulate_recordings(images, **counts), output)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        print(f"{output}: {len(images):,} images, {_UNITS.value:,} units of simulated V1, {_TRIALS.value} trials")


if __name__ == "__main__":
    run(main, "cortexzoo study simulated_recordings")
