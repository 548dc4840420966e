"""The battery has the counts that the paper gives."""

from collections import Counter

import pytest
from cortexzoo.evaluation.attacks import Refined
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.norms import THRESHOLDS
from cortexzoo.evaluation.suites import SUITES


@pytest.mark.parametrize("suffix", ["", "_hardened"])
def test_counts_of_the_paper(suffix: str) -> None:
    members = SUITES[f"paper42{suffix}"].members
    assert Counter(member.attack.norm for member in members) == {"l2": 22, "linf": 12, "l1": 6, "l0": 2}
    extended = Counter(member.attack.norm for member in SUITES[f"paper42_l1{suffix}"].members)
    assert extended == {"l2": 22, "linf": 12, "l1": 11, "l0": 3 if suffix else 2}


@pytest.mark.parametrize("suite", [name for name in SUITES if name.startswith("paper42")])
def test_members_are_told_apart(suite: str) -> None:
    members = SUITES[suite].members
    assert len({member.label for member in members}) == len(members)
    described = [str(sorted(settings(member.attack).items())) for member in members]
    assert len(set(described)) == len(described)


def test_sizes_include_the_tables_threshold() -> None:
    for member in SUITES["paper42_l1"].members:
        epsilon = getattr(member.attack, "epsilon", None)
        assert epsilon in (None, THRESHOLDS[member.attack.norm])


def test_only_models_with_a_surrogate_are_refined() -> None:
    hardened, published = SUITES["paper42_hardened"], SUITES["paper42"]
    assert hardened.members_on(("logits",)) == hardened.members
    refined = hardened.members_on(("logits", "attack_logits"))
    for before, after in zip(hardened.members, refined, strict=True):
        assert after.attack == Refined(inner=before.attack)
        assert (after.attack.norm, after.label) == (before.attack.norm, before.label)
    assert published.members_on(("logits", "attack_logits")) == published.members
