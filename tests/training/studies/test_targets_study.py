"""The study of similarity targets: its numbers against plain ones, and its files."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from cortexzoo import datasets
from cortexzoo.training import targets
from cortexzoo.training.studies.targets import analysis
from cortexzoo.training.studies.targets.analysis import (
    Sample,
    agreement,
    draw_sample,
    draw_thresholds,
    firing,
    section,
    write_rows,
)
from tests.training.studies.conftest import Study, few_digits


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Sample:
    monkeypatch.setattr(datasets, "load", few_digits)
    return draw_sample("mnist", 150, 3000)


def test_firing_counts(sample: Sample) -> None:
    """Against a loop over the pairs."""
    (digits, fashion) = firing(sample)
    assert (digits.task, digits.threshold, fashion.task, fashion.threshold) == ("mnist", 0.2, "fashion_mnist", 0.4)
    for found in (digits, fashion):
        above = [i for i in range(3000) if sample.similarity[i] > found.threshold]
        below = [i for i in range(3000) if sample.similarity[i] < -found.threshold]
        assert found.above == pytest.approx(len(above) / 3000)
        assert found.below == pytest.approx(len(below) / 3000)
        assert found.fires == found.above + found.below
        same = [sample.labels[sample.first[i]] == sample.labels[sample.second[i]] for i in above]
        assert found.same_class_above == pytest.approx(np.mean(same))
    assert digits.same_class == pytest.approx(0.1, abs=0.03)


def test_sample_is_of_distinct_training_images(sample: Sample) -> None:
    assert len(np.unique(sample.pixel.images.reshape(150, -1), axis=0)) == 150
    again = draw_sample("mnist", 150, 3000)
    np.testing.assert_array_equal(again.first, sample.first)
    np.testing.assert_array_equal(again.pixel.images, sample.pixel.images)


def test_files(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        analysis, "build", lambda name, images, **options: targets.build(name, images, units=30, trials=3, **options)
    )
    found = agreement(sample, tmp_path)
    v1 = targets.build("simulated_v1", sample.pixel.images, seed=0, units=30, trials=3)
    assert found.r == pytest.approx(np.corrcoef(sample.similarity, v1.similarity(sample.first, sample.second))[0, 1])
    assert -1 <= found.r_min <= found.r <= found.r_max <= 1
    assert found.r_min < found.r_max
    draw_thresholds([sample], tmp_path / "thresholds.png")
    names = {"matrices-mnist.png", "scatter-mnist.png", "thresholds.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        assert np.ptp(matplotlib_image.imread(tmp_path / name)[..., :3]) > 0.5
    write_rows([found], tmp_path / "targets.csv")
    with (tmp_path / "targets.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["dataset"], float(row["r"])) == ("mnist", pytest.approx(found.r, rel=1e-5))
    text = section([found], firing(sample), "figures/similarity")
    assert f"| mnist | {found.r:.2f} |" in text
    assert all(f"(figures/similarity/{name})" in text for name in names)
    tables = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert tables == [9] * 3 + [11] * 4


def test_study_from_the_shell(study: Study, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- targets:begin -->\nold\n<!-- targets:end -->\nafter\n", encoding="utf-8")
    study("targets", "--data=mnist", "--images=100", "--pairs=1000", f"--page={page}", f"--output={tmp_path / 'figures'}")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- targets:begin -->\n| images | r |")
    assert text.endswith("(figures/matrices-mnist.png)\n<!-- targets:end -->\nafter\n")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "matrices-mnist.png",
        "scatter-mnist.png",
        "targets.csv",
        "thresholds.csv",
        "thresholds.png",
    }
