"""The recipe of DIM, small, on a few hundred noisy images; as a program it kills itself at a given moment.

python -m tests.training.interrupted_fit DIRECTORY MOMENT
"""

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import keras
import numpy as np

from cortexzoo import datasets
from cortexzoo.training import fitting
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.recipes import Trained
from cortexzoo.training.recipes.internal_models import default_config, fit_internal_models

IN_A_BATCH = "in the middle of the denoiser's second epoch"
IN_A_CHECKPOINT = "after the log of the internal models' third epoch, while its checkpoint is written"


def few_images(name: str, split: str) -> datasets.Split:
    """Ten blurred patterns, one a class, with noise: enough to learn, and read from nowhere."""
    count, seed = {"train": (320, 1), "validation": (80, 2)}[split]
    generator, patterns = np.random.default_rng(seed), np.random.default_rng(0).random((10, 7, 7))
    labels = np.arange(count) % 10
    images = 0.7 * patterns[labels].repeat(4, axis=1).repeat(4, axis=2) + 0.3 * generator.random((count, 28, 28))
    return datasets.Split(images[..., None].astype(np.float32), labels, np.arange(count))


def fit_small_recipe(directory: Path) -> Trained:
    """Runs both stages, resuming from `directory`, as `python -m cortexzoo.training` does."""
    config = default_config()
    config.update({"batch_size": 32, "denoiser_widths": (32, 16), "internal_widths": (16, 8)})
    config.update({"denoiser_epochs": 3, "internal_epochs": 4, "denoiser_noise": 0.2})
    keras.utils.set_random_seed(config.seed)
    with mock.patch.object(datasets, "load", few_images):
        return fit_internal_models(config, directory)


def kill_this_process() -> None:
    """Sends the signal that nothing can catch: no `finally`, no flush, no exit handler."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_a_batch() -> None:
    """Arranges for the kill when the fourth batch of a second epoch is read."""

    class MortalBatches(EpochBatches):
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            super().set_epoch(epoch)
            self.epoch = epoch

        def __getitem__(self, index: int) -> tuple:
            if (self.epoch, index) == (1, 3):
                kill_this_process()
            return super().__getitem__(index)

    mock.patch("cortexzoo.training.recipes.internal_models.EpochBatches", MortalBatches).start()


def kill_in_a_checkpoint() -> None:
    """Arranges for the kill when the checkpoint has been written but not yet taken its name."""
    replace = os.replace

    def mortal_replace(source: Path, target: Path) -> None:
        if Path(target).match("internal_models/epoch-0003.weights.h5"):
            kill_this_process()
        replace(source, target)

    mock.patch.object(fitting.os, "replace", mortal_replace).start()


if __name__ == "__main__":
    {IN_A_BATCH: kill_in_a_batch, IN_A_CHECKPOINT: kill_in_a_checkpoint}[sys.argv[2]]()
    fit_small_recipe(Path(sys.argv[1]))
