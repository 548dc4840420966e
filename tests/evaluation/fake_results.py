"""Made-up results: models and attacks of which only the names exist, and distances written into a store by hand."""

import dataclasses
from typing import ClassVar

import numpy as np
from cortexzoo import datasets
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.norms import THRESHOLDS
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary, summarize
from cortexzoo.evaluation.suites import Member, Suite

INFO = datasets.DatasetInfo("tiny", "tiny", (4, 4, 1), ("cat", "dog", "owl"), 100)
N, FEW, KEPT = 40, 10, 6
MISCLASSIFIED, FAILED = 1, 2
SPLIT = datasets.Split(
    np.random.default_rng(0).random((N, *INFO.image_shape), np.float32), np.arange(N) % INFO.num_classes, np.arange(N)
)


@dataclasses.dataclass(frozen=True)
class FakeAttack(Attack):
    """An attack in name only: its results are written into the store by hand."""

    name: ClassVar[str] = "fake"

    norm: str
    strength: float = 1.0


def make_suite(norms: tuple[str, ...]) -> Suite:
    members = [Member(FakeAttack(norm, strength), f"A{strength:g} {norm}") for norm in norms for strength in (1.0, 2.0)]
    # The last one is dear and sees few images, and it fails on most of them.
    members.append(Member(FakeAttack(norms[-1], 0.0), f"weak {norms[-1]}", samples=FEW))
    return Suite("fake", "attacks of which only the names exist", tuple(members), N)


SUITE, COMPLETE, CLEAN = make_suite(("linf", "l1")), make_suite(("linf", "l2", "l1", "l0")), Suite("clean", "", (), 0)


def add_model(
    store: Store, name: str, suite: Suite = SUITE, samples: int = N, endpoints: tuple[str, ...] = ("logits",)
) -> Summary:
    """Writes made-up distances into the store, and returns what the store then says."""
    digest = name.encode().hex().ljust(64, "0")
    predictions = SPLIT.labels.copy()
    predictions[MISCLASSIFIED] = (predictions[MISCLASSIFIED] + 1) % INFO.num_classes
    store.add_model(digest, name)
    store.set_clean(digest, INFO.name, SPLIT.ids, SPLIT.labels, predictions)
    generator = np.random.default_rng(len(store.models()))
    for member in suite.members:
        for endpoint in endpoints:
            key = RunKey(digest, INFO.name, endpoint, 0, settings(member.attack))
            add_run(store, key, min(samples, member.samples or samples), member.attack.strength, generator)
    return summarize(store, digest, INFO, suite, seed=0, endpoints_of_classifier=endpoints, samples=samples)


def add_run(store: Store, key: RunKey, count: int, strength: float, generator: np.random.Generator) -> None:
    reached = THRESHOLDS[key.norm] * generator.lognormal(0.0, 0.5, count) / max(strength, 0.1)
    reached[generator.random(count) < (0.1 if strength else 0.8)] = np.inf
    reached[MISCLASSIFIED], reached[FAILED] = 0.0, np.inf
    classes = np.where(reached == 0.0, -1, (SPLIT.labels[:count] + 1) % INFO.num_classes)
    kept = [(i, 1.0 - SPLIT.images[i]) for i in range(KEPT) if i != MISCLASSIFIED]
    store.add_results(store.run_id(key, {}), np.arange(count), reached, classes, 1.5, kept)
