"""The effect of scaled logits on attacks.

  cortexzoo analyze logit_scale --model=mnist/dim --samples=200

The cross-entropy of large logits is flat in float32: its gradient is 0. An
attack that follows it does not move, and the model looks robust. A margin loss
does not depend on the scale.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import new_figure, stem, write_table
from cortexzoo.evaluation.attacks import Batch, GradientAttack
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.suites import paper42
from cortexzoo.figures import save_figure
from cortexzoo.norms import NORM_NAMES

FIELDS = ("norm", "attack", "loss", "factor", "accuracy")
FACTORS = tuple(float(factor) for factor in np.geomspace(0.1, 1000.0, 17))
_NORMS = ("linf", "l2")


def analyse(model: str, samples: int, directory: Path, data: str | None = None, seed: int = 0) -> list[Path]:
    """Writes logit-scale-DATA-NAME.png and .csv: accuracy at the thresholds of L-infinity and L2 against the factor.

    Args:
        model: id in the catalogue, or path of a SavedModel or a Keras file.
        samples: number of first test images.
        directory: where the files go; created if missing.
        data: data set; defaults to the model's own.
        seed: seed of the attacks.

    Returns:
        The files.
    """
    from rich.progress import track

    (network,), split = networks.load([model], samples, data)
    classifier, label = network.classifier, network.name
    correct = np.flatnonzero(classifier.predict(split.images) == split.labels)
    batch = Batch(split.images, split.labels, split.ids, seed).take(correct)
    rows, thresholds = [], networks.thresholds(classifier.dataset)
    attacks = [(norm, *named) for norm in _NORMS for named in paper42.gradient_steps(norm, False, thresholds)]
    for norm, name, attack in track(attacks, "attacks"):
        attack = dataclasses.replace(attack, rounds=1)
        for factor in FACTORS:
            left = surviving(classifier, dataclasses.replace(attack, logit_scale=factor), batch) / len(split)
            rows.append((NORM_NAMES[norm], name, "cross-entropy", factor, left))
        left = surviving(classifier, dataclasses.replace(attack, loss="margin"), batch) / len(split)
        rows.append((NORM_NAMES[norm], name, "margin", "", left))
    path = directory / f"{stem('logit-scale', classifier.dataset.name, [label])}.csv"
    figure = save_figure(_draw(rows, thresholds, f"{label}, first {len(split):,} test images"), path.with_suffix(".png"))
    return [figure, write_table(path, FIELDS, rows)]


def surviving(classifier: Classifier, attack: GradientAttack, batch: Batch) -> int:
    """Returns the number of images that are still classified correctly after the attack."""
    return int(np.sum(classifier.predict(attack.run(classifier, "logits", batch)) == batch.labels))


def _draw(rows: list[tuple], thresholds: Mapping[str, float], title: str) -> Figure:
    figure = new_figure(9.0, 3.4)
    for panel, norm in zip(figure.subplots(1, len(_NORMS), sharey=True), _NORMS, strict=True):
        for i, name in enumerate(dict.fromkeys(row[1] for row in rows)):
            own = [row for row in rows if row[:2] == (NORM_NAMES[norm], name)]
            panel.semilogx(FACTORS, [100 * row[4] for row in own[:-1]], "o-", color=f"C{i}", markersize=3, label=name)
            panel.axhline(100 * own[-1][4], color=f"C{i}", linestyle="--", linewidth=1, label=f"{name}, margin")
        panel.set(xlabel="factor on the logits", ylim=(-2, 102))
        panel.set_title(f"{NORM_NAMES[norm]}, ε = {thresholds[norm]:g}", fontsize=9)
    figure.axes[0].set_ylabel("accuracy (%)")
    figure.axes[0].legend(fontsize=7)
    figure.suptitle(f"{title}: the cross-entropy of scaled logits, and the margin", fontsize=9)
    return figure
