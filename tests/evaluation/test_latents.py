"""Latent spaces: what is measured has known answers, and the command draws a catalogued model."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from cortexzoo import catalog
from cortexzoo.evaluation.analysis import latents
from tests.evaluation.small_models import TINY, dense, save_classifier

MODELS = [card.id for card in catalog.list_models() if card.id == "mnist/dim"]


def clusters(distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian clouds of 60 points so far apart, and which points are of the first."""
    points = np.random.default_rng(0).standard_normal((120, 5))
    points[:60, 0] += distance
    return points, np.arange(120) < 60


def test_a_class_far_away_is_pure_and_one_in_the_midst_is_not() -> None:
    silhouette, purity = latents.separation(*clusters(50.0))
    assert silhouette > 0.9
    assert purity == 1.0
    silhouette, purity = latents.separation(*clusters(0.0))
    assert abs(silhouette) < 0.1
    assert 0.3 < purity < 0.7


def test_silhouette_is_that_of_its_definition() -> None:
    # (b - a) / max(a, b) with the mean distances to the own and to the other points: 1 and 10.5, then 1 and 9.5.
    points = np.array([[0.0], [1.0], *[[10.5]] * 20])
    silhouette, _ = latents.separation(points, np.arange(22) < 2)
    assert silhouette == pytest.approx((9.5 / 10.5 + 8.5 / 9.5) / 2)


def test_picture_keeps_neighbourhoods_and_is_the_same_twice() -> None:
    points, own = clusters(50.0)
    first, second = latents.project(points), latents.project(points)
    np.testing.assert_array_equal(first, second)
    assert latents.separation(first, own)[1] == 1.0


def test_model_without_latents_is_refused(tmp_path: Path) -> None:
    network = dense((np.zeros((16, 3)), np.zeros(3)))
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables)
    with pytest.raises(ValueError, match=r"Expected `features` with `latents`.*Received: None"):
        latents.latents_of(path, np.zeros((2, *TINY.image_shape), np.float32))


@pytest.mark.skipif(not MODELS, reason="the catalogue has no model with latents")
def test_command_writes_the_picture_and_the_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cortexzoo.evaluation.analysis", "latents", f"--model={MODELS[0]}", "--samples=150"]
    subprocess.run([*command, f"--output={tmp_path}"], check=True, capture_output=True)
    image = matplotlib_image.imread(tmp_path / "latents-mnist-dim.png")
    assert np.std(image[..., :3]) > 0.05
    with open(tmp_path / "latents-mnist-dim.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["autoencoder"] for row in rows] == [str(i) for i in range(10)]
    # Each autoencoder was trained on its class: its neighbours are mostly of it.
    assert np.mean([float(row["purity"]) for row in rows]) > 0.5
