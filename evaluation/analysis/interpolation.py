"""What a network does on the straight line from one image to another (Nayebi and Ganguli 2017).

Along the line from a source to a classifier, with logits z, softmax p and Jacobian J = dz/dx: the length element of
information geometry, ds^2 = dz' (diag p - p p') dz with dz = J dx, the Euclidean one |dz|, the softmax and the singular
values of J. The Fisher length of the line is at least the angle of Bhattacharyya between its ends,
2 arccos sum sqrt(p_k q_k): the shortest way there is from one distribution to the other.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis import networks
from cortexzoo.evaluation.analysis.output import new_figure, stem, write_table
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.figures import save_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

PAIRS = ((1, 7), (3, 7), (6, 9), (0, 6))
# Points of the line to start with. More are put between two of them where the softmax turns by more than this angle, or
# where the trapezoid differs from the angle by more than this error. The finest step, 1 / (200 x 2^12), is about what
# float32 images can tell apart.
_POINTS, _FINEST_ANGLE, _ERROR, _REFINEMENTS = 201, 0.05, 2e-4, 12


@dataclasses.dataclass(frozen=True)
class Line:
    """What was found at the points of one line, (n, ...) each, float64.

    Attributes:
        position: from 0, the source, to 1, the classifier.
        probabilities: softmax of the logits, (n, classes).
        fisher: the Fisher length element ds/dt, t the position.
        euclidean: the Euclidean length element of the logits, |dz/dt|.
        singular_values: of the Jacobian, (n, min(classes, pixels)), the largest first.
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


def analyse(model_ids: Sequence[str], samples: int, directory: Path) -> list[Path]:
    """Writes interpolation-NAMES.png, interpolation-NAMES.csv (every point) and interpolation-lengths-NAMES.csv.

    The images of a class are the first of the test split that all models classify correctly.

    Args:
        model_ids: ids in the catalogue, of one data set.
        samples: the first test images, among which the ends of the lines are looked for.
        directory: where the files go; created where missing.

    Returns:
        The files.

    Raises:
        ValueError: the models are of different data sets, or no image of a class is correctly classified by all.
    """
    from rich.progress import track

    classifiers, split = networks.load(model_ids, samples)
    ends = first_correct(classifiers, split, sorted({label for pair in PAIRS for label in pair}))
    lines = {
        (model_id, pair): interpolate(classifier, split.images[ends[pair[0]]], split.images[ends[pair[1]]])
        for model_id, classifier in track(list(zip(model_ids, classifiers, strict=True)), "interpolations")
        for pair in PAIRS
    }
    names, ids = classifiers[0].dataset.class_names, {label: int(split.ids[place]) for label, place in ends.items()}
    return [
        save_figure(_draw(model_ids, lines, names), directory / f"{stem('interpolation', model_ids)}.png"),
        _write_points(lines, names, directory / f"{stem('interpolation', model_ids)}.csv"),
        _write_lengths(lines, names, ids, directory / f"{stem('interpolation-lengths', model_ids)}.csv"),
    ]


def first_correct(classifiers: Sequence[Classifier], split: Split, labels: Sequence[int]) -> dict[int, int]:
    """Returns for each label the position of its first image that all models classify correctly.

    Raises:
        ValueError: there is none of a label.
    """
    correct = np.all([classifier.predict(split.images) == split.labels for classifier in classifiers], axis=0)
    found = {label: np.flatnonzero(correct & (split.labels == label)) for label in labels}
    if absent := [label for label in labels if not len(found[label])]:
        raise ValueError(
            f"Expected a correctly classified image of every class among the first {len(split)} test images. "
            f"Received: none of the labels {absent}. Pass more --samples."
        )
    return {label: int(places[0]) for label, places in found.items()}


