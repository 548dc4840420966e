"""A training that is killed, really, and run again ends with the same bits as one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cortexzoo.training.fitting import _read_history
from cortexzoo.training.recipes import Trained
from tests.training.interrupted_fit import IN_A_BATCH, IN_A_CHECKPOINT, fit_small_recipe

ROOT = Path(__file__).parents[2]
STAGES = {"denoiser": 3, "internal_models": 4}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    directory = tmp_path_factory.mktemp("unbroken")
    return fit_small_recipe(directory), directory


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """Killed in a batch of the first stage, resumed, killed in a checkpoint of the second, resumed to the end."""
    directory = tmp_path_factory.mktemp("resumed")
    left = []
    for moment in (IN_A_BATCH, IN_A_CHECKPOINT):
        command = [sys.executable, "-m", "tests.training.interrupted_fit", str(directory), moment]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False)
        assert result.returncode == -signal.SIGKILL, result.stderr
        left.append(sorted(path.relative_to(directory).as_posix() for path in directory.glob("*/*poch-*.h5")))
    assert left == [
        ["denoiser/epoch-0001.weights.h5"],
        ["denoiser/epoch-0003.weights.h5", "internal_models/epoch-0002.weights.h5"],
    ]
    return fit_small_recipe(directory), directory


def test_the_run_is_worth_resuming(unbroken: tuple[Trained, Path]) -> None:
    """Otherwise equal weights would mean little: both stages learn, and their noise layers were at work."""
    trained, directory = unbroken
    for stage, epochs in STAGES.items():
        loss = _read_history(directory / stage / "history.csv", epochs)["loss"]
        assert len(set(loss)) == epochs
        assert loss[-1] < loss[0]
    assert trained.model.denoiser_noise > 0
    assert trained.model.internal_noise > 0


def test_weights_are_the_same_bits(unbroken: tuple[Trained, Path], resumed: tuple[Trained, Path]) -> None:
    expected, received = unbroken[0].model, resumed[0].model
    for weight, a, b in zip(expected.weights, expected.get_weights(), received.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=weight.path)


def test_scores_and_scale_are_the_same(unbroken: tuple[Trained, Path], resumed: tuple[Trained, Path]) -> None:
    assert resumed[0].validation == unbroken[0].validation
    assert resumed[0].epochs == unbroken[0].epochs == STAGES
    assert resumed[0].model.logit_scale == unbroken[0].model.logit_scale


@pytest.mark.parametrize("stage", STAGES)
def test_history_is_the_same(unbroken: tuple[Trained, Path], resumed: tuple[Trained, Path], stage: str) -> None:
    expected, received = (_read_history(run[1] / stage / "history.csv", STAGES[stage]) for run in (unbroken, resumed))
    assert len(expected["loss"]) == STAGES[stage]
    assert received == expected


@pytest.mark.parametrize("stage", STAGES)
def test_last_checkpoint_is_the_same(unbroken: tuple[Trained, Path], resumed: tuple[Trained, Path], stage: str) -> None:
    """Weights, and the state of Adam: a third run would go on from the same place."""

    def content(directory: Path) -> dict[str, np.ndarray]:
        values = {}
        with h5py.File(directory / stage / f"epoch-{STAGES[stage]:04d}.weights.h5") as file:
            file.visititems(lambda name, item: values.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return values

    expected, received = content(unbroken[1]), content(resumed[1])
    assert any(name.startswith("optimizer/") for name in expected)
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, err_msg=name)


def test_one_checkpoint_is_kept(unbroken: tuple[Trained, Path], resumed: tuple[Trained, Path]) -> None:
    for _, directory in (unbroken, resumed):
        for stage, epochs in STAGES.items():
            assert [path.name for path in (directory / stage).glob("epoch-*")] == [f"epoch-{epochs:04d}.weights.h5"]


def test_a_finished_run_is_not_run_again(unbroken: tuple[Trained, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.Model.fit", lambda *_, **__: pytest.fail("fit was called again"))
    again = fit_small_recipe(unbroken[1])
    for a, b in zip(unbroken[0].model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
