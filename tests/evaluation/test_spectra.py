"""Spectra of perturbations: waves lie where they belong, power is conserved, and groups are what eyes would say."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis import spectra
from cortexzoo.evaluation.attacks import FastGradientMethod
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.shifts import Corruption, GaussianNoise
from cortexzoo.evaluation.shifts.spectra import WHITE_CENTROID, Spectrum, shift_spectrum


def test_a_wave_has_its_frequency() -> None:
    side, cycles = 32, 5
    wave = np.cos(2 * np.pi * cycles * np.arange(side) / side)
    spectrum = Spectrum.of(np.broadcast_to(wave[None, :, None, None], (3, side, side, 2)))
    rows, columns = np.nonzero(spectrum.power > 1e-9)
    assert list(zip(rows, columns, strict=True)) == [(16 - cycles, 16), (16 + cycles, 16)]
    assert spectrum.centroid == pytest.approx(cycles / side)
    frequencies, power = spectrum.radial()
    assert frequencies[np.argmax(power)] == pytest.approx(cycles / side)


def test_mean_power_is_the_mean_square() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 28, 28, 3))
    assert Spectrum.of(noise).power.mean() == pytest.approx(np.square(noise).mean())


def test_white_noise_is_flat_and_has_its_centroid() -> None:
    noise = np.random.default_rng(0).standard_normal((400, 32, 32, 1))
    spectrum = Spectrum.of(noise)
    assert spectrum.centroid == pytest.approx(WHITE_CENTROID, rel=0.02)
    assert spectrum.group == "high"
    _, power = spectrum.radial()
    np.testing.assert_allclose(power, 1.0, atol=0.2)


@pytest.mark.parametrize(("cycles", "group"), [(0, "low"), (3, "low"), (6, "medium"), (10, "high")])
def test_groups_are_thirds(cycles: int, group: str) -> None:
    wave = np.cos(2 * np.pi * cycles * np.arange(32) / 32)
    assert Spectrum.of(np.broadcast_to(wave[None, :, None, None], (1, 32, 32, 1))).group == group


def test_nothing_changed_is_low() -> None:
    spectrum = Spectrum.of(np.zeros((2, 8, 8, 1)))
    assert (spectrum.centroid, spectrum.group) == (0.0, "low")


def test_corruptions_fall_into_their_groups() -> None:
    # Where nothing is clipped brightness is one frequency, 0, and noise has all of them.
    images = np.full((4, 32, 32, 3), 0.5, np.float32)
    split = Split(images, np.zeros(4, np.int64), np.arange(4))
    assert shift_spectrum(Corruption(kind="brightness"), split).centroid == pytest.approx(0.0, abs=1e-6)
    assert shift_spectrum(Corruption(kind="gaussian_noise"), split).group == "high"
    noise = shift_spectrum(GaussianNoise(levels=(0.1,)), split)
    assert noise.power.mean() == pytest.approx(0.01, rel=0.05)


MODELS = [card.id for card in catalog.list_models() if card.id == "mnist/single_im"]


@pytest.mark.skipif(not MODELS, reason="the catalogue has no such model")
def test_figure_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Split) -> None:
    monkeypatch.setattr(datasets, "load", lambda *_: digits)
    attack = FastGradientMethod(norm="l2", epsilon=9.0, rounds=1)
    monkeypatch.setattr(spectra, "attacks", lambda thresholds: [("FGM L2", attack)])
    paths = spectra.analyse(MODELS[0], 12, tmp_path)
    assert [path.name for path in paths] == ["spectra-mnist-single_im.csv", "spectra-mnist-single_im.png"]
    assert np.ptp(matplotlib_image.imread(paths[1])) > 0.9
    with paths[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    centroids = {(row["kind"], row["perturbation"]): float(row["centroid"]) for row in rows}
    assert sorted(kind for kind, _ in centroids) == ["attack"] + ["corruption"] * 15 + ["noise"] * 3
    assert len(rows) == 19 * 15
    found = [centroids["corruption", name] for name in ("Brightness", "Zoom blur", "Impulse noise")]
    assert found == sorted(found)


def test_attack_without_adversarials_has_no_spectrum(digits_classifier: Classifier, digits: Split) -> None:
    attack = FastGradientMethod(norm="l2", epsilon=1e-6, rounds=1)
    with pytest.raises(ValueError, match="Expected adversarial images from cleverhans/fast_gradient_method"):
        spectra.attack_spectrum(digits_classifier, attack, digits.first(5))
