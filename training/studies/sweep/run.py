"""One training for each weight of the saturation penalty, and how saturated its units are."""

import logging
from pathlib import Path

import keras
import numpy as np
from keras import ops
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.layers import nonlinearity
from cortexzoo.models import ImageClassifier
from cortexzoo.training.configuration import ConfigError, config_digest, run_directory
from cortexzoo.training.hardware import first_hardware
from cortexzoo.training.recipes import Recipe
from cortexzoo.training.studies.sweep.figure import write_figure
from cortexzoo.training.studies.sweep.table import Point, read_points, table_path, write_points

_LOG = logging.getLogger(__name__)

# A unit counts as saturated below this psi_c: a hundredth of the sigmoid's largest.
_SATURATED = 0.0025
_BATCH = 500


def sweep(recipe: Recipe, config: ConfigDict, strengths: list[float], workdir: Path, output: Path) -> Path:
    """Trains with each strength and writes table and figure after each.

    It resumes: strengths in the table are not trained again, and a training goes on from its checkpoint. Rows of other
    settings (anything in the config but the strength) leave the table, because they cannot be compared.

    Args:
        recipe: one whose config has a `strength`.
        config: its config.
        strengths: weights of the saturation penalty; 0 is the plain network.
        workdir: folder of checkpoints and logs.
        output: folder of table and figure.

    Returns:
        The path of the table; the figure lies beside it.

    Raises:
        ConfigError: the recipe has no strength, or a setting is refused.
    """
    if "strength" not in config:
        raise ConfigError(
            f"Expected a recipe with a `strength`. Received: {recipe.id}, which has {', '.join(sorted(config))}."
        )
    configs = [_with_strength(config, strength) for strength in strengths]
    for changed in configs:
        recipe.check_config(changed)
    path = table_path(output, recipe.id)
    settings = config_digest(_with_strength(config, 0.0))
    points = [point for point in read_points(path) if point.settings == settings]
    for changed in configs:
        if changed.strength not in {point.strength for point in points}:
            points.append(_train(recipe, changed, workdir, settings))
        write_points(points, path)
        write_figure(points, recipe.title, path.with_suffix(".png"))
    return path


def saturation_statistics(model: ImageClassifier, images: np.ndarray) -> dict[str, float]:
    """Returns `mean_saturation` and `saturated_share` of a model's hidden units.

    Args:
        model: one with an `activation` and the features `pre_activation_<i>`.
        images: float32, (n, height, width, channels), in [0, 1].
    """
    psi, total, saturated, units = nonlinearity(model.activation).saturation, 0.0, 0, 0
    for start in range(0, len(images), _BATCH):
        for name, values in model.features(images[start : start + _BATCH]).items():
            if name.startswith("pre_activation_"):
                saturation = ops.convert_to_numpy(psi(values))
                total += float(saturation.sum(dtype=np.float64))
                saturated += int((saturation < _SATURATED).sum())
                units += saturation.size
    return {"mean_saturation": total / units, "saturated_share": saturated / units}


def _train(recipe: Recipe, config: ConfigDict, workdir: Path, settings: str) -> Point:
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    directory = run_directory(workdir, recipe.id, config)
    first_hardware(directory)
    trained = recipe.train(config, directory)
    statistics = saturation_statistics(trained.model, datasets.load(config.dataset, "validation").images)
    accuracy = trained.validation["accuracy"]
    _LOG.info("Strength %g: validation accuracy %.4f, %s", config.strength, accuracy, statistics)
    return Point(config.strength, accuracy, **statistics, epochs=config.epochs, seed=config.seed, settings=settings)


def _with_strength(config: ConfigDict, strength: float) -> ConfigDict:
    changed = config.copy_and_resolve_references()
    changed.strength = strength
    return changed
