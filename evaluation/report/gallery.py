"""A gallery of adversarial images: the first samples, and what each attack made of them."""

import dataclasses
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cortexzoo.evaluation.report.layout import distance
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.store import RunKey
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORMS

_COLUMNS = 10
_ATTACKS = 8
_BROKEN, _BEYOND, _NONE = "#D55E00", "#0072B2", "0.45"
# Sizes in inches: an image, the gap to the next one, a line of text above it, a character of a label.
_SIDE, _GAP, _LINE, _CHARACTER = 0.82, 0.1, 0.135, 0.085


@dataclasses.dataclass(frozen=True)
class Adversarial:
    """The result of one attack on one sample.

    Attributes:
        distance: 0 for a misclassified clean image, infinity if the attack failed.
        prediction: the class predicted for the adversarial image; -1 if there is none.
        image: float32, (height, width, channels), in [0, 1]; None if the store keeps none.
    """

    distance: float
    prediction: int
    image: np.ndarray | None


def gallery(summary: Summary) -> Figure:
    """Draws one column per sample: the clean image, and below it each attack's nearest adversarial image.

    Shows all attacks if there are at most eight, otherwise the best one in each norm.

    Args:
        summary: a model with at least one attack.
    """
    scores = chosen_attacks(summary.attacks)
    ids = sorted(set.union(*(set(map(int, score.ids)) for score in scores)))[:_COLUMNS]
    class_names = summary.dataset.class_names
    # A word and a distance do not fit on one line.
    sheet = _Sheet(["clean", *(score.label for score in scores)], len(ids), 1 if max(map(len, class_names)) < 5 else 2)
    sheet.figure.suptitle(f"{summary.name}: predicted class and distance, orange within ε, blue beyond", fontsize=9)
    _draw_clean(sheet, summary, ids)
    for row, score in enumerate(scores, start=1):
        sheet.label(row, f"{score.label}\nε = {score.epsilon:g}")
        for column, adversarial in enumerate(adversarials(summary, score, ids)):
            _draw_adversarial(sheet, row, column, adversarial, score.epsilon, class_names)
    return sheet.figure


def chosen_attacks(scores: list[Score]) -> list[Score]:
    """Returns all attacks if they are few, otherwise the strongest one in each norm."""
    if len(scores) <= _ATTACKS:
        return sorted(scores, key=lambda score: NORMS.index(score.norm))
    members = [[score for score in scores if score.norm == norm] for norm in NORMS]
    return [min(group, key=lambda score: (score.accuracy, score.median)) for group in members if group]


def adversarials(summary: Summary, score: Score, ids: list[int]) -> list[Adversarial | None]:
    """Returns each sample's nearest adversarial image over the attacked endpoints; None if it was not attacked."""
    store = summary.evaluation.store
    attacked = [(name, part.settings) for part in summary.up_to(score) for name in part.endpoints]
    keys = [RunKey(summary.digest, summary.dataset.name, name, summary.seed, settings) for name, settings in attacked]
    runs = [run for run in map(store.find_run, keys) if run is not None]
    reached = {run: store.distances(run) for run in runs}
    images = {run: store.images(run, summary.dataset.image_shape) for run in runs}
    found: list[Adversarial | None] = []
    for i in ids:
        best = min((run for run in runs if i in reached[run]), key=lambda run: reached[run][i], default=None)
        if best is None:
            found.append(None)
        else:
            found.append(Adversarial(reached[best][i], store.prediction(best, i), images[best].get(i)))
    return found


class _Sheet:
    """Rows and columns of images in one Axes, in inches. One Axes per image would be many times slower."""

    def __init__(self, labels: list[str], columns: int, lines: int) -> None:
        self._left = 0.2 + _CHARACTER * max(map(len, labels))
        self._top = 0.33 + _LINE
        self._lines = lines
        self._pitch = _SIDE + _GAP + _LINE * lines
        width = self._left + columns * (_SIDE + _GAP)
        height = self._top + len(labels) * self._pitch
        self.figure = Figure(figsize=(width, height), dpi=110)
        self._axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.axis("off")
        self._limits = ((0, width), (height, 0))

    def _corner(self, row: int, column: int) -> tuple[float, float]:
        return self._left + column * (_SIDE + _GAP), self._top + _LINE * self._lines + row * self._pitch

    def label(self, row: int, text: str) -> None:
        """Writes to the left of a row."""
        _, y = self._corner(row, 0)
        self._axes.text(self._left - _GAP, y + _SIDE / 2, text, ha="right", va="center")

    def image(self, row: int, column: int, image: np.ndarray) -> None:
        """Shows an image, (height, width, channels), in [0, 1]."""
        x, y = self._corner(row, column)
        extent = (x, x + _SIDE, y + _SIDE, y)
        self._axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent, aspect="auto")
        self._axes.set(xlim=self._limits[0], ylim=self._limits[1])

    def title(self, row: int, column: int, text: str, colour: str) -> None:
        """Writes above an image."""
        x, y = self._corner(row, column)
        self._axes.text(x + _SIDE / 2, y - 0.03, text, ha="center", va="bottom", fontsize=7.5, color=colour)

    def empty(self, row: int, column: int, text: str = "", cross: bool = False) -> None:
        """Draws a frame where there is no image, with a reason or a cross."""
        x, y = self._corner(row, column)
        self._axes.add_patch(Rectangle((x, y), _SIDE, _SIDE, fill=False, edgecolor="0.75", linewidth=0.6))
        self._axes.text(x + _SIDE / 2, y + _SIDE / 2, text, ha="center", va="center", fontsize=6.5, color=_NONE)
        if cross:
            for ends in ((y, y + _SIDE), (y + _SIDE, y)):
                self._axes.plot((x, x + _SIDE), ends, color=_NONE, linewidth=1.0)


def _draw_clean(sheet: _Sheet, summary: Summary, ids: list[int]) -> None:
    store, split = summary.evaluation.store, summary.evaluation.split
    kept, _, predictions = store.clean(summary.digest, summary.dataset.name)
    predicted = {int(i): int(prediction) for i, prediction in zip(kept, predictions, strict=True)}
    position = {int(i): k for k, i in enumerate(split.ids)}
    names = summary.dataset.class_names
    sheet.label(0, "clean")
    for column, i in enumerate(ids):
        label = int(split.labels[position[i]])
        sheet.image(0, column, split.images[position[i]])
        if predicted[i] == label:
            sheet.title(0, column, names[label], "black")
        else:
            sheet.title(0, column, f"{names[label]}\n→ {names[predicted[i]]}", _BROKEN)


def _draw_adversarial(
    sheet: _Sheet, row: int, column: int, adversarial: Adversarial | None, epsilon: float, names: tuple[str, ...]
) -> None:
    if adversarial is None:
        sheet.empty(row, column, "not attacked")
    elif adversarial.distance == 0.0:
        sheet.empty(row, column, "clean image\nis wrong")
    elif math.isinf(adversarial.distance):
        sheet.empty(row, column, cross=True)
        sheet.title(row, column, "failed", _NONE)
    else:
        if adversarial.image is None:
            sheet.empty(row, column, "not kept")
        else:
            sheet.image(row, column, adversarial.image)
        beyond = metrics.survivors(np.array(adversarial.distance), epsilon)
        sheet.title(row, column, _caption(names, adversarial), _BEYOND if beyond else _BROKEN)


def _caption(names: tuple[str, ...], adversarial: Adversarial) -> str:
    between = " · " if max(map(len, names)) < 5 else "\n"
    return f"{names[adversarial.prediction]}{between}{distance(adversarial.distance)}"
