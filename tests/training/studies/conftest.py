"""Studies as a user runs them, in this process, and data that is there at once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from absl import flags, logging
from absl.testing import flagsaver

from cortexzoo import datasets
from cortexzoo.datasets import Split
from tests.programs import alone

Study = Callable[..., None]


def few_digits(name: str, split: str) -> Split:
    """Ten blurred patterns of 28 x 28 pixels, one a class."""
    assert split == "train"
    datasets.info(name)
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 10
    images = 0.7 * generator.random((10, 7, 7))[labels].repeat(4, axis=1).repeat(4, axis=2)
    images = images + 0.3 * generator.random((200, 28, 28))
    return Split(images[..., None].astype(np.float32), labels, np.arange(200))


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Study]:
    """Runs a study by its name and flags, from an empty folder, on `few_digits`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load", few_digits)
    verbosity = logging.get_verbosity()

    def run(name: str, *arguments: str) -> None:
        with alone(f"cortexzoo.training.studies.{name}.__main__") as module, flagsaver.flagsaver():
            module.main(flags.FLAGS([f"cortexzoo study {name}", *arguments]))

    yield run
    logging.set_verbosity(verbosity)
