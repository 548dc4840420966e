"""A network's response along the straight line between two images.

  cortexzoo analyze interpolation --model=mnist/cnn --model=mnist/dim

The figure is that of Nayebi and Ganguli (2017): lengths, softmax and spectra of
the Jacobian. Let z be the logits, p the softmax and J = dz/dx the Jacobian. The
figure shows, at each point of the line, the Fisher length element,
ds^2 = dz' (diag p - p p') dz with dz = J dx, the Euclidean one |dz|, the softmax
and the singular values of J. The Fisher length of a line is at least the
Bhattacharyya angle between its ends, 2 arccos sum sqrt(p_k q_k): no path from
one distribution to the other is shorter.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import new_figure, stem, write_table
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.figures import save_figure

PAIRS = ((1, 7), (3, 7), (6, 9), (0, 6))
# A line starts with this many points. Points are added between two of them if the softmax turns by more than this angle, or
# if the trapezoid differs from the angle by more than this error. The finest step, 1 / (200 x 2^12), is about the resolution
# of float32 images.
_POINTS, _FINEST_ANGLE, _ERROR, _REFINEMENTS = 201, 0.05, 2e-4, 12


@dataclasses.dataclass(frozen=True)
class Line:
    """Measurements at the points of one line, float64, (n, ...) each.

    Attributes:
        position: t, from 0 at the first image to 1 at the second.
        probabilities: softmax of the logits, (n, classes).
        fisher: the Fisher length element ds/dt.
        euclidean: the Euclidean length element of the logits, |dz/dt|.
        singular_values: singular values of the Jacobian, (n, min(classes, pixels)), largest first.
    """

    position: np.ndarray
    probabilities: np.ndarray
    fisher: np.ndarray
    euclidean: np.ndarray
    singular_values: np.ndarray

    @property
    def fisher_length(self) -> float:
        """The integral of `fisher` by the trapezoidal rule."""
        return float(np.trapezoid(self.fisher, self.position))

    @property
    def euclidean_length(self) -> float:
        """The integral of `euclidean`."""
        return float(np.trapezoid(self.euclidean, self.position))


# By model and pair of labels.
Lines = dict[tuple[str, tuple[int, int]], Line]


def analyse(models: Sequence[str], samples: int, directory: Path, data: str | None = None) -> list[Path]:
    """Writes interpolation-NAMES.png, interpolation-NAMES.csv (every point) and interpolation-lengths-NAMES.csv.

    Each class is represented by its first test image that all models classify correctly.

    Args:
        models: ids in the catalogue, or paths of SavedModels or Keras files, all for one data set.
        samples: number of first test images, from which the ends of the lines are chosen.
        directory: where the files go; created if missing.
        data: data set; defaults to the models' own.

    Returns:
        The files.

    Raises:
        ValueError: the models are for different data sets, or a class has no image that all classify correctly.
    """
    from rich.progress import track

    loaded, split = networks.load(models, samples, data)
    classifiers = [network.classifier for network in loaded]
    info, labelled = classifiers[0].dataset, [network.name for network in loaded]
    _check_classes(info.num_classes)
    ends = first_correct(classifiers, split, sorted({label for pair in PAIRS for label in pair}))
    lines = {
        (model, pair): interpolate(classifier, split.images[ends[pair[0]]], split.images[ends[pair[1]]])
        for model, classifier in track(list(zip(labelled, classifiers, strict=True)), "interpolations")
        for pair in PAIRS
    }
    names, ids = info.class_names, {label: int(split.ids[place]) for label, place in ends.items()}
    return [
        save_figure(_draw(labelled, lines, names), directory / f"{stem('interpolation', info.name, labelled)}.png"),
        _write_points(lines, names, directory / f"{stem('interpolation', info.name, labelled)}.csv"),
        _write_lengths(lines, names, ids, directory / f"{stem('interpolation-lengths', info.name, labelled)}.csv"),
    ]


def _check_classes(count: int) -> None:
    needed = max(label for pair in PAIRS for label in pair) + 1
    if count < needed:
        raise ValueError(f"Expected at least {needed} classes for the pairs {PAIRS}. Received: {count}.")


def first_correct(classifiers: Sequence[Classifier], split: Split, labels: Sequence[int]) -> dict[int, int]:
    """Returns the position of the first image of each label that all models classify correctly.

    Raises:
        ValueError: a label has no such image.
    """
    correct = np.all([classifier.predict(split.images) == split.labels for classifier in classifiers], axis=0)
    found = {label: np.flatnonzero(correct & (split.labels == label)) for label in labels}
    if absent := [label for label in labels if not len(found[label])]:
        raise ValueError(
            f"Expected a correctly classified image of every class among the first {len(split)} test images. "
            f"Received: none with the labels {absent}. Pass more --samples."
        )
    return {label: int(places[0]) for label, places in found.items()}


def interpolate(classifier: Classifier, source: np.ndarray, end: np.ndarray) -> Line:
    """Measures the line from one image to another, with more points where the softmax turns fast.

    Args:
        classifier: the model.
        source: float32, (height, width, channels), in [0, 1].
        end: the same shape.
    """
    position = np.linspace(0.0, 1.0, _POINTS)
    line = _measure(classifier, source, end, position)
    for _ in range(_REFINEMENTS):
        angles = bhattacharyya_angle(line.probabilities[:-1], line.probabilities[1:])
        trapezoids = np.diff(line.position) * (line.fisher[:-1] + line.fisher[1:]) / 2
        coarse = (angles > _FINEST_ANGLE) | (np.abs(trapezoids - angles) > _ERROR)
        if not coarse.any():
            break
        middles = (line.position[:-1] + line.position[1:])[coarse] / 2
        line = _merge(line, _measure(classifier, source, end, middles))
    return line


def bhattacharyya_angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns 2 arccos sum sqrt(p_k q_k), the shortest Fisher length between distributions, in [0, pi].

    Args:
        first, second: probabilities, (..., classes).
    """
    # Computed from the chord between the square roots, as arccos near 1 would lose half of the digits.
    chord = np.linalg.norm(np.sqrt(first) - np.sqrt(second), axis=-1)
    return 4 * np.arcsin(np.clip(chord / 2, 0.0, 1.0))


