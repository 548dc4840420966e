"""`python -m cortexzoo`, run as a user runs it."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cortexzoo as cz
import pytest
from cortexzoo import catalog
from cortexzoo.card import write_card
from cortexzoo.card_page import render_card

from tests.zoo.conftest import SMALL_ID


def run_zoo(*arguments: str, columns: int = 160) -> subprocess.CompletedProcess:
    # UTF-8 and a width, so that the output is the same in every terminal and in none.
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "cortexzoo", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)


@pytest.mark.usefixtures("catalogue")
def test_list() -> None:
    clean = {"correct": 5, "samples": 10, "accuracy": 0.5, "interval": [0.24, 0.76]}
    catalog.update_card(SMALL_ID, clean=clean)
    result = run_zoo("list")
    assert result.returncode == 0
    row = next(line for line in result.stdout.splitlines() if SMALL_ID in line)
    for value in ("50.0", f"{cz.model_card(SMALL_ID).parameters:,}", "A. Nobody 2021", "—"):
        assert value in row


def test_list_keeps_ids_whole_in_a_narrow_terminal(catalogue: Path) -> None:
    model_id = "mnist/a_rather_long_name"
    shutil.copytree(catalogue / SMALL_ID, catalogue / model_id)
    catalog.save_card(dataclasses.replace(cz.model_card(SMALL_ID), id=model_id, parameters=13_579_246))
    result = run_zoo("list", columns=80)
    assert model_id in result.stdout
    assert "13,579,246" in result.stdout


@pytest.mark.usefixtures("catalogue")
def test_list_of_another_data_set() -> None:
    result = run_zoo("list", "--dataset=cifar10")
    assert result.returncode == 0
    assert SMALL_ID not in result.stdout


@pytest.mark.usefixtures("catalogue")
def test_card() -> None:
    result = run_zoo("card", SMALL_ID)
    assert result.returncode == 0
    assert result.stdout == render_card(cz.model_card(SMALL_ID)) + "\n"


def test_verify(catalogue: Path) -> None:
    result = run_zoo("verify")
    assert (result.returncode, result.stdout) == (0, f"{SMALL_ID}: 4 files as on the card\n")
    path = catalogue / SMALL_ID / "1" / "saved_model.pb"
    path.write_bytes(path.read_bytes() + b"\0")
    for arguments in ([], [SMALL_ID]):
        result = run_zoo("verify", *arguments)
        assert result.returncode == 1
        assert str(path) in result.stderr
        assert "Traceback" not in result.stderr


def test_verify_goes_on_after_a_broken_model(catalogue: Path) -> None:
    for name in ("a", "z"):
        shutil.copytree(catalogue / SMALL_ID, catalogue / "mnist" / name)
        write_card(
            dataclasses.replace(cz.model_card(SMALL_ID), id=f"mnist/{name}"), catalogue / "mnist" / name / "card.json"
        )
        (catalogue / "mnist" / name / "1" / "saved_model.pb").write_bytes(b"")
    result = run_zoo("verify")
    assert (result.returncode, result.stdout) == (1, f"{SMALL_ID}: 4 files as on the card\n")
    assert "The files of mnist/a are not" in result.stderr
    assert "The files of mnist/z are not" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Expected one of the commands list, card, verify. Received: nothing."),
        (["train"], "Expected one of the commands list, card, verify. Received: train."),
        (["card"], "Expected a model, as in `zoo card mnist/dim`. Received: none."),
        (["card", "mnist/smal"], "Close matches: mnist/small."),
        (["verify", "mnist/smal"], "Close matches: mnist/small."),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_errors(arguments: list[str], message: str) -> None:
    result = run_zoo(*arguments)
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("content", ["{", '{"schema_version": 1}'])
def test_malformed_card(catalogue: Path, content: str) -> None:
    (catalogue / SMALL_ID / "card.json").write_text(content)
    result = run_zoo("list")
    assert result.returncode == 1
    assert "card.json" in result.stderr
    assert "Traceback" not in result.stderr
