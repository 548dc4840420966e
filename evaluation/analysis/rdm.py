"""Dissimilarity of the activity patterns of images, layer by layer.

  cortexzoo analyze rdm --model=mnist/cnn --model=mnist/dim --samples=1000

The figure shows representational dissimilarity matrices, as in Nayebi and
Ganguli (2017). The images are sorted by class: if a layer separates the
classes, there are dark blocks on the diagonal.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import COLUMNS, layer_panels, lines_of, new_figure, stem, write_table
from cortexzoo.figures import save_figure


def analyse(models: Sequence[str], samples: int, directory: Path, data: str | None = None) -> list[Path]:
    """Writes rdm-NAMES.png, with a row of matrices per model, and rdm-NAMES.csv.

    Args:
        models: ids in the catalogue, or paths of SavedModels or Keras files, all for one data set.
        samples: number of first test images.
        directory: where the files go; created if missing.
        data: data set; defaults to the models' own.

    Returns:
        The files.

    Raises:
        ValueError: the models are for different data sets, or have no `features`.
    """
    loaded, split = networks.load(models, samples, data)
    classifiers, labelled = [network.classifier for network in loaded], [network.name for network in loaded]
    order = np.argsort(split.labels, kind="stable")
    images, labels = split.images[order], split.labels[order]
    matrices, rows = [], []
    for model, classifier in zip(labelled, classifiers, strict=True):
        features = networks.features_of(classifier, images)
        found = {name: dissimilarity(values) for name, values in features.items()}
        rows += [(model, name, features[name].shape[1], *within_and_between(m, labels)) for name, m in found.items()]
        shown = {name: m for name, m in found.items() if not name.startswith("pre_activation")}
        matrices.append({name: m.astype(np.float32) for name, m in shown.items()})
    title = f"Dissimilarity (1 - correlation) of activity patterns, first {len(split):,} test images by class"
    figure = _draw(labelled, matrices, labels, classifiers[0].dataset.class_names, title)
    header = ("model", "layer", "units", "within_class", "between_classes", "undefined")
    name = stem("rdm", classifiers[0].dataset.name, labelled)
    return [save_figure(figure, directory / f"{name}.png"), write_table(directory / f"{name}.csv", header, rows)]


def dissimilarity(patterns: np.ndarray) -> np.ndarray:
    """Returns 1 minus the correlation of each pair of patterns.

    Args:
        patterns: (n, units).

    Returns:
        float64, (n, n), in [0, 2]; NaN for a constant pattern, which has no correlation.
    """
    centred = patterns.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(norms > 0, norms, np.nan)
    return np.clip(1 - centred @ centred.T, 0.0, 2.0)


def within_and_between(matrix: np.ndarray, labels: np.ndarray) -> tuple[float, float, int]:
    """Returns the means over pairs of the same and of different classes, and the number of images without a correlation.

    Args:
        matrix: (n, n), from `dissimilarity`.
        labels: (n,).

    Returns:
        The two means, NaN without pairs, and the number.
    """
    defined = np.flatnonzero(~np.isnan(np.diagonal(matrix)))
    undefined = len(labels) - len(defined)
    matrix, labels = matrix[np.ix_(defined, defined)], labels[defined]
    above = np.triu(np.ones_like(matrix, dtype=bool), 1)
    same = labels[:, None] == labels
    means = [float(matrix[pairs].mean()) if pairs.any() else float("nan") for pairs in (above & same, above & ~same)]
    return means[0], means[1], undefined


def _draw(models: Sequence[str], matrices: list[dict], labels: np.ndarray, names: tuple[str, ...], title: str) -> Figure:
    counts = list(map(len, matrices))
    figure = new_figure(max(2.3 * min(max(counts), COLUMNS), 6.0) + 1.0, 2.5 * lines_of(counts) + 0.5)
    panels = layer_panels(figure, counts)
    highest = np.nanpercentile(np.concatenate([m.ravel() for found in matrices for m in found.values()]), 99)
    present = np.unique(labels)
    starts = np.searchsorted(labels, present)
    middles = (starts + np.searchsorted(labels, present, side="right")) / 2
    for model, found, own in zip(models, matrices, panels, strict=True):
        for panel, (name, matrix) in zip(own, found.items(), strict=True):
            drawn = panel.imshow(matrix, cmap="viridis", vmin=0.0, vmax=highest)
            panel.set_title(name, fontsize=8)
            panel.set_xticks(middles, [names[i] for i in present], fontsize=6)
            panel.set_yticks(middles, [names[i] for i in present], fontsize=6)
            panel.tick_params(length=0)
        own[0].set_ylabel(model, fontsize=8)
    figure.colorbar(drawn, ax=figure.axes, shrink=0.8, extend="max", label="1 - correlation")
    figure.suptitle(title, fontsize=10)
    return figure
