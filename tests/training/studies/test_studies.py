"""What all studies have in common: they are found by their folders, and refuse before their work."""

import subprocess
import sys
from pathlib import Path

import pytest

from cortexzoo.console import discover
from cortexzoo.training.recordings.file import load_recordings
from cortexzoo.training.studies.sweep import run as sweep_run
from tests.training.studies.conftest import Study

STUDIES = ("layer_weights", "similarity_settings", "simulated_recordings", "sweep", "targets")


def test_a_study_is_a_folder() -> None:
    assert tuple(discover("cortexzoo.training.studies")) == STUDIES


def test_one_command_for_all(tmp_path: Path) -> None:
    """Help of the command and of a study; nothing is written."""
    command = [sys.executable, "-m", "cortexzoo.training.studies"]
    for arguments, found in (([], STUDIES), (["sweep", "--help"], ("--values", "--output", "runs/studies/sweep"))):
        result = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert all(text in result.stdout for text in found)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["targets", "--data=mnits"], "Received: name='mnits'"),
        (["targets", "--page=page.md"], "Expected the lines <!-- targets:begin --> and <!-- targets:end --> in page.md"),
        (["targets", "--page=missing.md"], "Expected a page with a section for --page. Received: "),
        (["targets", "--output=page.md"], "Expected a folder that can be written: page.md. Received: "),
        (["targets", "--output="], "Expected a path for --output. Received: none"),
        (["similarity_settings", "--data=mnits"], "Received: 'mnits/resnet'. Did you mean"),
        (["similarity_settings", "--set=epochs=0"], "Expected epochs to be from 1"),
        (["similarity_settings", "--page=page.md"], "Expected the lines <!-- similarity grids:begin -->"),
        (["sweep"], "Expected --recipe=NAME. Received: none"),
        (["sweep", "--recipe=mnist/cnn"], "Expected a recipe with a `strength`. Received: mnist/cnn"),
        (["sweep", "--recipe=mnist/saturating_relu_mlp", "--values=0,a"], "Expected numbers for --values. Received: 0,a"),
        (["sweep", "--recipe=mnist/saturating_relu_mlp", "--values=nan"], "Expected strength to be from 0.0"),
        (["layer_weights", "--model=mnist/cnn"], "trained with the similarity regulariser. Received: ['mnist/cnn']"),
        (["layer_weights", "--model=mnist/dmi"], "Received: 'mnist/dmi'. Close matches"),
        (["simulated_recordings", "--data=mnits", "--output=v1.npz"], "Received: name='mnits'"),
        (["simulated_recordings", "--units=1", "--scans=2", "--output=v1.npz"], "1 <= `scans` <= `units`"),
    ],
)
def test_refusals(arguments: list[str], message: str, study: Study, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("no section\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as error:
        study(*arguments)
    assert message in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_sweep_without_the_plain_network(study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """It has no verdict, and its table is kept."""
    monkeypatch.setattr(sweep_run, "sweep", lambda *_: tmp_path / "none.csv")
    study("sweep", "--recipe=mnist/saturating_relu_mlp", "--values=0.1")
    assert "none.csv: add 0 to --values" in capsys.readouterr().out


def test_layer_weights_of_the_catalogue(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    study("layer_weights", "--model=mnist/resnet_thresholded", "--output=weights")
    assert capsys.readouterr().out.split() == ["weights/layer-weights.csv", "weights/layer-weights.png"]
    assert len((tmp_path / "weights/layer-weights.csv").read_text().splitlines()) == 6


def test_simulated_recordings(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    study("simulated_recordings", "--images=100", "--units=6", "--trials=2", "--scans=2", "--output=v1.npz")
    recordings = load_recordings(tmp_path / "v1.npz")
    assert recordings.images.shape == (100, 28, 28, 1)
    assert recordings.responses.shape == (2, 100, 6)
    assert "6 units of simulated V1" in capsys.readouterr().out