def interpolate(classifier: Classifier, source: np.ndarray, end: np.ndarray) -> Line:
    """Follows the line from one image to another, with more points where the softmax turns fast.

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
    # From the distance of the roots on the sphere: arccos of nearly 1 would lose half of the digits.
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
    header = ["model", "source", "classifier", "position", "fisher_element", "euclidean_element"]
    header += [f"probability_{k}" for k in range(first.probabilities.shape[1])]
    header += [f"singular_value_{k}" for k in range(first.singular_values.shape[1])]
    rows = []
    for (model_id, (source, end)), line in lines.items():
        parts = (line.position, line.fisher, line.euclidean, line.probabilities, line.singular_values)
        rows += [(model_id, names[source], names[end], *map(float, row)) for row in np.column_stack(parts)]
    return write_table(path, header, rows)


def _write_lengths(lines: Lines, names: tuple[str, ...], ids: dict[int, int], path: Path) -> Path:
    header = ("model", "source", "classifier", "source_id", "target_id")
    header += ("fisher_length", "bhattacharyya_angle", "euclidean_length")
    rows = []
    for (model_id, (source, end)), line in lines.items():
        angle = float(bhattacharyya_angle(line.probabilities[0], line.probabilities[-1]))
        lengths = (line.fisher_length, angle, line.euclidean_length)
        rows.append((model_id, names[source], names[end], ids[source], ids[end], *lengths))
    return write_table(path, header, rows)


def _draw(model_ids: Sequence[str], lines: Lines, names: tuple[str, ...]) -> Figure:
    height = 2 + 2 * len(model_ids)
    figure = new_figure(2.9 * len(PAIRS) + 1.0, 1.9 * height + 0.6)
    panels = figure.subplots(height, len(PAIRS), sharex=True, sharey="row")
    for column, pair in enumerate(PAIRS):
        axes = panels[:, column]
        axes[0].set_title(f"{names[pair[0]]} → {names[pair[1]]}", fontsize=10)
        for row, model_id in enumerate(model_ids):
            line, colour = lines[model_id, pair], COLOURS[row % len(COLOURS)]
            axes[0].semilogy(line.position, _positive(line.fisher), color=colour, label=model_id)
            axes[1].semilogy(line.position, _positive(line.euclidean), color=colour, label=model_id)
            _draw_softmax(axes[2 + row], line, pair, names)
            _draw_spectrum(axes[2 + len(model_ids) + row], line)
        axes[-1].set_xlabel("position from source to classifier", fontsize=8)
    spectra = np.concatenate([_positive(line.singular_values).ravel() for line in lines.values()])
    if np.isfinite(spectra).any():
        # One scale, so that the models compare.
        for panel in panels[-len(model_ids) :, 0]:
            panel.set_ylim(np.nanmin(spectra) / 2, 2 * np.nanmax(spectra))
    labels = ["Fisher length element", "Euclidean length element"]
    labels += [f"{model_id}\nsoftmax" for model_id in model_ids]
    labels += [f"{model_id}\nJacobian singular values" for model_id in model_ids]
    for panel, label in zip(panels[:, 0], labels, strict=True):
        panel.set_ylabel(label, fontsize=8)
    panels[0, 0].legend(fontsize=7)
    for panel in panels.flat:
        panel.tick_params(labelsize=7)
    figure.suptitle("Straight lines from a source to a classifier image", fontsize=11)
    return figure


def _draw_softmax(panel: Axes, line: Line, pair: tuple[int, int], names: tuple[str, ...]) -> None:
    """The two classes of the line, and in grey what else wins at some point."""
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
    """The largest singular value dark, the smallest light."""
    from matplotlib import colormaps

    count = line.singular_values.shape[1]
    for k in range(count):
        colour = colormaps["viridis"](0.9 * k / max(count - 1, 1))
        panel.semilogy(line.position, _positive(line.singular_values[:, k]), color=colour, linewidth=1.0)


def _positive(values: np.ndarray) -> np.ndarray:
    """Zeros have no place on a logarithmic axis: a gap shows where they are."""
    return np.where(values > 0, values, np.nan)
