"""The ranking: each number is the worst case over everything that was run, with what it is based on."""

import pytest

from cortexzoo.ranking import ranking
from tests.zoo.conftest import make_card


def result(accuracy: float, samples: int = 200) -> dict:
    return {"accuracy": accuracy, "interval": [accuracy - 0.01, accuracy + 0.02], "epsilon": 0.3, "samples": samples}


def test_a_row_has_the_worst_case_and_what_decides_it() -> None:
    worst = {**result(0.5, 1000), "decided_by": "Square", "votes": {"Square": 3}}
    card = make_card(robustness={"linf": worst}, clean=result(0.97, 10_000))
    header, _, row, _, caption = ranking([card]).splitlines()
    assert header == "| model | clean | L∞ 0.3 | L2 | L1 | L0 | minimal |"
    assert row == (f"| {card.id} | 97.0<br><sub>96.0-99.0</sub> | 50.0<br><sub>49.0-52.0<br>Square</sub> | — | — | — | — |")
    assert "clean (10,000 images)" in caption
    assert "(1,000 images)" in caption


def test_what_a_weaker_suite_left_is_no_verdict() -> None:
    card = make_card(robust={"quick": {"unions": {"linf": result(0.9)}}})
    assert "90.0" not in ranking([card])


def test_nothing_to_rank() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        ranking([])
