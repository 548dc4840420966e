"""The battery has the counts that the paper gives."""

from collections import Counter

import pytest

from cortexzoo import datasets
from cortexzoo.evaluation.attacks import Refined
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.suites import find, suites
from tests.evaluation.fake_results import members_on

MNIST = datasets.info("mnist")


@pytest.mark.parametrize("suffix", ["", "_hardened"])
def test_counts_of_the_paper(suffix: str) -> None:
    members = find(f"paper42{suffix}").build(MNIST)
    assert Counter(member.attack.norm for member in members) == {"l2": 22, "linf": 12, "l1": 6, "l0": 2}
    extended = Counter(member.attack.norm for member in find(f"paper42_l1{suffix}").build(MNIST))
    assert extended == {"l2": 22, "linf": 12, "l1": 11, "l0": 3 if suffix else 2}


@pytest.mark.parametrize("suite", [name for name in suites() if name.startswith("paper42")])
def test_members_are_told_apart(suite: str) -> None:
    members = find(suite).build(MNIST)
    assert len({member.label for member in members}) == len(members)
    described = [str(sorted(settings(member.attack).items())) for member in members]
    assert len(set(described)) == len(described)


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_sizes_include_the_tables_threshold(dataset: str) -> None:
    info = datasets.info(dataset)
    for member in find("paper42_l1").build(info):
        epsilon = getattr(member.attack, "epsilon", None)
        assert epsilon in (None, info.thresholds[member.attack.norm])


def test_only_models_with_a_surrogate_are_refined() -> None:
    hardened, published = find("paper42_hardened"), find("paper42")
    plain = members_on(hardened, "logits")
    assert plain == hardened.build(MNIST)
    refined = members_on(hardened, "logits", "attack_logits")
    for before, after in zip(plain, refined, strict=True):
        assert after.attack == Refined(inner=before.attack)
        assert (after.attack.norm, after.label) == (before.attack.norm, before.label)
    assert members_on(published, "logits", "attack_logits") == published.build(MNIST)
