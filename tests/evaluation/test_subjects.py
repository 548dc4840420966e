"""From a model's name or path to its numbers, and from the numbers into its card."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from cortexzoo import catalog, datasets
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.norms import THRESHOLDS
from cortexzoo.evaluation.results.shifts import Curve, ShiftSummary
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary, summarize
from cortexzoo.evaluation.subjects import Subject, catalogued, from_paths, remembered, transfer_sources, update_card
from cortexzoo.evaluation.suites import Member, Suite
from cortexzoo.evaluation.suites.shifts import NOISE
from cortexzoo.norms import NORMS

from tests.evaluation import fake_results
from tests.zoo.conftest import SMALL_ID, make_card

CATALOGUE = [card.id for card in catalog.list_models()]
MNIST = datasets.info("mnist")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named(Attack):
    """An attack in name only: its results are written by hand."""

    name: ClassVar[str] = "tests/named"

    norm: str
    number: int = 0


def summary_of(distances: dict[tuple[str, int], list[float]], *, samples: int = 100, limit: int | None = None) -> Summary:
    """A summary of what these attacks found; a limit holds for attack number 1."""
    members = tuple(Member(Named(norm=norm, number=n), f"{norm} {n}", limit if n else None) for norm, n in distances)
    suite = Suite("test", "for tests", members, 10)
    with Store(":memory:") as store:
        store.add_model("digest", SMALL_ID)
        store.set_clean("digest", "mnist", np.arange(10), np.zeros(10, int), np.array([1] + [0] * 9))
        for member, found in zip(members, distances.values(), strict=True):
            run = store.run_id(RunKey("digest", "mnist", "logits", 0, settings(member.attack)), {"numpy": "2"})
            store.add_results(run, np.arange(len(found)), np.array(found), np.zeros(len(found), int), 1.0)
        return summarize(store, "digest", MNIST, suite, seed=0, endpoints_of_classifier=("logits",), samples=samples)


def test_union_is_the_least_of_each_sample() -> None:
    summary = summary_of({("l2", 0): [0.0, 1.0, np.inf, 2.0], ("l2", 1): [0.0, 3.0, 1.6, np.inf], ("linf", 0): [0.5] * 4})
    union, linf = sorted(summary.unions, key=lambda score: score.norm)
    np.testing.assert_array_equal(union.distances, [0.0, 1.0, 1.6, 2.0])
    assert union.accuracy == 0.5
    assert linf.accuracy == 1.0
    # 9 of 10 clean images are right, whatever was attacked.
    assert summary.clean_accuracy == 0.9


def test_union_is_over_the_images_that_all_attacks_saw() -> None:
    summary = summary_of({("l2", 0): [2.0] * 8, ("l2", 1): [1.0] * 8}, limit=3)
    assert [score.samples for score in summary.attacks] == [8, 3]
    (union,) = summary.unions
    assert union.ids.tolist() == [0, 1, 2]
    assert union.distances.tolist() == [1.0, 1.0, 1.0]
    # Without the attack that saw few images the union is over many.
    assert summary.wide_union("l2").distances.tolist() == [2.0] * 8
    assert summary.wide_union("l2").label == f"all but {summary.attacks[1].label}"
    assert summary.wide_union("linf") is None


def test_fewer_samples_than_are_stored() -> None:
    summary = summary_of({("l2", 0): [2.0] * 8}, samples=5)
    assert summary.attacks[0].ids.tolist() == list(range(5))


def test_minimal_accuracy_needs_all_norms() -> None:
    found = {(norm, 0): [2 * THRESHOLDS[norm]] * 4 for norm in NORMS}
    found["l0", 0] = [2 * THRESHOLDS["l0"], 1.0, 1.0, 1.0]
    assert summary_of(found).minimal_accuracy == 0.25
    del found["l1", 0]
    assert summary_of(found).minimal_accuracy is None


def test_infinite_median_is_no_number_in_json() -> None:
    (score,) = summary_of({("l2", 0): [1.0, np.inf, np.inf]}).attacks
    assert np.isinf(score.median)
    assert json.loads(json.dumps(score.as_json(), allow_nan=False))["median"] is None


def test_update_card_replaces_one_suite_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    other = {"attacks": [], "unions": {}, "seed": 0}
    catalog.save_card(make_card(files={"1/saved_model.pb": "0"}, robust={"other": other, "test": other | {"seed": 5}}))
    summary = summary_of({("l2", 0): [0.0, 1.0, np.inf, 2.0]})
    update_card(Subject(SMALL_ID, tmp_path / SMALL_ID / "1", "mnist", SMALL_ID), summary)
    card = catalog.model_card(SMALL_ID)
    assert card.clean_accuracy == 0.9
    assert card.clean["samples"] == 10
    assert card.robust["other"] == other
    assert card.robust["test"] == json.loads(json.dumps(summary.robust_json()))
    assert card.robust_accuracy("l2", "test") == 0.5
    assert card.diagnostics["test"] == []


def test_update_card_keeps_shifts_beside_attacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    other = {"seed": 0, "shifts": []}
    catalog.save_card(make_card(files={"1/saved_model.pb": "0"}, shifts={"other": other}))
    (member, *_) = NOISE.members_on(MNIST)
    levels = np.array(member.shift.levels)
    correct = np.arange(10)[:, None] < np.arange(10, 0, -1)
    last = member.shift.settings(member.shift.levels[-1])
    curve = Curve(member.label, member.unit, False, levels, np.arange(10), np.ones(10, bool), correct, 1.0, last)
    summary = ShiftSummary(SMALL_ID, "0" * 64, MNIST, "noise", 3, [curve])
    update_card(Subject(SMALL_ID, tmp_path / SMALL_ID / "1", "mnist", SMALL_ID), summary)
    card = catalog.model_card(SMALL_ID)
    assert card.shifts["other"] == other
    assert card.shifts["noise"] == json.loads(json.dumps(summary.as_json(), allow_nan=False))
    (kept,) = card.shifts["noise"]["shifts"]
    assert kept["accuracies"] == correct.mean(axis=1).tolist()
    assert kept["area"] == curve.area
    assert f"| {member.label} ({member.unit}) | 0.05: 100.0, 0.1: 90.0" in (tmp_path / SMALL_ID / "README.md").read_text()


def test_update_card_of_a_model_from_elsewhere_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    update_card(Subject("elsewhere/1", tmp_path, "mnist"), summary_of({("l2", 0): [1.0]}))
    assert list(tmp_path.iterdir()) == []


def test_saved_models_by_path() -> None:
    assert from_paths([], None) == []
    assert from_paths(["."], "mnist")[0].name == "/".join(Path.cwd().parts[-2:])
    (subject,) = from_paths(["/somewhere/my_model/3/"], "mnist")
    assert (subject.name, subject.path, subject.dataset) == ("my_model/3", Path("/somewhere/my_model/3"), "mnist")
    assert subject.model_id is None


def test_models_that_the_store_alone_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their results are reported without the model; a name of two models is nobody's."""
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    with Store(":memory:") as store:
        fake_results.add_model(store, "tiny/net-seed1")
        (subject,) = remembered(["tiny/net-seed1"], store)
        assert (subject.path, subject.dataset) == (None, "tiny")
        assert store.models()[subject.digest] == "tiny/net-seed1"
        # Nor is it missed as a source of what is reported.
        other = Subject("tiny/net", None, "tiny", kept_digest="1" * 64)
        assert transfer_sources(other, ("tiny/net-seed1",), store) == (subject,)
        assert transfer_sources(subject, ("tiny/net-seed1",), store) == ()
        with pytest.raises(ValueError, match="must name a model of the catalogue"):
            transfer_sources(other, ("tiny/net-seed1",))
        with pytest.raises(ValueError, match="none in the catalogue, 0 in the store"):
            remembered(["tiny/other"], store)
        # In the order in which they are named, each once.
        monkeypatch.undo()
        names = ["tiny/net-seed1", *CATALOGUE[:1], "tiny/net-seed1"]
        assert [subject.name for subject in remembered(names, store)] == names[:-1]
        store.add_model("0" * 64, "tiny/net-seed1")
        with pytest.raises(ValueError, match="2 in the store"):
            remembered(["tiny/net-seed1"], store)


@pytest.mark.skipif(not CATALOGUE, reason="the catalogue is empty")
def test_catalogued_models() -> None:
    # A training may publish another one while tests run.
    assert {subject.model_id for subject in catalogued(["all"])} >= set(CATALOGUE)
    (subject,) = catalogued(2 * CATALOGUE[:1])
    assert (subject.path / "saved_model.pb").is_file()


def test_changed_artefact_is_not_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    catalog.save_card(make_card(files={"1/saved_model.pb": "0" * 64}))
    (tmp_path / SMALL_ID / "1").mkdir()
    (tmp_path / SMALL_ID / "1" / "saved_model.pb").write_bytes(b"not what the card says")
    with pytest.raises(catalog.IntegrityError, match=r"saved_model\.pb"):
        catalogued([SMALL_ID])