def fisher_element(probabilities: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Returns sqrt(dz' (diag p - p p') dz), the standard deviation of dz under p.

    Args:
        probabilities: (..., classes).
        change: dz, the same shape.
    """
    mean = np.sum(probabilities * change, axis=-1, keepdims=True)
    return np.sqrt(np.sum(probabilities * np.square(change - mean), axis=-1))


def _measure(classifier: Classifier, source: np.ndarray, end: np.ndarray, position: np.ndarray) -> Line:
    share = position[:, None, None, None]
    images = ((1 - share) * source + share * end).astype(np.float32)
    logits, jacobian = networks.logits_and_jacobian(classifier, images)
    direction = end.astype(np.float64).ravel() - source.astype(np.float64).ravel()
    change, probabilities = jacobian @ direction, softmax(logits, axis=-1)
    euclidean = np.linalg.norm(change, axis=-1)
    singular_values = np.linalg.svd(jacobian, compute_uv=False)
    return Line(position, probabilities, fisher_element(probabilities, change), euclidean, singular_values)


def _merge(first: Line, second: Line) -> Line:
    order = np.argsort(np.concatenate([first.position, second.position]), kind="stable")
    names = [field.name for field in dataclasses.fields(Line)]
    return Line(*(np.concatenate([getattr(first, name), getattr(second, name)])[order] for name in names))


def _write_points(lines: Lines, names: tuple[str, ...], path: Path) -> Path:
    first = next(iter(lines.values()))
    header = ["model", "source", "target", "position", "fisher_element", "euclidean_element"]
    header += [f"probability_{k}" for k in range(first.probabilities.shape[1])]
    header += [f"singular_value_{k}" for k in range(first.singular_values.shape[1])]
    rows = []
    for (model, (source, end)), line in lines.items():
        parts = (line.position, line.fisher, line.euclidean, line.probabilities, line.singular_values)
        rows += [(model, names[source], names[end], *map(float, row)) for row in np.column_stack(parts)]
    return write_table(path, header, rows)


def _write_lengths(lines: Lines, names: tuple[str, ...], ids: dict[int, int], path: Path) -> Path:
    header = ("model", "source", "target", "source_id", "target_id")
    header += ("fisher_length", "bhattacharyya_angle", "euclidean_length")
    rows = []
    for (model, (source, end)), line in lines.items():
        angle = float(bhattacharyya_angle(line.probabilities[0], line.probabilities[-1]))
        lengths = (line.fisher_length, angle, line.euclidean_length)
        rows.append((model, names[source], names[end], ids[source], ids[end], *lengths))
    return write_table(path, header, rows)


def _draw(models: Sequence[str], lines: Lines, names: tuple[str, ...]) -> Figure:
    height = 2 + 2 * len(models)
    figure = new_figure(2.9 * len(PAIRS) + 1.0, 1.9 * height + 0.6)
    panels = figure.subplots(height, len(PAIRS), sharex=True, sharey="row")
    for column, pair in enumerate(PAIRS):
        axes = panels[:, column]
        axes[0].set_title(f"{names[pair[0]]} → {names[pair[1]]}", fontsize=10)
        for row, model in enumerate(models):
            line, colour = lines[model, pair], COLOURS[row % len(COLOURS)]
            axes[0].semilogy(line.position, _positive(line.fisher), color=colour, label=model)
            axes[1].semilogy(line.position, _positive(line.euclidean), color=colour, label=model)
            _draw_softmax(axes[2 + row], line, pair, names)
            _draw_spectrum(axes[2 + len(models) + row], line)
        axes[-1].set_xlabel("position from source to target", fontsize=8)
    spectra = np.concatenate([_positive(line.singular_values).ravel() for line in lines.values()])
    if np.isfinite(spectra).any():
        # One scale, so that the models can be compared.
        for panel in panels[-len(models) :, 0]:
            panel.set_ylim(np.nanmin(spectra) / 2, 2 * np.nanmax(spectra))
    labels = ["Fisher length element", "Euclidean length element"]
    labels += [f"{model}\nsoftmax" for model in models]
    labels += [f"{model}\nJacobian singular values" for model in models]
    for panel, label in zip(panels[:, 0], labels, strict=True):
        panel.set_ylabel(label, fontsize=8)
    panels[0, 0].legend(fontsize=7)
    for panel in panels.flat:
        panel.tick_params(labelsize=7)
    figure.suptitle("Straight lines from a source to a target image", fontsize=11)
    return figure


def _draw_softmax(panel: Axes, line: Line, pair: tuple[int, int], names: tuple[str, ...]) -> None:
    """Draws the two classes of the line in colour and all others in grey."""
    for k in range(line.probabilities.shape[1]):
        if k not in pair:
            panel.plot(line.position, line.probabilities[:, k], color="0.6", linewidth=0.8)
            if line.probabilities[:, k].max() > 0.5:
                peak = int(np.argmax(line.probabilities[:, k]))
                panel.text(line.position[peak], line.probabilities[peak, k], names[k], fontsize=7, va="bottom", ha="center")
    for k, style, colour in zip(pair, ("-", "--"), COLOURS[2:4], strict=True):
        panel.plot(line.position, line.probabilities[:, k], style, color=colour, label=names[k])
    panel.legend(fontsize=7, loc="center left")
    panel.set_ylim(-0.05, 1.12)


def _draw_spectrum(panel: Axes, line: Line) -> None:
    """Draws the singular values, from the largest (dark) to the smallest (light)."""
    from matplotlib import colormaps

    count = line.singular_values.shape[1]
    for k in range(count):
        colour = colormaps["viridis"](0.9 * k / max(count - 1, 1))
        panel.semilogy(line.position, _positive(line.singular_values[:, k]), color=colour, linewidth=1.0)


def _positive(values: np.ndarray) -> np.ndarray:
    """Replaces zeros by NaN, as a logarithmic axis cannot show them."""
    return np.where(values > 0, values, np.nan)
