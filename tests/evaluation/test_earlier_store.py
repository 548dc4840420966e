"""A store that an earlier version of the code made is taken over whole: no attack and no shift is computed again.

It holds three images of MNIST, attacked on mnist/bicnn with seed 0, without the adversarial images.
"""

import contextlib
import gzip
import sqlite3
from pathlib import Path

import pytest

from cortexzoo import catalog, datasets
from cortexzoo.evaluation.preparation import Preparation
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites import find
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from tests.conftest import load_split

FILE = Path(__file__).parent / "data" / "small_store.sqlite.gz"
MODEL, SAMPLES = "mnist/bicnn", 3
TABLES = ("clean", "runs", "results", "chunks", "predictions")
# Suites with the sources that their adversarials are transferred from.
SUITES = {
    **dict.fromkeys(("cleverhans", "boundary", "paper42_l1_hardened", "brendel_bethge_comment"), ()),
    **dict.fromkeys(("noise", "white_box", "corruptions"), ()),
    "transfer": ("mnist/cnn",),
}


def rows(path: Path) -> dict[str, list[tuple]]:
    """Everything that a store knows of attacks and shifts."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The earlier store."""
    path = tmp_path / "small_store.sqlite"
    path.write_bytes(gzip.decompress(FILE.read_bytes()))
    return path


@pytest.mark.skipif(MODEL not in catalog.model_ids(), reason="the catalogue has no such model")
@pytest.mark.parametrize("name", SUITES)
def test_nothing_is_computed_again(name: str, unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Decoded once for all tests.
    digits = load_split("mnist", "test")
    monkeypatch.setattr(datasets, "load", lambda name, split: digits)
    suite, before = find(name), rows(unpacked)
    prepare = Preparation(suite=suite, models=(MODEL,), samples=SAMPLES, sources=SUITES[name])
    with Store(unpacked) as store:
        (evaluation,) = prepare(store)
        assert evaluation.digest in store.models(), "the model is another one: make the store anew"
        suite.run(evaluation)
        summary = suite.summarize(evaluation)
        members = suite.members(evaluation)
    assert rows(unpacked) == before
    scores = summary.attacks if isinstance(suite, AttackSuite) else summary.curves
    assert [(score.label, score.samples) for score in scores] == [(member.label, SAMPLES) for member in members]
    assert len(members) > 0


def test_the_store_has_results_of_every_kind(unpacked: Path) -> None:
    found = rows(unpacked)
    assert all(found.values())
    assert len(found["runs"]) == len(found["chunks"])
