"""`python -m cortexzoo.training.targets`: its numbers against plain ones, its files, and its errors."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cortexzoo import datasets
from cortexzoo.datasets import Split
from cortexzoo.training import targets
from cortexzoo.training.recordings.file import load_recordings
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
from matplotlib import image as matplotlib_image

ROOT = Path(__file__).parents[3]


def few_digits(name: str, split: str) -> Split:
    """Ten blurred patterns of 28 x 28 pixels, one a class."""
    assert split == "train"
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 10
    images = 0.7 * generator.random((10, 7, 7))[labels].repeat(4, axis=1).repeat(4, axis=2)
    images = images + 0.3 * generator.random((200, 28, 28))
    return Split(images[..., None].astype(np.float32), labels, np.arange(200))


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


# The command, with the images above in the place of MNIST, whose 60,000 take long to decode.
_COMMAND = """
import runpy
from tests.training.targets.test_analysis import few_digits
from cortexzoo import datasets
datasets.load = few_digits
runpy.run_module("cortexzoo.training.targets", run_name="__main__", alter_sys=True)
"""


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", _COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_analysis_from_the_shell(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- targets:begin -->\nold\n<!-- targets:end -->\nafter\n", encoding="utf-8")
    arguments = ["--datasets=mnist", "--images=100", "--pairs=1000", f"--page={page}", f"--output={tmp_path / 'figures'}"]
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
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


def test_recordings_from_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "v1.npz"
    arguments = ["--datasets=mnist", "--images=100", "--units=6", "--trials=2", "--scans=2"]
    result = run(*arguments, f"--simulate_recordings={path}")
    assert result.returncode == 0, result.stderr
    recordings = load_recordings(path)
    assert recordings.images.shape == (100, 28, 28, 1)
    assert recordings.responses.shape == (2, 100, 6)
    assert "6 units of simulated V1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--datasets=mnits"], "Received: name='mnits'"),
        (["--page=README.md"], "Expected the lines <!-- targets:begin --> and <!-- targets:end --> in README.md"),
    ],
)
def test_wrong_flags(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.returncode, message in result.stderr) == (1, True)
    assert "Traceback" not in result.stderr
