"""L-BFGS from every source class to every target class.

  cortexzoo analyze source_target --model=mnist/sigmoid_mlp

The figure is that of Nayebi and Ganguli (2017): adversarial images for each pair
of classes. The source is the image of its class with the lowest confidence; a
red cross means that no adversarial image was found. Brendel and Bethge (2017,
https://arxiv.org/abs/1704.01547) trace such crosses to gradients that vanish in
float32. The same attack is therefore also shown with logits in float64, and with
the loss divided by the norm of its first gradient.
"""

import dataclasses
import functools
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import log_softmax

from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import new_figure, stem, write_table
from cortexzoo.evaluation.attacks.lbfgs import LBFGS, Descent
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.figures import save_figure

_CROSS = "#D50000"
_SIDE = 0.92
_ARITHMETIC = {"logits": "float32", "logits_float64": "float64", "logits_stable": "stable float64"}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One variant of the attack.

    Attributes:
        name: the panel's title.
        endpoint: the differentiated endpoint.
        attack: the attack.
    """

    name: str
    endpoint: str
    attack: LBFGS


def variants(classifier: Classifier, attack: LBFGS) -> list[Variant]:
    """Returns the attack in float32, in float64 if the model has that, and rescaled on the most precise endpoint."""
    best = networks.best_endpoint(classifier)
    float64 = networks.best_endpoint(classifier, ["logits_float64"])
    found = [Variant("float32", "logits", attack)]
    if float64 != "logits":
        found.append(Variant("float64", float64, attack))
    return [*found, Variant(f"{_ARITHMETIC[best]}, loss rescaled", best, dataclasses.replace(attack, rescale=True))]


def analyse(
    model: str, samples: int, directory: Path, attack: LBFGS | None = None, *, data: str | None = None
) -> list[Path]:
    """Writes source-target-DATA-NAME.png and .csv.

    Args:
        model: id in the catalogue, or path of a SavedModel or a Keras file.
        samples: number of first test images, from which the sources are chosen.
        directory: where the files go; created if missing.
        attack: the attack. Defaults to `LBFGS()`, with 1,000 iterations.
        data: data set; defaults to the model's own.

    Returns:
        The files.

    Raises:
        ValueError: a class has no correctly classified image.
    """
    from rich.progress import track

    (network,), split = networks.load([model], samples, data)
    classifier, label = network.classifier, network.name
    sources = least_confident(classifier, split)
    names = classifier.dataset.class_names
    panels, rows = [], []
    for variant in variants(classifier, attack or LBFGS()):
        descents = {}
        for source, place in track(sources.items(), variant.name):
            towards = functools.partial(variant.attack.towards, classifier, variant.endpoint, split.images[place])
            descents |= {(source, wanted): towards(wanted) for wanted in sources if wanted != source}
        panels.append((variant.name, descents))
        for (i, k), descent in descents.items():
            rows.append((variant.name, names[i], int(split.ids[sources[i]]), names[k], *_log(descent)))
    header = ("variant", "source", "source_id", "target", "found", "l2_distance")
    header += ("first_gradient_norm", "constant", "iterations", "reason")
    figure = _draw(label, panels, {label: split.images[place] for label, place in sources.items()}, names)
    name = stem("source-target", classifier.dataset.name, [label])
    return [save_figure(figure, directory / f"{name}.png"), write_table(directory / f"{name}.csv", header, rows)]


def least_confident(classifier: Classifier, split: Split) -> dict[int, int]:
    """Returns, for each class, the position of the correctly classified image with the lowest confidence.

    Raises:
        ValueError: a class has no correctly classified image.
    """
    logits = classifier.serving_logits(split.images).astype(np.float64)
    # The logarithm distinguishes probabilities that are all 1 in float32.
    confidence = log_softmax(logits, axis=1)[np.arange(len(split)), split.labels]
    confidence[logits.argmax(axis=1) != split.labels] = np.inf
    found = {}
    for label in range(classifier.dataset.num_classes):
        own = np.where(split.labels == label, confidence, np.inf)
        if np.isinf(own.min(initial=np.inf)):
            raise ValueError(
                f"Expected a correctly classified image of class {classifier.dataset.class_names[label]} among the first "
                f"{len(split)} test images. Received: none. Pass more --samples."
            )
        found[label] = int(own.argmin())
    return found


def _log(descent: Descent) -> tuple[int, float, float, float, int, str]:
    found, distance = int(descent.found), descent.distance
    return found, distance, descent.first_gradient, float(descent.constant), descent.iterations, descent.reason


def _draw(
    model_id: str,
    panels: list[tuple[str, dict[tuple[int, int], Descent]]],
    clean: dict[int, np.ndarray],
    names: tuple[str, ...],
) -> Figure:
    figure = new_figure(0.46 * len(clean) * len(panels) + 0.8, 0.46 * len(clean) + 1.0)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (name, descents) in zip(axes, panels, strict=True):
        for source, image in clean.items():
            _show(panel, source, source, image)
        for (source, wanted), descent in descents.items():
            if descent.found:
                _show(panel, source, wanted, descent.image)
            else:
                corners = ((wanted, wanted + _SIDE), (source, source + _SIDE))
                panel.plot(corners[0], corners[1], color=_CROSS, linewidth=1.5)
                panel.plot(corners[0], corners[1][::-1], color=_CROSS, linewidth=1.5)
        failed = sum(not descent.found for descent in descents.values())
        panel.set_title(f"{name}: {failed} of {len(descents)} not found", fontsize=9)
        middles = [label + _SIDE / 2 for label in clean]
        panel.set_xticks(middles, [names[label] for label in clean], fontsize=7)
        panel.set_yticks(middles, [names[label] for label in clean], fontsize=7)
        panel.set(xlim=(-0.1, len(clean) + 0.02), ylim=(len(clean) + 0.02, -0.1), aspect="equal", xlabel="target")
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
    axes[0].set_ylabel("source")
    figure.suptitle(f"{model_id}: L-BFGS from each class's least confident image; the diagonal is clean", fontsize=10)
    return figure


def _show(panel: Axes, row: int, column: int, image: np.ndarray) -> None:
    extent = (column, column + _SIDE, row + _SIDE, row)
    panel.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
