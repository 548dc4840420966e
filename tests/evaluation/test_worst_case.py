"""One number a norm: the worst case over everything in the store, and none without the suite `strong`."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from cortexzoo import datasets
from cortexzoo.evaluation import suites, worst_case
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from tests.conftest import load_split
from tests.evaluation.evaluations import evaluation_of, suite_of

MNIST = datasets.info("mnist")
MODEL = Model("mnist/small", None, "mnist", "mnist/small", kept_digest="digest", group="mnist/small")
FAR, NEAR = 0.5, 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written(Attack):
    """An attack in name only: its results are written by hand."""

    name: ClassVar[str] = "tests/written"

    norm: str = "linf"
    number: int


FIRST = Member(Written(number=1), "First L∞", leaves_at=0.3)
SECOND = Member(Written(number=2), "Second L∞", leaves_at=0.3)
OTHER = Member(Written(number=3), "Other L∞")
IN_L2 = Member(Written(number=4, norm="l2"), "Other L2")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, store: Store) -> Evaluation:
    """A model with one misclassified image of ten, and two suites."""
    known: dict[str, AttackSuite] = {
        "strong": suite_of(FIRST, SECOND, name="strong"),
        "weak": suite_of(OTHER, IN_L2, name="weak"),
        "clean": suites.find("clean"),
    }
    monkeypatch.setattr(suites, "suites", lambda: known)
    store.add_model("digest", "mnist/small")
    store.set_check("digest", "mnist", "endpoints", ["logits"])
    store.set_clean("digest", "mnist", np.arange(10), np.zeros(10, int), np.array([1] + [0] * 9))
    return evaluation_of(store, MODEL, MNIST, load_split("mnist", "test").first(10))


def write(evaluation: Evaluation, member: Member, distances: dict[int, float]) -> None:
    """Puts results of an attack into the store."""
    key = RunKey("digest", "mnist", "logits", 0, settings(member.attack))
    run, ids = evaluation.store.run_id(key, {}), np.array(list(distances))
    evaluation.store.add_results(run, ids, np.array(list(distances.values())), np.zeros(len(ids), int), 1.0)


def write_strong(evaluation: Evaluation) -> None:
    """The first attack breaks images 1 to 4, the second one image 5; image 0 is misclassified."""
    write(evaluation, FIRST, {0: 0.0} | dict.fromkeys(range(1, 5), NEAR) | dict.fromkeys(range(5, 10), np.inf))
    write(evaluation, SECOND, {5: NEAR} | dict.fromkeys(range(6, 10), FAR))


def test_there_is_no_number_without_the_strong_suite(found: Evaluation) -> None:
    write(found, OTHER, dict.fromkeys(range(10), NEAR))
    assert worst_case.worst_cases(found) == {}
    write(found, FIRST, dict.fromkeys(range(10), np.inf))
    # Its second attack is missing.
    assert worst_case.worst_cases(found) == {}


def test_every_suite_counts_on_the_images_of_the_strong_one(found: Evaluation) -> None:
    write_strong(found)
    alone = worst_case.worst_cases(found)["linf"].as_json()
    assert (alone["accuracy"], alone["samples"], alone["epsilon"]) == (0.4, 10, 0.3)
    assert alone["votes"] == {"First": 4, "Second": 1}
    assert alone["decided_by"] == "Second"
    # Another suite saw fewer images, broke one more, and missed what the strong one broke.
    write(found, OTHER, {0: 0.0, 1: np.inf, 2: FAR, 6: NEAR})
    worst = worst_case.worst_cases(found)["linf"].as_json()
    assert (worst["accuracy"], worst["samples"]) == (0.3, 10)
    assert worst["votes"] == {"First": 4, "Second": 1, "Other": 1}
    assert worst["decided_by"] == "Other"
    low, high = worst["interval"]
    assert low < 0.3 < high
    assert (worst["common"]["samples"], worst["common"]["accuracy"]) == (4, 0.0)


def test_a_norm_that_the_strong_suite_lacks_has_no_number(found: Evaluation) -> None:
    write_strong(found)
    write(found, IN_L2, dict.fromkeys(range(10), NEAR))
    assert set(worst_case.worst_cases(found)) == {"linf"}


def test_an_unfinished_attack_gives_no_number(found: Evaluation) -> None:
    write(found, FIRST, dict.fromkeys(range(10), np.inf))
    write(found, SECOND, dict.fromkeys(range(5), NEAR))
    assert worst_case.worst_cases(found) == {}
