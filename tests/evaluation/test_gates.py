"""Gates for continuous integration, and the texts that thresholds and gates come as."""

from types import SimpleNamespace

import numpy as np
import pytest

from cortexzoo import datasets
from cortexzoo.evaluation.gates import failures, parse_gates
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.thresholds import parse_thresholds, thresholds_for

CIFAR = datasets.info("cifar10")


def summary(broken: int) -> SimpleNamespace:
    """100 images of which an attack broke these, and five wrong ones among the clean."""
    distances = np.where(np.arange(100) < broken, 0.1, np.inf)
    union = Score("all", "linf", 0.3, distances, np.arange(100))
    found = {"linf": union}.get
    return SimpleNamespace(name="mine", suite="quick", correct=95, clean_samples=100, union=found)


def test_the_lower_end_of_the_interval_decides() -> None:
    # Of 60 of 100 the Wilson interval is 50.2 to 69.1 %.
    assert failures([summary(40)], {"linf": 0.5}) == []
    (text,) = failures([summary(40)], {"linf": 0.51})
    assert text == "mine: robust accuracy in L∞ at 0.3 is at least 50.2 % (95 % interval, 100 images); 51.0 % is required."
    assert failures([summary(0)], {"clean": 0.88}) == []
    assert "clean accuracy is at least 88.8 %" in failures([summary(0)], {"clean": 0.9})[0]
    assert len(failures([summary(40), summary(90)], {"linf": 0.55, "clean": 0.95})) == 4


def test_a_gate_in_a_norm_without_attacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected a suite that attacks L0, for --fail_under=l0:0.5. Received: quick"):
        failures([summary(0)], {"l0": 0.5})


@pytest.mark.parametrize("text", ["linf", "linf:", "linf:2", "l3:0.5", "0.5", "linf:-0.1", "linf:nan"])
def test_what_is_no_gate(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expected NORM:SHARE .* as in linf:0.5"):
        parse_gates([text])
    assert parse_gates(["linf:0.5", "clean:0.9"]) == {"linf": 0.5, "clean": 0.9}


def test_thresholds_as_text() -> None:
    assert parse_thresholds(["linf:8/255", "linf:0.1", "l0:12"]) == {"linf": [8 / 255, 0.1], "l0": [12.0]}
    for text in ("linf", "linf:x", "linf:8/0", "l3:1", "8/255"):
        with pytest.raises(ValueError, match="Expected NORM:SIZE"):
            parse_thresholds([text])


def test_thresholds_are_the_data_sets_unless_named() -> None:
    assert thresholds_for(CIFAR, {}) == {"linf": (8 / 255,), "l2": (0.5,), "l1": (12.0,), "l0": (24.0,)}
    assert thresholds_for(CIFAR, {"linf": [0.1, 0.02, 0.1]})["linf"] == (0.02, 0.1)
    assert thresholds_for(CIFAR, {"l2": 1})["l2"] == (1.0,)
    for epsilons in ({"linf": []}, {"linf": 0.0}, {"linf": float("nan")}, {"linf": float("inf")}, {"L2": 1.0}):
        with pytest.raises(ValueError, match="Expected positive thresholds"):
            thresholds_for(CIFAR, epsilons)
