"""Convergence of the Boundary attack with its steps.

  cortexzoo analyze boundary --model=mnist/dim --samples=100

After few steps the result is still close to the starting point. The figure shows
the median squared distance against the number of steps, and so how many are
enough. It includes every model of the data set with a table in the folder --output.
"""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import stem, write_table
from cortexzoo.evaluation.attacks import Batch, BoundaryAttack
from cortexzoo.evaluation.attacks.nearest_start import nearest_first
from cortexzoo.evaluation.attacks.starting_points import CANDIDATES, StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.evaluation.report.curves import line_style
from cortexzoo.figures import save_figure
from cortexzoo.images import open_images

FIELDS = ("model", "samples", "steps", "quarter", "median", "three_quarters")
# The number of steps in the published code.
_PUBLISHED_STEPS = 50
# Rows kept per factor of ten in steps.
_PER_DECADE = 10


def analyse(model: str, samples: int, directory: Path, data: str | None = None, seed: int = 0) -> list[Path]:
    """Writes boundary-DATA-NAME.csv, and boundary-DATA.png with all models whose tables are in the folder.

    Args:
        model: id in the catalogue, or path of a SavedModel or a Keras file.
        samples: number of first test images.
        directory: where the files go; created if missing.
        data: data set; defaults to the model's own.
        seed: seed of the attack.

    Returns:
        The files.
    """
    (network,), split = networks.load([model], samples, data)
    classifier, name = network.classifier, network.name
    info = classifier.dataset
    batch = Batch(split.images, split.labels, split.ids, seed)
    source = open_images(data or info.name)
    candidates = source.load("train" if source.has_train else "test").first(CANDIDATES)
    starts = StartingPoints(classifier, candidates)
    rows = [(name, len(batch), *row) for row in convergence(classifier, batch, starts)]
    table = write_table(directory / f"{stem('boundary', info.name, [name])}.csv", FIELDS, rows)
    figure = save_figure(_draw(directory, info), directory / f"boundary-{info.name}.png")
    return [table, figure]


def convergence(
    classifier: Classifier, batch: Batch, starts: StartingPoints, attack: BoundaryAttack | None = None
) -> list[tuple[int, float, float, float]]:
    """Returns steps with the quartiles over all images of the squared L2 distance per value.

    A misclassified image has distance 0; if no adversarial image is found, the distance is infinite.

    Args:
        classifier: the model.
        batch: the samples, including misclassified ones.
        starts: the starting points.
        attack: the attack. Defaults to `BoundaryAttack()`.
    """
    from rich.progress import track

    attack, values = attack or BoundaryAttack(), math.prod(classifier.image_shape)
    part = batch.take(np.flatnonzero(~classifier.misclassifies(batch.images, batch.labels)))
    if not len(part):
        raise ValueError(
            f"Expected images that {classifier.path} classifies correctly. Received: {len(batch)} misclassified ones."
        )
    part = nearest_first(classifier, dataclasses.replace(part, starts=starts.of(part)), attack.norm)
    walk = attack.walk(classifier, part)
    rows, step = [], 0
    for step, best in track(walk, "Boundary", total=attack.steps // 10 + 1):
        if _is_kept(step):
            rows.append((step, *_quartiles(_squared(classifier, part, best, len(batch)) / values)))
    if rows[-1][0] != step:
        rows.append((step, *_quartiles(_squared(classifier, part, best, len(batch)) / values)))
    return rows


def _is_kept(step: int) -> bool:
    """Picks steps that are roughly evenly spaced on a logarithmic axis; the attack reports every tenth."""
    if step < 100:
        return True
    return int(_PER_DECADE * math.log10(step)) != int(_PER_DECADE * math.log10(step - 10))


def _squared(classifier: Classifier, part: Batch, best: np.ndarray, count: int) -> np.ndarray:
    squared = np.zeros(count)
    wrong = classifier.misclassifies(best, part.labels)
    squared[: len(part)] = np.where(wrong, distances(part.images, best, "l2") ** 2, np.inf)
    return squared


def _quartiles(values: np.ndarray) -> tuple[float, ...]:
    # Order statistics, as infinite values cannot be interpolated.
    return tuple(float(value) for value in np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf"))


def _draw(directory: Path, info: DatasetInfo) -> Figure:
    figure = Figure(figsize=(6.4, 4.2), dpi=130, layout="constrained")
    panel = figure.add_subplot()
    for i, path in enumerate(sorted(directory.glob(f"boundary-{info.name}-*.csv"))):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        steps, quarter, median, rest = (
            np.array([float(row[name]) for row in rows]) for name in ("steps", "quarter", "median", "three_quarters")
        )
        style, shown = line_style(i), np.maximum(steps, 5)
        label = f"{rows[0]['model'].removeprefix(f'{info.name}/')}, N = {int(rows[0]['samples']):,}"
        panel.fill_between(shown, quarter, rest, color=style["color"], alpha=0.15, linewidth=0)
        panel.plot(shown, median, label=label, **style)
    panel.axvline(_PUBLISHED_STEPS, color="0.35", linestyle="dotted", linewidth=1.2, label="steps of the published code")
    panel.set(xscale="log", yscale="log", xlabel="steps (left end: start)", ylabel="squared L2 distance per value")
    panel.grid(color="0.9", linewidth=0.6)
    panel.legend(frameon=False, fontsize=8)
    panel.set_title(f"{info.name}: Boundary attack, median over the images, shaded: quartiles", fontsize=9)
    return figure
