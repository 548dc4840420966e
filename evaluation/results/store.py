"""The store of results: one distance or prediction per model, data set, attack or shift, endpoint, seed and sample.

It is an SQLite file. Every chunk of samples is one transaction, so a killed run leaves only whole chunks and can resume.
"""

import dataclasses
import hashlib
import json
import os
import sqlite3
import weakref
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Files older than the shifts lack this table; it is created with its first rows.
_PREDICTIONS = """
CREATE TABLE IF NOT EXISTS predictions (
    run INTEGER NOT NULL, first INTEGER NOT NULL, labels BLOB NOT NULL, PRIMARY KEY (run, first)
) WITHOUT ROWID;
"""
# Files older than the answers of random models lack this one.
_ANSWERS = """
CREATE TABLE IF NOT EXISTS answers (
    run INTEGER NOT NULL, sample INTEGER NOT NULL, size REAL NOT NULL, wrong INTEGER NOT NULL, repeats INTEGER NOT NULL,
    PRIMARY KEY (run, sample)
) WITHOUT ROWID;
"""
_SCHEMA = f"""{_PREDICTIONS}
CREATE TABLE IF NOT EXISTS models (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clean (
    digest TEXT NOT NULL, dataset TEXT NOT NULL, sample INTEGER NOT NULL,
    label INTEGER NOT NULL, prediction INTEGER NOT NULL, PRIMARY KEY (digest, dataset, sample)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, dataset TEXT NOT NULL, norm TEXT NOT NULL,
    description TEXT NOT NULL, versions TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS results (
    run INTEGER NOT NULL, sample INTEGER NOT NULL, distance REAL NOT NULL, prediction INTEGER NOT NULL,
    PRIMARY KEY (run, sample)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    run INTEGER NOT NULL, first INTEGER NOT NULL, samples INTEGER NOT NULL, seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS images (
    run INTEGER NOT NULL, sample INTEGER NOT NULL, image BLOB NOT NULL, PRIMARY KEY (run, sample)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checks (
    digest TEXT NOT NULL, dataset TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (digest, dataset, name)
) WITHOUT ROWID;
"""
_FORMAT = 1
# A prediction is stored in one byte. Larger labels become this value, which is wrong on data sets with fewer classes.
OTHER_LABEL = 255


