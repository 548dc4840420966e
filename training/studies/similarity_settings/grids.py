"""The grids, and the short trainings that fill them."""

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.training.configuration import ConfigError, change_config, config_digest, run_directory
from cortexzoo.training.recipes import Recipe, find
from cortexzoo.training.studies.similarity_settings.table import (
    COLUMNS,
    NOISE,
    SETTINGS,
    Row,
    read_rows,
    with_row,
    write_rows,
)
from cortexzoo.training.targets import published_setting

_LOG = logging.getLogger(__name__)

STRENGTHS, THRESHOLDS = (1.0, 4.0, 10.0, 40.0), (0.2, 0.4, 0.6, 0.8)
PAIRS, IMAGES, SETS = (4, 8, 16, 32), (100, 1000, 5000), ("fashion_mnist", "mnist")
GRIDS = ("threshold", "pairs", "images", "sets")


def grid_cells(grid: str, dataset: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the cells of a grid: recipes with changes of their configs. The plain network comes first.

    Args:
        grid: "threshold" (strength times threshold), "pairs" (k), "images" (N) or "sets" (the data set and the
            regularisation set are each of Fashion-MNIST and MNIST, with the settings published for the two).
        dataset: the data set of all grids but "sets".

    Raises:
        ConfigError: there is no such grid.
    """
    if grid not in GRIDS:
        raise ConfigError(f"`grid` must be one of {', '.join(GRIDS)}. Received: grid={grid!r}")
    cells = _cells_of_sets() if grid == "sets" else [(dataset, changes) for changes in _changes(grid)]
    plain = [(f"{task}/resnet", {}) for task in dict.fromkeys(task for task, _ in cells)]
    return [*plain, *((f"{task}/resnet_thresholded", changes) for task, changes in cells)]


def run_grid(grid: str, dataset: str, changes: list[str], workdir: Path, path: Path) -> Path:
    """Trains the cells that the table lacks, one after another, and adds each as it is done.

    Args:
        grid: name of the grid.
        dataset: data set of the trainings.
        changes: "name=value" changes of every config, such as "epochs=1".
        workdir: folder of checkpoints, from which a training that was killed resumes.
        path: the table, a CSV file.

    Returns:
        `path`.

    Raises:
        ConfigError: there is no such grid or recipe, or a change is refused.
    """
    done = {(row["grid"], row["dataset"], row["settings"]) for row in read_rows(path)}
    for recipe, config in grid_runs(grid, dataset, changes):
        if (grid, config.dataset, config_digest(config)) in done:
            continue
        _LOG.info("%s: %s", recipe.id, {name: config[name] for name in SETTINGS})
        keras.utils.clear_session()
        keras.utils.set_random_seed(config.seed)
        trained = recipe.train(config, run_directory(workdir, recipe.id, config))
        row = _row(grid, config, trained.model, changes)
        # Read anew: another grid may have added to the table meanwhile.
        write_rows(with_row(read_rows(path), row), path)
    return path


def grid_runs(grid: str, dataset: str, changes: list[str]) -> list[tuple[Recipe, ConfigDict]]:
    """Returns the recipe and the config of each cell; for arguments and errors see `run_grid`."""
    runs = []
    for recipe_id, cell in grid_cells(grid, dataset):
        recipe = find(recipe_id)
        config = change_config(recipe.config(), changes)
        config.update(cell)
        recipe.check_config(config)
        runs.append((recipe, config))
    return runs


def noisy_accuracy(model: keras.Model, split: datasets.Split, stddev: float, seed: int) -> float:
    """Returns the accuracy on images with Gaussian noise, clipped to [0, 1]."""
    noise = np.random.default_rng(seed).normal(0.0, stddev, split.images.shape).astype(np.float32)
    logits = model.predict(np.clip(split.images + noise, 0.0, 1.0), batch_size=500, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == split.labels))


def _cells_of_sets() -> list[tuple[str, dict[str, Any]]]:
    published = [published_setting(task, pairs) for task in SETS for pairs in SETS]
    return [
        (one.task, {"regularization_dataset": one.pairs, "strength": one.alpha, "threshold": one.threshold})
        for one in published
    ]


def _changes(grid: str) -> list[dict[str, Any]]:
    if grid == "threshold":
        return [{"strength": alpha, "threshold": level} for alpha in STRENGTHS for level in THRESHOLDS]
    name, values = ("pairs", PAIRS) if grid == "pairs" else ("regularization_images", IMAGES)
    return [{name: value} for value in values]


def _row(grid: str, config: ConfigDict, model: keras.Model, changes: list[str]) -> Row:
    validation = datasets.load(config.dataset, "validation")
    accuracies = [noisy_accuracy(model, validation, stddev, config.seed) for stddev in (0.0, *NOISE)]
    # The plain network has none of the regulariser's settings, whatever its config says.
    settings = [config[name] if config.target != "none" else "" for name in SETTINGS]
    values = [grid, config.dataset, config.target, *settings, config.epochs, config.train_images, config.seed]
    values.append(" ".join(sorted(changes)))
    values += [*(f"{accuracy:.4f}" for accuracy in accuracies), config_digest(config)]
    return {name: str(value) for name, value in zip(COLUMNS, values, strict=True)}
