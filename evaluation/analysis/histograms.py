"""Histograms of each layer's weights and activities, with their kurtosis.

  cortexzoo analyze histograms --model=mnist/cnn --model=mnist/dim

The figures are those of Nayebi and Ganguli (2017): a row of histograms for each
model. A layer with a high kurtosis has most of its weights near 0 and a few far
from it. Saturated units are at the ends of their range.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import COLUMNS, layer_panels, lines_of, new_figure, stem, write_table
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.figures import save_figure

_BINS = 60
_KINDS = ("weights", "activities")


def analyse(models: Sequence[str], samples: int, directory: Path, data: str | None = None) -> list[Path]:
    """Writes weights-NAMES.png and activities-NAMES.png, with a row of histograms per model, and histograms-NAMES.csv.

    Args:
        models: ids in the catalogue, or paths of SavedModels or Keras files, all for one data set.
        samples: number of first test images, for the activities.
        directory: where the files go; created if missing.
        data: data set; defaults to the models' own.

    Returns:
        The files.

    Raises:
        ValueError: the models are for different data sets, or have no `features` or no `model_weights`.
    """
    loaded, split = networks.load(models, samples, data)
    classifiers = [network.classifier for network in loaded]
    names, dataset = [network.name for network in loaded], classifiers[0].dataset.name
    layers = {
        "weights": [networks.weights_of(classifier.path) for classifier in classifiers],
        "activities": [networks.features_of(classifier, split.images) for classifier in classifiers],
    }
    rows = [
        (model, kind, name, values.size, *summary(values))
        for kind in _KINDS
        for model, found in zip(names, layers[kind], strict=True)
        for name, values in found.items()
    ]
    # The figure shows the outputs of units. Their inputs are only in the table.
    passed_on = [{k: v for k, v in found.items() if not k.startswith("pre_activation")} for found in layers["activities"]]
    figures = {
        "weights": _draw(names, layers["weights"], "weights"),
        "activities": _draw(names, passed_on, f"activities on the first {len(split):,} test images"),
    }
    paths = [save_figure(figures[kind], directory / f"{stem(kind, dataset, names)}.png") for kind in _KINDS]
    header = ("model", "kind", "layer", "values", "mean", "standard_deviation", "excess_kurtosis")
    return [*paths, write_table(directory / f"{stem('histograms', dataset, names)}.csv", header, rows)]


def summary(values: np.ndarray) -> tuple[float, float, float]:
    """Returns mean, standard deviation and excess kurtosis of all values together."""
    values = values.astype(np.float64).ravel()
    return float(values.mean()), float(values.std()), excess_kurtosis(values)


def excess_kurtosis(values: np.ndarray) -> float:
    """Returns the fourth central moment over the squared second one, minus 3 (Fisher): 0 for a Gaussian.

    Args:
        values: array of any shape.

    Returns:
        At least -2; NaN if all values are equal.
    """
    squares = np.square(values.astype(np.float64) - values.mean(dtype=np.float64))
    variance = squares.mean()
    return float(np.square(squares).mean() / variance**2 - 3) if variance > 0 else float("nan")


def _draw(models: Sequence[str], layers: list[dict[str, np.ndarray]], what: str) -> Figure:
    counts = list(map(len, layers))
    figure = new_figure(max(2.3 * min(max(counts), COLUMNS), 6.0) + 0.5, 2.2 * lines_of(counts) + 0.5)
    for row, (found, panels) in enumerate(zip(layers, layer_panels(figure, counts), strict=True)):
        for panel, (name, values) in zip(panels, found.items(), strict=True):
            panel.hist(values.ravel(), bins=_BINS, density=True, color=COLOURS[row % len(COLOURS)])
            panel.set_yscale("log")
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_title(f"{name}\nexcess kurtosis {excess_kurtosis(values):.3g}", fontsize=8)
            panel.tick_params(labelsize=7)
        panels[0].set_ylabel(f"{models[row]}\ndensity", fontsize=8)
    figure.suptitle(f"{what[0].upper()}{what[1:]}: each layer's distribution", fontsize=10)
    return figure
