"""A run that is killed at any moment goes on from there, and in the end no one can tell."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cortexzoo.evaluation.results import store
from cortexzoo.evaluation.results.store import Store, StoreError
from tests.evaluation.rows import read_rows, read_tables
from tests.evaluation.slow_evaluation import CHUNK, DELAY, SAMPLES, evaluate

REPOSITORY = Path(__file__).parents[2]
WRITE = """
import sys
import numpy as np
from cortexzoo.evaluation.results.store import RunKey, Store

print("ready", flush=True)
with Store(sys.argv[1]) as store:
    run = store.run_id(RunKey("digest", "tiny", "logits", 0, {"norm": "l2"}), {})
    for first in range(0, 10**6, 5):
        ids = np.arange(first, first + 5)
        store.add_results(run, ids, ids / 2, ids, 1.0, [(i, np.full((4, 4, 1), i, np.float32)) for i in ids])
"""


def start(*arguments: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


def stored_chunks(path: Path) -> int:
    """How many chunks are stored by now."""
    if not path.is_file() or "chunks" not in read_tables(path):
        return 0
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        return connection.execute("SELECT COUNT(*) FROM chunks").fetchone()[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_evaluation_resumes_to_the_same_rows(workers: int, tiny_path: Path, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed.sqlite", tmp_path / "whole.sqlite"
    chunks = SAMPLES // CHUNK
    process = start("-m", "tests.evaluation.slow_evaluation", tiny_path, killed, workers, **{DELAY: "0.3"})
    try:
        deadline = time.monotonic() + 120
        while stored_chunks(killed) < chunks // 2:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        # Ends when nobody holds the pipe any more: a worker that outlived its parent would be found here.
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    done = stored_chunks(killed)
    assert chunks // 2 <= done < chunks
    before = read_rows(killed)
    assert len(before["results"]) == done * CHUNK

    evaluate(tiny_path, killed)
    assert stored_chunks(killed) == chunks
    evaluate(tiny_path, whole)
    after, unbroken = read_rows(killed), read_rows(whole)
    assert after == unbroken
    assert len(unbroken["results"]) == SAMPLES
    assert len(unbroken["images"]) > 0
    # The first half was taken over, not computed again.
    assert set(before["results"]) <= set(after["results"])


@pytest.mark.parametrize("seed", range(6))
def test_store_of_a_killed_writer_holds_whole_chunks(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    process = start("-c", WRITE, path)
    try:
        assert process.stdout.readline() == "ready\n"
        # From the creation of the file to some chunks later.
        time.sleep(random.Random(seed).uniform(0.0, 0.08))
    finally:
        process.kill()
        process.communicate()
    # A file without tables, a file with all of them, or none: each can be opened.
    Store(path).close()
    rows = read_rows(path)
    assert len(rows["results"]) % 5 == 0
    assert stored_chunks(path) == len(rows["results"]) // 5
    assert [row[1] for row in rows["images"]] == [row[1] for row in rows["results"]]


def test_store_is_created_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kills above seldom fall between two statements of the creation. This stops after the last but one.
    path = tmp_path / "results.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(store, "_SCHEMA", store._SCHEMA + "CREATE NONSENSE;")
        with pytest.raises(StoreError, match="syntax error"):
            Store(path)
    assert read_tables(path) == []
    Store(path).close()
    assert "results" in read_tables(path)
