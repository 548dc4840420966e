"""Keras `fit` that survives a kill and ends with the weights of an uninterrupted run: checkpoints, logs, the best epoch."""

import csv
import json
import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cortexzoo.files import write_text
from cortexzoo.training.averaging import averaged_weights
from cortexzoo.training.batches import EpochBatches

_LOG = logging.getLogger(__name__)

_SECONDS, _HISTORY = "seconds.json", "history.csv"


class DeterministicEpochs(keras.callbacks.Callback):
    """Sets the order of batches and every random layer's seed from (seed, epoch) when an epoch begins."""

    def __init__(self, batches: EpochBatches, seed: int) -> None:
        super().__init__()
        self.batches, self.seed = batches, seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.set_epoch(epoch)
        weights = {id(variable) for variable in self.model.weights}
        states = [variable for variable in self.model.variables if id(variable) not in weights and _is_seed(variable)]
        for index, state in enumerate(states):
            words = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
            state.assign(words.astype(state.dtype))


class EpochCheckpoint(keras.callbacks.Callback):
    """Writes weights and optimizer state atomically after each epoch, and deletes what is older."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        path = self.directory / f"epoch-{epoch + 1:04d}.weights.h5"
        temporary = path.with_name("unfinished.weights.h5")
        self.model.save_weights(temporary)
        os.replace(temporary, path)
        for kind in ("epoch", "best"):
            for old in sorted(self.directory.glob(f"{kind}-*.weights.h5"))[:-1]:
                old.unlink()


class EpochSeconds(keras.callbacks.Callback):
    """Keeps the duration of all epochs, including those before a kill, in `seconds.json`."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.path = directory / _SECONDS

    def on_train_begin(self, logs: Any = None) -> None:
        self._mark = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        before = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else 0.0
        now = time.monotonic()
        write_text(self.path, json.dumps(before + now - self._mark))
        self._mark = now


class BestEpoch(keras.callbacks.ModelCheckpoint):
    """Writes the weights of the best epoch so far, from epoch `first` on, under the epoch's number.

    The previous best stays until the epoch's checkpoint is written. After a kill in between, the epoch runs again, and on a
    machine whose results vary the older one may turn out to be the best.
    """

    def __init__(self, directory: Path, monitor: str, mode: str, first: int, best: float | None) -> None:
        options = {"save_best_only": True, "save_weights_only": True, "initial_value_threshold": best}
        super().__init__(directory / "best-{epoch:04d}.weights.h5", monitor, mode=mode, **options)
        self.first = first

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch >= self.first:
            with averaged_weights(self.model):
                super().on_epoch_end(epoch, logs)


def fit(
    model: keras.Model,
    batches: EpochBatches,
    validation: tuple[np.ndarray, Any],
    *,
    epochs: int,
    seed: int,
    directory: Path,
    monitor: str,
    mode: str,
    choose_from: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Fits a compiled, built model, resuming from `directory`, and leaves it with the weights of its best epoch.

    Where the optimizer averages weights (`use_ema`), the averages are validated and are those that it is left with.

    Args:
        model: compiled and built.
        batches: training batches.
        validation: (images, targets) that choose the epoch.
        epochs: int. Total number of epochs, including those of earlier runs.
        seed: int. Seed of everything random in an epoch.
        directory: folder for the checkpoints of this fit, `history.csv` and `seconds.json`.
        monitor: name of the logged value that chooses the epoch, such as "val_accuracy".
        mode: "max" or "min".
        choose_from: int. The first epoch, counted from 0, that can be the best. Defaults to 0.
        callbacks: further callbacks. What they do in an epoch must depend only on the epoch, the weights and the state of
            the optimizer; otherwise a resumed run differs from an uninterrupted one.

    Returns:
        The logged values of all epochs, by name.

    Raises:
        FloatingPointError: the loss became infinite or NaN.
    """
    directory.mkdir(parents=True, exist_ok=True)
    first = _resume(model, directory)
    history = _read_history(directory / _HISTORY, first)
    best = history[monitor][_best(history[monitor], mode, choose_from)] if first > choose_from else None
    # Validation is on the averages where there are any.
    averaging = [keras.callbacks.SwapEMAWeights()] if model.optimizer.use_ema else []
    if first < epochs:
        # `batches` shuffle themselves; Keras would draw from a generator that our seed does not reach.
        model.fit(
            batches,
            validation_data=validation,
            validation_batch_size=500,
            initial_epoch=first,
            epochs=epochs,
            callbacks=[
                DeterministicEpochs(batches, seed),
                *averaging,
                *callbacks,
                keras.callbacks.TerminateOnNaN(),
                BestEpoch(directory, monitor, mode, choose_from, best),
                keras.callbacks.CSVLogger(directory / _HISTORY, append=True),
                EpochSeconds(directory),
                EpochCheckpoint(directory),
            ],
            shuffle=False,
            verbose="auto" if os.isatty(1) else 2,
        )
    history = _finished_history(directory / _HISTORY, epochs, monitor)
    chosen = _best(history[monitor], mode, choose_from)
    model.load_weights(directory / f"best-{chosen + 1:04d}.weights.h5")
    _LOG.info("Epoch %d of %d is best: %s = %.4f", chosen + 1, epochs, monitor, history[monitor][chosen])
    return history


def fitting_seconds(directory: Path) -> float:
    """Returns the seconds that all fits below a directory took."""
    return sum(json.loads(path.read_text(encoding="utf-8")) for path in directory.rglob(_SECONDS))


def _resume(model: keras.Model, directory: Path) -> int:
    """Restores weights and optimizer from the newest checkpoint; returns the number of epochs that are done."""
    checkpoints = sorted(directory.glob("epoch-*.weights.h5"))
    done = _epoch(checkpoints[-1]) if checkpoints else 0
    for path in directory.glob("best-*.weights.h5"):
        if _epoch(path) > done:
            path.unlink()
    if done:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(checkpoints[-1])
        _LOG.info("Resuming %s after epoch %d", directory, done)
    return done


def _epoch(path: Path) -> int:
    """The number in a file's name, counted from 1."""
    return int(re.search(r"-(\d+)\.weights", path.name).group(1))


def _read_history(path: Path, epochs: int) -> dict[str, list[float]]:
    """Reads the first `epochs` epochs. Where an epoch was logged twice, before and after a kill, the later row counts."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = {int(row["epoch"]): row for row in csv.DictReader(file)}
    kept = [rows[epoch] for epoch in sorted(rows) if epoch < epochs]
    return {key: [float(row[key]) for row in kept] for key in kept[0] if key != "epoch"} if kept else {}


def _finished_history(path: Path, epochs: int, monitor: str) -> dict[str, list[float]]:
    """Reads the log of a training that should be complete, and refuses one that diverged."""
    history = _read_history(path, epochs)
    if len(history[monitor]) < epochs or not np.isfinite(history["loss"]).all():
        raise FloatingPointError(
            f"Expected a finite loss in {epochs} epochs. Received: loss={history['loss']}. "
            f"Lower the learning rate; the log is {path}."
        )
    return history


def _best(values: list[float], mode: str, choose_from: int) -> int:
    candidates = values[choose_from:]
    return choose_from + int(np.argmax(candidates) if mode == "max" else np.argmin(candidates))


def _is_seed(variable: Any) -> bool:
    return "seed" in variable.path
