"""How the Boundary attack converges: it ends where the attack ends, and never goes back."""

import csv
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis import boundary
from cortexzoo.evaluation.attacks import Batch, BoundaryAttack, NearestStart
from cortexzoo.evaluation.attacks.base import shrink
from cortexzoo.evaluation.attacks.nearest_start import nearest_first
from cortexzoo.evaluation.attacks.starting_points import StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances

ATTACK = BoundaryAttack(steps=200)


def test_curve_falls_to_what_the_attack_reaches(tiny_classifier: Classifier, tiny_batch: Batch, tiny: Split) -> None:
    labels = tiny_batch.labels.copy()
    # Misclassified: its distance is 0 from the start.
    labels[5] = (labels[5] + 1) % 3
    batch = Batch(tiny_batch.images, labels, tiny_batch.ids, 0)
    rows = boundary.convergence(tiny_classifier, batch, StartingPoints(tiny_classifier, tiny), ATTACK)
    assert [row[0] for row in rows][:4] == [0, 10, 20, 30]
    assert rows[-1][0] == ATTACK.steps
    for before, after in itertools.pairwise(rows):
        assert all(new <= old for new, old in zip(after[1:], before[1:], strict=True))
    assert rows[-1][2] < 0.9 * rows[0][2]
    rest = tiny_batch.take(np.arange(16) != 5)
    rest = dataclasses.replace(rest, starts=StartingPoints(tiny_classifier, tiny).of(rest))
    images = NearestStart(inner=ATTACK).run(tiny_classifier, "logits", rest)
    squared = np.append(distances(rest.images, images, "l2") ** 2 / 16, 0.0)
    expected = np.quantile(squared, (0.25, 0.5, 0.75), method="inverted_cdf")
    np.testing.assert_allclose(rows[-1][1:], expected, rtol=1e-5)


def test_the_nearest_start_comes_first(tiny_classifier: Classifier, tiny_batch: Batch, tiny: Split) -> None:
    batch = dataclasses.replace(tiny_batch, starts=StartingPoints(tiny_classifier, tiny).of(tiny_batch))
    pulled = []
    for k in range(batch.starts.shape[1]):
        found = tiny_classifier.misclassifies(batch.starts[:, k], batch.labels)
        images = shrink(tiny_classifier, batch.take(found), batch.starts[found, k])
        pulled.append(np.full(len(batch), np.inf))
        pulled[-1][found] = distances(batch.images[found], images, "l2")
    chosen = np.argmin(pulled, axis=0)
    assert len(set(chosen.tolist())) > 1, "otherwise this shows nothing"
    ordered = nearest_first(tiny_classifier, batch, "l2")
    np.testing.assert_array_equal(ordered.starts[:, 0], batch.starts[np.arange(len(batch)), chosen])
    # Nothing is lost, and an image that is no adversarial comes last.
    np.testing.assert_array_equal(np.sort(ordered.starts, axis=1), np.sort(batch.starts, axis=1))
    starts = np.concatenate([batch.images[:, None], batch.starts], axis=1)
    last = nearest_first(tiny_classifier, dataclasses.replace(batch, starts=starts), "l2").starts[:, -1]
    np.testing.assert_array_equal(last, batch.images)
    # It serves: a short walk ends nearer.
    images = [attack.run(tiny_classifier, "logits", batch) for attack in (NearestStart(inner=ATTACK), ATTACK)]
    near, first = (distances(batch.images, found, "l2").mean() for found in images)
    assert near < first


def test_walk_ends_at_once_without_a_start(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    """Convolutions refuse a batch of none."""
    starts = np.repeat(tiny_batch.images[:, None], 2, axis=1)
    walk = ATTACK.walk(tiny_classifier, dataclasses.replace(tiny_batch, starts=starts))
    assert [step for step, _ in walk] == [0]


MODELS = [card.id for card in catalog.list_models() if card.id == "mnist/single_im"]


@pytest.mark.skipif(not MODELS, reason="the catalogue has no such model")
def test_figure_has_every_table_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Split) -> None:
    monkeypatch.setattr(datasets, "load", lambda *_: digits)
    monkeypatch.setattr(boundary, "BoundaryAttack", lambda: BoundaryAttack(steps=30))
    paths = boundary.analyse(MODELS[0], 10, tmp_path)
    assert [path.name for path in paths] == ["boundary-mnist-single_im.csv", "boundary-mnist.png"]
    with paths[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["0", "10", "20", "30"]
    alone = matplotlib_image.imread(paths[1])
    (tmp_path / "boundary-mnist-other.csv").write_text(paths[0].read_text().replace(MODELS[0], "mnist/other"))
    boundary.analyse(MODELS[0], 10, tmp_path)
    assert np.any(matplotlib_image.imread(paths[1]) != alone)