@dataclasses.dataclass(frozen=True)
class RunKey:
    """The identity of one attack, or one level of a shift, on one model. If anything in it changes, it is computed anew.

    Attributes:
        digest: the model's identity.
        dataset: name of the data set whose test split is attacked.
        endpoint: the differentiated endpoint.
        seed: the seed.
        settings: those of the attack or shift, as plain JSON values.
    """

    digest: str
    dataset: str
    endpoint: str
    seed: int
    settings: dict[str, Any]

    @property
    def norm(self) -> str:
        """The attack's norm; empty for a shift."""
        return self.settings.get("norm", "")

    def as_json(self) -> str:
        """Returns the key as canonical JSON text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def _without_sizes(key: RunKey) -> RunKey:
    return dataclasses.replace(key, settings=_strip(json.loads(json.dumps(key.settings))))


def _strip(value: Any) -> Any:
    """Removes epsilons from settings, including those of attacks inside an attack."""
    if isinstance(value, dict):
        return {name: _strip(part) for name, part in value.items() if name not in ("epsilon", "epsilons")}
    return [_strip(part) for part in value] if isinstance(value, list) else value


class StoreError(RuntimeError):
    """The file is missing, is not a store, or is one of another version."""


class Store:
    """The results of evaluations, in one SQLite file.

    Args:
        path: the file; ":memory:" keeps the results in memory.
        create: whether to create the file and its folder if missing.

    Raises:
        StoreError: the file is not a store, or it is missing and `create` is False.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self.path = str(path)
        if not self.path:
            # SQLite would take a temporary file, and all the work would be lost.
            raise StoreError("Expected the path of a file of results. Received: none.")
        if not create and self.path != ":memory:" and not Path(path).is_file():
            raise StoreError(f"Expected a file of results at {path}. Received: none. Run without --report_only first.")
        if self.path != ":memory:":
            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"Expected a path in a writable folder. Received: {path} ({error}).") from error
        try:
            self._connection = sqlite3.connect(self.path, timeout=60.0)
            # In Python, the store of a result stays open as long as something refers to it.
            weakref.finalize(self, self._connection.close)
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"Expected an SQLite file of results in {path}. Received: {error}. Name another file."
            ) from error

    def _prepare(self) -> None:
        try:
            # In this order, because another process may create the tables in between.
            (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            (found,) = self._connection.execute("PRAGMA user_version").fetchone()
            if tables and found != _FORMAT:
                raise StoreError(
                    f"Expected a store of format {_FORMAT} in {self.path}. Received: format {found}. Name another file."
                )
            if not tables:
                # One transaction: if it is killed, the file is still empty.
                self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_model(self, digest: str, name: str) -> None:
        """Stores a model's display name; the digest identifies it."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO models VALUES (?, ?)", (digest, name))

    def models(self) -> dict[str, str]:
        """Returns the names of all models by digest."""
        return dict(self._connection.execute("SELECT digest, name FROM models ORDER BY name"))

    def datasets(self, digest: str) -> list[str]:
        """Returns the names of the data sets on which a model was evaluated."""
        query = "SELECT DISTINCT dataset FROM clean WHERE digest = ? ORDER BY dataset"
        return [dataset for (dataset,) in self._connection.execute(query, (digest,))]

    def set_clean(self, digest: str, dataset: str, ids: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Stores the predictions for unchanged images."""
        rows = [(digest, dataset, *map(int, row)) for row in zip(ids, labels, predictions, strict=True)]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO clean VALUES (?, ?, ?, ?, ?)", rows)

    def clean(self, digest: str, dataset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns sample ids, labels and predictions, int64, (n,) each, sorted by id."""
        query = "SELECT sample, label, prediction FROM clean WHERE digest = ? AND dataset = ? ORDER BY sample"
        rows = np.array(self._connection.execute(query, (digest, dataset)).fetchall(), np.int64).reshape(-1, 3)
        return rows[:, 0], rows[:, 1], rows[:, 2]

    def run_id(self, key: RunKey, versions: dict[str, str]) -> int:
        """Returns the number of a run, and adds the run if it is new."""
        text = key.as_json()
        row = (hashlib.sha256(text.encode()).hexdigest(), key.digest, key.dataset, key.norm, text, json.dumps(versions))
        with self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO runs (key, digest, dataset, norm, description, versions) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return self.find_run(key)

    def find_run(self, key: RunKey) -> int | None:
        """Returns the number of a run; None if it is not in the store."""
        digest = hashlib.sha256(key.as_json().encode()).hexdigest()
        row = self._connection.execute("SELECT id FROM runs WHERE key = ?", (digest,)).fetchone()
        return row[0] if row else None

    def runs_at_other_sizes(self, key: RunKey) -> list[RunKey]:
        """Returns the identities of runs that differ from this one only in epsilon, oldest first."""
        query = "SELECT description FROM runs WHERE digest = ? AND dataset = ? AND norm = ? ORDER BY id"
        rows = self._connection.execute(query, (key.digest, key.dataset, key.norm))
        known = [RunKey(**json.loads(description)) for (description,) in rows]
        return [other for other in known if other != key and _without_sizes(other) == _without_sizes(key)]

    def versions(self, run: int) -> dict[str, str]:
        """Returns the package versions with which a run was started."""
        return json.loads(self._connection.execute("SELECT versions FROM runs WHERE id = ?", (run,)).fetchone()[0])

    def add_results(
        self,
        run: int,
        ids: np.ndarray,
        distances: np.ndarray,
        predictions: np.ndarray,
        seconds: float,
        images: Iterable[tuple[int, np.ndarray]] = (),
        answers: Sequence[tuple[int, float, int, int]] = (),
    ) -> None:
        """Adds one chunk in one transaction: after a kill, either all of it is stored or nothing.

        Args:
            run: number of the run.
            ids, distances, predictions: int, float and int, (n,).
            seconds: duration of the chunk.
            images: sample ids and adversarial images to keep.
            answers: of a random model: sample id, size of the perturbation, number of wrong answers, number of answers.
        """
        rows = [(run, int(i), float(d), int(p)) for i, d, p in zip(ids, distances, predictions, strict=True)]
        blobs = [(run, int(i), zlib.compress(image.astype("<f4").tobytes(), 9)) for i, image in images]
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", rows)
            self._connection.executemany("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", blobs)
            self._connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (run, int(ids[0]), len(rows), seconds))
            if answers:
                self._connection.execute(_ANSWERS)
                rows = [(run, *answer) for answer in answers]
                self._connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", rows)

    def answers(self, run: int) -> list[tuple[int, float, int, int]]:
        """Returns a random model's answers to the images of a run; see `add_results`."""
        if not self._has_table("answers"):
            return []
        query = "SELECT sample, size, wrong, repeats FROM answers WHERE run = ? ORDER BY sample"
        return list(self._connection.execute(query, (run,)))

    def _has_table(self, name: str) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return self._connection.execute(query, (name,)).fetchone() is not None

    def add_predictions(self, run: int, ids: np.ndarray, predictions: np.ndarray, seconds: float) -> None:
        """Adds one chunk of a shift in one transaction, one byte per sample.

        Args:
            run: number of the run.
            ids: sample ids, int, (n,), ascending; each stretch without a gap becomes a row.
            predictions: labels, int, (n,); those above `OTHER_LABEL` are stored as `OTHER_LABEL`.
            seconds: duration of the chunk.
        """
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(_PREDICTIONS)
            # Another process may have added some of them already.
            done = self.predictions(run)
            new = np.array([int(i) not in done for i in ids])
            if new.any():
                left, labels = ids[new], np.minimum(predictions[new], OTHER_LABEL).astype(np.uint8)
                breaks = np.flatnonzero(np.diff(left) != 1) + 1
                stretches = zip(np.split(left, breaks), np.split(labels, breaks), strict=True)
                rows = [(run, int(part[0]), found.tobytes()) for part, found in stretches]
                self._connection.executemany("INSERT INTO predictions VALUES (?, ?, ?)", rows)
            self._connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (run, int(ids[0]), len(ids), seconds))

    def predictions(self, run: int) -> dict[int, int]:
        """Returns the predicted label of each sample of a shift's run, by sample id."""
        if not self._has_table("predictions"):
            return {}
        rows = self._connection.execute("SELECT first, labels FROM predictions WHERE run = ? ORDER BY first", (run,))
        return {first + i: label for first, labels in rows for i, label in enumerate(labels)}

    def distances(self, run: int) -> dict[int, float]:
        """Returns the distance of each sample of a run, by sample id."""
        return dict(self._connection.execute("SELECT sample, distance FROM results WHERE run = ? ORDER BY sample", (run,)))

    def images(self, run: int, image_shape: tuple[int, int, int]) -> dict[int, np.ndarray]:
        """Returns the kept adversarial images of a run, float32, by sample id."""
        rows = self._connection.execute("SELECT sample, image FROM images WHERE run = ?", (run,))
        return {i: np.frombuffer(zlib.decompress(blob), "<f4").reshape(image_shape) for i, blob in rows}

    def image_ids(self, run: int) -> set[int]:
        """Returns the ids of the samples whose adversarial images are kept."""
        return {i for (i,) in self._connection.execute("SELECT sample FROM images WHERE run = ?", (run,))}

    def predicted(self, run: int) -> dict[int, int]:
        """Returns the predicted label of each adversarial image of a run, by sample id; -1 if there is none."""
        return dict(self._connection.execute("SELECT sample, prediction FROM results WHERE run = ?", (run,)))

    def prediction(self, run: int, sample: int) -> int:
        """Returns the predicted label of a sample's adversarial image; -1 if there is none."""
        row = self._connection.execute(
            "SELECT prediction FROM results WHERE run = ? AND sample = ?", (run, sample)
        ).fetchone()
        return row[0]

    def seconds(self, run: int) -> float:
        """Returns the duration of a run, summed over all executions of the program."""
        return self._connection.execute("SELECT COALESCE(SUM(seconds), 0) FROM chunks WHERE run = ?", (run,)).fetchone()[0]

    def set_check(self, digest: str, dataset: str, name: str, value: Any) -> None:
        """Stores the result of a check, or another fact about a model."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?)", (digest, dataset, name, json.dumps(value))
            )

    def check(self, digest: str, dataset: str, name: str) -> Any:
        """Returns what `set_check` stored; None if there is nothing."""
        query = "SELECT value FROM checks WHERE digest = ? AND dataset = ? AND name = ?"
        row = self._connection.execute(query, (digest, dataset, name)).fetchone()
        return json.loads(row[0]) if row else None
