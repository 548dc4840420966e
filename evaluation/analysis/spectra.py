"""Power spectra of noises, corruptions and attacks.

  cortexzoo analyze spectra --model=mnist/dim --samples=100

The centroid of a spectrum is its mean frequency, weighted by power. Corruptions
fall into three groups by their centroid: low, medium and high are the thirds of
the range from 0 to the centroid of white noise.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import stem, write_table
from cortexzoo.evaluation.attacks import Attack, Batch, DecoupledDirectionNorm, ProjectedGradientDescent
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.report.curves import line_style
from cortexzoo.evaluation.shifts.spectra import GROUPS, WHITE_CENTROID, Spectrum, shift_spectrum
from cortexzoo.evaluation.suites.corruptions import CORRUPTION
from cortexzoo.evaluation.suites.noise import NOISE
from cortexzoo.figures import save_figure

FIELDS = ("perturbation", "kind", "group", "centroid", "frequency", "power")
_COLUMNS = 7


def analyse(model: str, samples: int, directory: Path, data: str | None = None, seed: int = 0) -> list[Path]:
    """Writes spectra-DATA-NAME.csv, the radial spectra, and .png, the two-dimensional and the radial ones.

    Args:
        model: the model under attack: id in the catalogue, or path of a SavedModel or Keras file.
        samples: number of first test images.
        directory: where the files go; created if missing.
        data: data set; defaults to the model's own.
        seed: seed of the attacks, noises and corruptions.

    Returns:
        The files.
    """
    from rich.progress import track

    (network,), split = networks.load([model], samples, data)
    classifier, info = network.classifier, network.classifier.dataset
    found: dict[str, dict[str, Spectrum]] = {"noise": {}, "corruption": {}, "attack": {}}
    for kind, suite in (("noise", NOISE), ("corruption", CORRUPTION)):
        for member in track(suite.build(info, ()), suite.name):
            found[kind][member.label] = shift_spectrum(member.shift, split, seed)
    for label, attack in track(attacks(networks.thresholds(info)), "attacks"):
        found["attack"][label] = attack_spectrum(classifier, attack, split, seed)
    found["corruption"] = dict(sorted(found["corruption"].items(), key=lambda item: item[1].centroid))
    rows = []
    for kind, spectra in found.items():
        for label, spectrum in spectra.items():
            identity = (label, kind, spectrum.group, f"{spectrum.centroid:.4f}")
            rows.extend((*identity, f"{f:.4f}", f"{p:.4g}") for f, p in zip(*spectrum.radial(), strict=True))
    name = stem("spectra", info.name, [network.name])
    figure = _draw(found, f"{info.name}, first {len(split):,} test images; attacks on {network.name}")
    return [write_table(directory / f"{name}.csv", FIELDS, rows), save_figure(figure, directory / f"{name}.png")]


def attacks(thresholds: Mapping[str, float]) -> list[tuple[str, Attack]]:
    """Returns the attacks whose perturbations are measured, with their names."""
    return [
        ("PGD L∞", ProjectedGradientDescent(norm="linf", epsilon=thresholds["linf"])),
        ("PGD L2", ProjectedGradientDescent(norm="l2", epsilon=thresholds["l2"])),
        ("DDN L2", DecoupledDirectionNorm()),
    ]


def attack_spectrum(classifier: Classifier, attack: Attack, split: Split, seed: int = 0) -> Spectrum:
    """Returns the mean spectrum of the smallest perturbations that an attack finds.

    Args:
        classifier: the model.
        attack: the attack.
        split: the images; misclassified ones and those on which the attack fails are left out.
        seed: seed of the attack.

    Raises:
        ValueError: the attack fails on all images.
    """
    batch = Batch(split.images, split.labels, split.ids, seed)
    batch = batch.take(~classifier.misclassifies(batch.images, batch.labels))
    images = attack.run(classifier, "logits", batch)
    wrong = classifier.misclassifies(images, batch.labels)
    if not wrong.any():
        raise ValueError(f"Expected adversarial images from {attack.name}. Received: none for {len(batch)} images.")
    return Spectrum.of((images - batch.images)[wrong])


def _draw(found: dict[str, dict[str, Spectrum]], title: str) -> Figure:
    # A list, as Gaussian noise is both a noise and a corruption.
    every = [(label, spectrum) for spectra in found.values() for label, spectrum in spectra.items()]
    rows = -(-len(every) // _COLUMNS)
    figure = Figure(figsize=(11, 1.75 * rows + 3.4), dpi=120, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.75 * rows, 3.2))
    panels = above.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, (label, spectrum) in zip(panels, every, strict=False):
        _draw_square(panel, label, spectrum)
    above.suptitle(f"{title}\npower by frequency, 0 in the middle, four decades from the greatest (bright) down", fontsize=9)
    left, right = below.subplots(1, 2)
    others = {**found["noise"], **found["attack"]}
    for i, (label, spectrum) in enumerate(others.items()):
        _draw_radial(left, spectrum, label=label, **line_style(i))
    for spectrum in found["corruption"].values():
        _draw_radial(right, spectrum, **line_style(GROUPS.index(spectrum.group)))
    for i, group in enumerate(GROUPS):
        right.plot([], [], label=f"{group}: centroid from {WHITE_CENTROID * i / 3:.2f} on", **line_style(i))
    for panel, name in ((left, "noise and attacks"), (right, "common corruptions")):
        panel.set(yscale="log", xlim=(0, 0.5), xlabel="cycles per pixel", ylabel="power, mean 1")
        panel.set_title(name, fontsize=9, loc="left")
        panel.grid(color="0.9", linewidth=0.6)
        panel.legend(frameon=False, fontsize=7)
    return figure


def _draw_square(panel: Axes, label: str, spectrum: Spectrum) -> None:
    greatest = max(spectrum.power.max(), 1e-30)
    panel.imshow(np.log10(np.maximum(spectrum.power / greatest, 1e-4)), cmap="magma", vmin=-4, vmax=0)
    panel.set_title(f"{label}\n{spectrum.group}, {spectrum.centroid:.2f}", fontsize=7)


def _draw_radial(panel: Axes, spectrum: Spectrum, **style: object) -> None:
    frequencies, power = spectrum.radial()
    panel.plot(frequencies, power / max(spectrum.power.mean(), 1e-30), linewidth=1.2, **style)
