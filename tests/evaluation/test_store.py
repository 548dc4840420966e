"""The store: what counts as the same work, that chunks are whole, and that nothing is computed twice."""

import dataclasses
import json
import math
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Attack, Batch
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.store import RunKey, Store, StoreError
from cortexzoo.evaluation.running.attacker import KEPT_IMAGES
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.evaluation.rows import read_rows
from tests.evaluation.small_models import TINY, random_network, save_classifier

KEY = RunKey("digest", "mnist", "logits", 0, {"attack": "a", "version": 1, "norm": "l2", "steps": 5})
IDS = np.arange(3)
FOUND = np.array([0.0, 1.25, np.inf])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(Attack):
    """A cheap attack that records on which samples it was run."""

    name: ClassVar[str] = "tests/noise"
    chunk_size: ClassVar[int] = 8
    calls: ClassVar[list[list[int]]] = []

    norm: str = "linf"
    size: float = 0.5

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """Uniform noise, the same for the same sample."""
        self.calls.append(batch.ids.tolist())
        noise = [np.random.default_rng([batch.seed, i]).uniform(-1, 1, classifier.image_shape) for i in batch.ids]
        return np.clip(batch.images + self.size * np.stack(noise).astype(np.float32), 0.0, 1.0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids of each batch that the attack got during this test."""
    monkeypatch.setattr(Noise, "calls", [])
    return Noise.calls


def run(
    store: Store, classifier: Classifier, split: Split, samples: int, *, attack: Attack | None = None, seed: int = 0
) -> None:
    suite_of(attack or Noise()).run(evaluation_of(store, classifier, TINY, split, samples=samples, seed=seed))


def key_of(classifier: Classifier, attack: Attack) -> RunKey:
    return RunKey(classifier.digest, "tiny", "logits", 0, settings(attack))


def test_a_run_is_found_by_its_key_again(tmp_path: Path) -> None:
    with Store(tmp_path / "results.sqlite") as store:
        assert store.find_run(KEY) is None
        number = store.run_id(KEY, {"numpy": "1"})
        assert store.run_id(KEY, {"numpy": "2"}) == number
    with Store(tmp_path / "results.sqlite") as store:
        assert store.find_run(KEY) == number
        # The order of the settings is no difference.
        reordered = dataclasses.replace(KEY, settings=dict(reversed(KEY.settings.items())))
        assert store.find_run(reordered) == number


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "other"},
        {"dataset": "fashion_mnist"},
        {"endpoint": "attack_logits"},
        {"seed": 1},
        {"settings": KEY.settings | {"steps": 6}},
        {"settings": KEY.settings | {"version": 2}},
        {"settings": KEY.settings | {"attack": "b"}},
        {"settings": KEY.settings | {"norm": "linf"}},
        {"settings": KEY.settings | {"restarts": 1}},
    ],
    ids=lambda change: "-".join([*change, *(str(v) for v in change.values() if not isinstance(v, dict))]),
)
def test_any_change_of_the_key_is_new_work(change: dict[str, Any]) -> None:
    with Store(":memory:") as store:
        store.add_results(store.run_id(KEY, {}), IDS, FOUND, IDS, 1.0)
        changed = dataclasses.replace(KEY, **change)
        assert store.find_run(changed) is None
        assert store.distances(store.run_id(changed, {})) == {}


def test_every_setting_of_an_attack_is_in_its_key() -> None:
    assert settings(Noise()) == {"attack": "tests/noise", "version": 1, "norm": "linf", "size": 0.5}
    assert json.loads(json.dumps(settings(Noise()))) == settings(Noise())


_FLOAT = st.one_of(st.just(0.0), st.just(math.inf), st.floats(0, 1e3))


@given(st.dictionaries(st.integers(0, 10**6), _FLOAT, min_size=1, max_size=20))
def test_distances_come_back_exactly(found: dict[int, float]) -> None:
    with Store(":memory:") as store:
        number = store.run_id(KEY, {})
        ids = np.array(list(found))
        store.add_results(number, ids, np.array(list(found.values())), np.zeros(len(ids), int), 0.5)
        assert store.distances(number) == found
        assert list(store.distances(number)) == sorted(found)


def test_images_predictions_times_and_checks_come_back(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 1, (28, 28, 1)).astype(np.float32)
    with Store(tmp_path / "folder" / "results.sqlite") as store:
        number = store.run_id(KEY, {})
        store.add_results(number, IDS, FOUND, np.array([7, 8, 9]), 1.5, [(1, image)])
        store.add_results(number, IDS + 3, FOUND, IDS, 2.0)
        store.add_model("digest", "one")
        store.add_model("digest", "two")
        store.set_check("digest", "mnist", "zero gradient", {"value": 0.5, "samples": 200})
    with Store(tmp_path / "folder" / "results.sqlite") as store:
        images = store.images(number, (28, 28, 1))
        assert images.keys() == {1}
        np.testing.assert_array_equal(images[1], image)
        assert store.prediction(number, 1) == 8
        assert store.seconds(number) == 3.5
        assert store.models() == {"digest": "two"}
        assert store.check("digest", "mnist", "zero gradient") == {"value": 0.5, "samples": 200}
        assert store.check("digest", "cifar10", "zero gradient") is None


def test_a_chunk_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    image = np.zeros((2, 2, 1), np.float32)
    with Store(path) as store:
        number = store.run_id(KEY, {})
        # The disk is full, say, after the distances and before the images.
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TRIGGER full BEFORE INSERT ON images BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        connection.close()
        with pytest.raises(sqlite3.DatabaseError, match="disk full"):
            store.add_results(number, IDS, FOUND, IDS, 1.0, [(1, image)])
        assert store.distances(number) == {}
        assert store.seconds(number) == 0.0
    assert read_rows(path)["results"] == []


def test_results_are_visible_to_others_at_once(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    with Store(path) as writer, Store(path) as reader:
        number = writer.run_id(KEY, {})
        writer.add_results(number, IDS, FOUND, IDS, 1.0)
        assert reader.distances(number) == dict(enumerate(FOUND))


def test_what_is_stored_is_not_overwritten() -> None:
    # Two processes may work on the same run; the first result counts.
    with Store(":memory:") as store:
        number = store.run_id(KEY, {})
        store.add_results(number, IDS, FOUND, IDS, 1.0)
        store.add_results(number, IDS, FOUND + 1.0, IDS, 1.0)
        assert store.distances(number) == dict(enumerate(FOUND))


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photographs (id INTEGER)")
    connection.commit()
    connection.close()


def later_format(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("accuracy: 100 %\n" * 100), "Expected an SQLite file of results in .*not a database"),
        (other_database, "Expected a store of format 1 in .*Received: format 0"),
        (later_format, "Expected a store of format 1 in .*Received: format 99"),
        (lambda path: path.mkdir(), "Expected an SQLite file of results in .*unable to open"),
        (lambda path: path.parent.joinpath("file").touch(), None),
    ],
    ids=["text", "other database", "later format", "folder", "missing"],
)
def test_wrong_file(write: Any, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    write(path)
    if message is None:
        Store(path).close()
        return
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=message) as raised:
        Store(path)
    assert str(path) in str(raised.value)
    # Someone's file is not changed by a mistaken --store.
    assert (path.read_bytes() if path.is_file() else None) == before


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Expected a path in a writable folder"):
        Store(tmp_path / "file" / "results.sqlite")


def test_a_second_run_computes_nothing(
    calls: list[list[int]], tiny_classifier: Classifier, tiny: Split, tmp_path: Path
) -> None:
    path = tmp_path / "results.sqlite"
    with Store(path) as store:
        run(store, tiny_classifier, tiny, 20)
        assert calls == [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    before = read_rows(path)
    assert len(before["results"]) == 20
    assert len(before["clean"]) == len(tiny)
    assert len(before["images"]) == KEPT_IMAGES
    calls.clear()
    with Store(path) as store:
        run(store, tiny_classifier, tiny, 20)
        run(store, tiny_classifier, tiny, 5)
    assert calls == []
    assert read_rows(path) == before


def test_more_samples_compute_the_new_ones_only(
    calls: list[list[int]], tiny_classifier: Classifier, tiny: Split, tmp_path: Path
) -> None:
    with Store(tmp_path / "grown.sqlite") as store:
        run(store, tiny_classifier, tiny, 10)
        calls.clear()
        run(store, tiny_classifier, tiny, 20)
    assert calls == [list(range(10, 16)), list(range(16, 20))]
    with Store(tmp_path / "at_once.sqlite") as store:
        run(store, tiny_classifier, tiny, 20)
    assert read_rows(tmp_path / "grown.sqlite") == read_rows(tmp_path / "at_once.sqlite")


def test_a_member_with_a_limit_of_its_own(calls: list[list[int]], tiny_classifier: Classifier, tiny: Split) -> None:
    suite = suite_of(Member(Noise(), "noise", samples=3), samples=20)
    with Store(":memory:") as store:
        suite.run(evaluation_of(store, tiny_classifier, TINY, tiny))
    assert calls == [[0, 1, 2]]


def test_no_more_samples_than_there_are(calls: list[list[int]], tiny_classifier: Classifier, tiny: Split) -> None:
    with Store(":memory:") as store:
        run(store, tiny_classifier, tiny, 10_000)
    assert [i for call in calls for i in call] == tiny.ids.tolist()


@pytest.mark.parametrize("what", ["seed", "setting", "model"])
def test_other_work_is_done_anew(
    what: str, calls: list[list[int]], tiny_classifier: Classifier, tiny: Split, tmp_path: Path
) -> None:
    with Store(":memory:") as store:
        run(store, tiny_classifier, tiny, 8)
        calls.clear()
        if what == "seed":
            run(store, tiny_classifier, tiny, 8, seed=1)
        elif what == "setting":
            run(store, tiny_classifier, tiny, 8, attack=Noise(size=0.25))
        else:
            # The same network but for one weight, in the same place under the same name.
            network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
            network.layers[0][0][0, 0].assign(network.layers[0][0][0, 0] + 1e-3)
            path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables)
            run(store, Classifier(path, TINY, tiny.images[:2]), tiny, 8)
    (attacked,) = calls
    assert len(attacked) >= 7


def test_misclassified_images_are_not_attacked_and_have_distance_0(
    calls: list[list[int]], tiny_classifier: Classifier, tiny: Split
) -> None:
    labels = tiny.labels.copy()
    labels[[1, 5]] = (labels[[1, 5]] + 1) % TINY.num_classes
    with Store(":memory:") as store:
        run(store, tiny_classifier, dataclasses.replace(tiny, labels=labels), 8)
        number = store.find_run(key_of(tiny_classifier, Noise()))
        found = store.distances(number)
        assert {i for i, distance in found.items() if distance == 0.0} == {1, 5}
        assert store.images(number, TINY.image_shape).keys() == set(range(8)) - {1, 5}
    assert calls == [[0, 2, 3, 4, 6, 7]]


def test_a_chunk_of_misclassified_images_only(calls: list[list[int]], tiny_classifier: Classifier, tiny: Split) -> None:
    labels = (tiny.labels + 1) % TINY.num_classes
    with Store(":memory:") as store:
        run(store, tiny_classifier, dataclasses.replace(tiny, labels=labels), 8)
        number = store.find_run(key_of(tiny_classifier, Noise()))
        assert store.distances(number) == dict.fromkeys(range(8), 0.0)
    assert calls == []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(Noise):
    """An attack that gives no images."""

    name: ClassVar[str] = "tests/broken"
    value: float = 0.0

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """One value of one image is wrong."""
        images = batch.images.copy()
        images[-1, 0, 0, 0] = self.value
        return images


@pytest.mark.parametrize("value", [np.nan, 1.001, -0.001, np.inf])
def test_what_is_no_image_is_refused_and_not_stored(value: float, tiny_classifier: Classifier, tiny: Split) -> None:
    with Store(":memory:") as store:
        with pytest.raises(ValueError, match=r"Expected tests/broken to give images of shape \(8, 4, 4, 1\) in \[0, 1\]"):
            run(store, tiny_classifier, tiny, 8, attack=Broken(value=value))
        number = store.find_run(key_of(tiny_classifier, Broken(value=value)))
        assert store.distances(number) == {}


def test_too_few_images_are_refused(tiny: Split) -> None:
    batch = Batch(tiny.images[:3], tiny.labels[:3], tiny.ids[:3], 0)
    with pytest.raises(ValueError, match=r"Received: shape \(2, 4, 4, 1\)"):
        batch.check(tiny.images[:2], "noise")


def test_reading_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    Store(path).close()
    before = path.read_bytes()
    with Store(path) as store:
        assert store.models() == {}
    assert path.read_bytes() == before
