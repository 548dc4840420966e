"""From distances in the store to the numbers of a model, and from the numbers into its card."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cortexzoo import catalog, datasets
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.shifts import Curve, ShiftSummary
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites.noise import NOISE
from cortexzoo.norms import NORMS
from tests.conftest import load_split
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.zoo.conftest import SMALL_ID, make_card

MNIST = datasets.info("mnist")
MODEL = Model(SMALL_ID, None, "mnist", SMALL_ID, kept_digest="digest", group=SMALL_ID)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named(Attack):
    """An attack in name only: its results are written by hand."""

    name: ClassVar[str] = "tests/named"

    norm: str
    number: int = 0


def summary_of(distances: dict[tuple[str, int], list[float]], *, samples: int = 100, limit: int | None = None) -> Summary:
    """A summary of what these attacks found; a limit holds for attack number 1."""
    members = tuple(Member(Named(norm=norm, number=n), f"{norm} {n}", limit if n else None) for norm, n in distances)
    with Store(":memory:") as store:
        store.add_model("digest", SMALL_ID)
        store.set_check("digest", "mnist", "endpoints", ["logits"])
        store.set_clean("digest", "mnist", np.arange(10), np.zeros(10, int), np.array([1] + [0] * 9))
        for member, found in zip(members, distances.values(), strict=True):
            run = store.run_id(RunKey("digest", "mnist", "logits", 0, settings(member.attack)), {"numpy": "2"})
            store.add_results(run, np.arange(len(found)), np.array(found), np.zeros(len(found), int), 1.0)
        evaluation = evaluation_of(store, MODEL, MNIST, load_split("mnist", "test").first(10), samples=samples)
        return suite_of(*members).summarize(evaluation)


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
    found = {(norm, 0): [2 * MNIST.thresholds[norm]] * 4 for norm in NORMS}
    found["l0", 0] = [2 * MNIST.thresholds["l0"], 1.0, 1.0, 1.0]
    assert summary_of(found).minimal_accuracy == 0.25
    del found["l1", 0]
    assert summary_of(found).minimal_accuracy is None


def test_infinite_median_is_no_number_in_json() -> None:
    (score,) = summary_of({("l2", 0): [1.0, np.inf, np.inf]}).attacks
    assert np.isinf(score.median)
    assert json.loads(json.dumps(score.as_json(), allow_nan=False))["median"] is None


def test_card_replaces_one_suite_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    other = {"attacks": [], "unions": {}, "seed": 0}
    catalog.save_card(make_card(files={"1/saved_model.pb": "0"}, robust={"other": other, "test": other | {"seed": 5}}))
    summary = summary_of({("l2", 0): [0.0, 1.0, np.inf, 2.0]})
    catalog.update_card(SMALL_ID, **summary.card_changes(catalog.model_card(SMALL_ID)))
    card = catalog.model_card(SMALL_ID)
    assert card.clean_accuracy == 0.9
    assert card.clean["samples"] == 10
    assert card.robust["other"] == other
    assert card.robust["test"] == json.loads(json.dumps(summary.robust_json()))
    assert card.robust_accuracy("l2", "test") == 0.5
    assert card.diagnostics["test"] == []


def test_card_keeps_shifts_beside_attacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    other = {"seed": 0, "shifts": []}
    catalog.save_card(make_card(files={"1/saved_model.pb": "0"}, shifts={"other": other}))
    (member, *_) = NOISE.build(MNIST, ())
    levels = np.array(member.shift.levels)
    correct = np.arange(10)[:, None] < np.arange(10, 0, -1)
    last = member.shift.settings(member.shift.levels[-1])
    curve = Curve(member.label, member.unit, False, levels, np.arange(10), np.ones(10, bool), correct, 1.0, last)
    with Store(":memory:") as store:
        summary = ShiftSummary(evaluation_of(store, MODEL, MNIST, load_split("mnist", "test"), seed=3), "noise", [curve])
    catalog.update_card(SMALL_ID, **summary.card_changes(catalog.model_card(SMALL_ID)))
    card = catalog.model_card(SMALL_ID)
    assert card.shifts["other"] == other
    assert card.shifts["noise"] == json.loads(json.dumps(summary.as_json(), allow_nan=False))
    (kept,) = card.shifts["noise"]["shifts"]
    assert kept["accuracies"] == correct.mean(axis=1).tolist()
    assert kept["area"] == curve.area
    assert f"| {member.label} ({member.unit}) | 0.05: 100.0, 0.1: 90.0" in (tmp_path / SMALL_ID / "README.md").read_text()
