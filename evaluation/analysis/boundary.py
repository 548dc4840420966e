"""How the Boundary attack converges: the median squared distance against steps.

After few steps its result is mostly where it began. The figure tells how many are enough.
"""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evaluation.analysis import networks
from evaluation.analysis.output import stem, write_table
from evaluation.attacks import Batch, BoundaryAttack
from evaluation.attacks.nearest_start import nearest_first
from evaluation.attacks.starting_points import CANDIDATES, StartingPoints
from evaluation.norms import distances
from evaluation.report.curves import line_style
from evaluation.report.figures import save_figure
from evaluation.target import Target
from zoo import datasets

FIELDS = ("model", "samples", "steps", "quarter", "median", "three_quarters")
# The published code takes as many.
_PUBLISHED_STEPS = 50
# Of a decade of steps this many are kept.
_PER_DECADE = 10


def analyse(model_id: str, samples: int, directory: Path) -> list[Path]:
    """Writes boundary-DATASET-NAME.csv, and boundary-DATASET.png with all models of the data set whose tables lie there.

    Args:
        model_id: id in the catalogue.
        samples: the first test images.
        directory: where the files go; created where missing.

    Returns:
        The files.
    """
    (target,), split = networks.load([model_id], samples)
    info = target.dataset
    batch = Batch(split.images, split.labels, split.ids, 0)
    starts = StartingPoints(target, datasets.load(info.name, "train").first(CANDIDATES))
    rows = [(model_id, len(batch), *row) for row in convergence(target, batch, starts)]
    table = write_table(directory / f"{stem('boundary', [model_id])}.csv", FIELDS, rows)
    figure = save_figure(_draw(directory, info), directory / f"boundary-{info.name}.png")
    return [table, figure]


def convergence(
    target: Target, batch: Batch, starts: StartingPoints, attack: BoundaryAttack | None = None
) -> list[tuple[int, float, float, float]]:
    """Returns steps with the quartiles of the squared L2 distance per value, over all images.

    A misclassified image has distance 0, one without an adversarial an infinite one.

    Args:
        target: the model.
        batch: the samples, also misclassified ones.
        starts: where the attack begins.
        attack: with its settings; the default ones where it is None.
    """
    from rich.progress import track

    attack, values = attack or BoundaryAttack(), math.prod(target.image_shape)
    part = batch.take(np.flatnonzero(~target.misclassifies(batch.images, batch.labels)))
    if not len(part):
        raise ValueError(f"Expected images that {target.path} classifies correctly. Received: {len(batch)} others.")
    part = nearest_first(target, dataclasses.replace(part, starts=starts.of(part)), attack.norm)
    walk = attack.walk(target, part)
    rows, step = [], 0
    for step, best in track(walk, "Boundary", total=attack.steps // 10 + 1):
        if _is_kept(step):
            rows.append((step, *_quartiles(_squared(target, part, best, len(batch)) / values)))
    if rows[-1][0] != step:
        rows.append((step, *_quartiles(_squared(target, part, best, len(batch)) / values)))
    return rows


def _is_kept(step: int) -> bool:
    """Steps at about equal distances on a logarithmic axis, among the multiples of 10 that the attack tells of."""
    if step < 100:
        return True
    return int(_PER_DECADE * math.log10(step)) != int(_PER_DECADE * math.log10(step - 10))


def _squared(target: Target, part: Batch, best: np.ndarray, count: int) -> np.ndarray:
    squared = np.zeros(count)
    wrong = target.misclassifies(best, part.labels)
    squared[: len(part)] = np.where(wrong, distances(part.images, best, "l2") ** 2, np.inf)
    return squared


def _quartiles(values: np.ndarray) -> tuple[float, ...]:
    # Values of the sample, as infinity has no neighbour to interpolate with.
    return tuple(float(value) for value in np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf"))


def _draw(directory: Path, info: datasets.DatasetInfo) -> Figure:
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
