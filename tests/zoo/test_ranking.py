"""The ranking: each number is the worst over all suites, with what it is based on."""

import pytest

from cortexzoo.ranking import ranking
from tests.zoo.conftest import make_card


def result(accuracy: float, samples: int = 200) -> dict:
    return {"accuracy": accuracy, "interval": [accuracy - 0.01, accuracy + 0.02], "epsilon": 0.3, "samples": samples}


def test_the_worst_suite_counts_and_a_norm_without_attacks_is_a_dash() -> None:
    robust = {"quick": {"unions": {"linf": result(0.9)}}, "hard": {"unions": {"linf": result(0.5, 100)}}}
    card = make_card(robust=robust, clean=result(0.97, 10_000))
    assert card.worst_case("linf") == ("hard", result(0.5, 100))
    assert card.worst_case("l2") is None
    assert (card.robust_accuracy("linf"), card.robust_accuracy("linf", "quick")) == (0.5, 0.9)
    header, _, row, _, caption = ranking([card]).splitlines()
    assert header == "| model | clean | L∞ 0.3 | L2 | L1 | L0 |"
    assert row.startswith(f"| {card.id} | 97.0<br><sub>96.0-99.0</sub> | 50.0<br><sub>49.0-52.0</sub> | — |")
    assert "clean (10,000 images)" in caption
    assert "(100 images)" in caption


def test_nothing_to_rank() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        ranking([])
