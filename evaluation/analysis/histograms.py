"""Weights and activities of each layer as histograms, with their excess kurtosis (Nayebi and Ganguli 2017).

A kurtotic layer has most of its weights near 0 and a few far away. Saturated units are at the ends of their range.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cortexzoo.evaluation.analysis import networks
from cortexzoo.evaluation.analysis.output import COLUMNS, layer_panels, lines_of, new_figure, stem, write_table
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.figures import save_figure
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

_BINS = 60
_KINDS = ("weights", "activities")


def analyse(model_ids: Sequence[str], samples: int, directory: Path) -> list[Path]:
    """Writes weights-NAMES.png, activities-NAMES.png and histograms-NAMES.csv, a row of histograms for each model.

    Args:
        model_ids: ids in the catalogue, of one data set.
        samples: the first test images, for the activities.
        directory: where the files go; created where missing.

    Returns:
        The files.

    Raises:
        ValueError: the models are of different data sets, or have no `features` or no `model_weights`.
    """
    classifiers, split = networks.load(model_ids, samples)
    layers = {
        "weights": [networks.weights_of(classifier.path) for classifier in classifiers],
        "activities": [networks.features_of(classifier, split.images) for classifier in classifiers],
    }
    rows = [
        (model_id, kind, name, values.size, *summary(values))
        for kind in _KINDS
        for model_id, found in zip(model_ids, layers[kind], strict=True)
        for name, values in found.items()
    ]
    # Activities are what units pass on; what goes into them is in the table.
    passed_on = [{k: v for k, v in found.items() if not k.startswith("pre_activation")} for found in layers["activities"]]
    figures = {
        "weights": _draw(model_ids, layers["weights"], "weights"),
        "activities": _draw(model_ids, passed_on, f"activities on the first {len(split):,} test images"),
    }
    paths = [save_figure(figures[kind], directory / f"{stem(kind, model_ids)}.png") for kind in _KINDS]
    header = ("model", "kind", "layer", "values", "mean", "standard_deviation", "excess_kurtosis")
    return [*paths, write_table(directory / f"{stem('histograms', model_ids)}.csv", header, rows)]


def summary(values: np.ndarray) -> tuple[float, float, float]:
    """Returns mean, standard deviation and excess kurtosis of all values together."""
    values = values.astype(np.float64).ravel()
    return float(values.mean()), float(values.std()), excess_kurtosis(values)


def excess_kurtosis(values: np.ndarray) -> float:
    """Returns the fourth central moment over the squared second one, minus 3 (Fisher): 0 for a Gaussian.

    Args:
        values: of any shape.

    Returns:
        At least -2; NaN where all values are equal.
    """
    squares = np.square(values.astype(np.float64) - values.mean(dtype=np.float64))
    variance = squares.mean()
    return float(np.square(squares).mean() / variance**2 - 3) if variance > 0 else float("nan")


def _draw(model_ids: Sequence[str], layers: list[dict[str, np.ndarray]], what: str) -> Figure:
    counts = list(map(len, layers))
    figure = new_figure(max(2.3 * min(max(counts), COLUMNS), 6.0) + 0.5, 2.2 * lines_of(counts) + 0.5)
    for row, (found, panels) in enumerate(zip(layers, layer_panels(figure, counts), strict=True)):
        for panel, (name, values) in zip(panels, found.items(), strict=True):
            panel.hist(values.ravel(), bins=_BINS, density=True, color=COLOURS[row % len(COLOURS)])
            panel.set_yscale("log")
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_title(f"{name}\nexcess kurtosis {excess_kurtosis(values):.3g}", fontsize=8)
            panel.tick_params(labelsize=7)
        panels[0].set_ylabel(f"{model_ids[row]}\ndensity", fontsize=8)
    figure.suptitle(f"{what[0].upper()}{what[1:]}: each layer's distribution", fontsize=10)
    return figure
