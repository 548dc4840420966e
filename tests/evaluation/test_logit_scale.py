"""A factor on the logits: decisions stay, and the cross-entropy's gradient vanishes where it is large."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis import logit_scale
from cortexzoo.evaluation.attacks import Batch, GradientAttack
from cortexzoo.evaluation.classifier import Classifier

MODELS = [card.id for card in catalog.list_models() if card.id == "mnist/single_im"]


def test_large_logits_hide_from_the_cross_entropy_and_not_from_the_margin(
    digits_classifier: Classifier, digits_batch: Batch
) -> None:
    settings = {"norm": "linf", "epsilon": 0.3, "rounds": 1, "steps": 10, "relative_step": 0.2}
    found = [
        logit_scale.surviving(digits_classifier, GradientAttack(**settings, **loss), digits_batch) / len(digits_batch)
        for loss in ({}, {"logit_scale": 1e4}, {"loss": "margin"})
    ]
    assert found[0] < 0.2
    assert found[1] > 0.8
    assert found[2] < 0.2


@pytest.mark.skipif(not MODELS, reason="the catalogue has no such model")
def test_figure_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Split) -> None:
    monkeypatch.setattr(logit_scale, "FACTORS", (0.1, 10.0, 1000.0))
    monkeypatch.setattr(datasets, "load", lambda *_: digits)
    paths = logit_scale.analyse(MODELS[0], 100, tmp_path)
    assert [path.name for path in paths] == ["logit-scale-mnist-single_im.png", "logit-scale-mnist-single_im.csv"]
    assert np.ptp(matplotlib_image.imread(paths[0])) > 0.9
    with paths[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 4
    by_factor = {(row["norm"], row["attack"], row["factor"]): float(row["accuracy"]) for row in rows}
    assert by_factor["L∞", "PGD", "1000"] > by_factor["L∞", "PGD", ""] + 0.5
