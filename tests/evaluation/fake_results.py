"""Made-up results: models and attacks of which only the names exist, and distances written into a store by hand."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo import datasets
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from tests.evaluation.evaluations import evaluation_of, suite_of

THRESHOLDS = datasets.info("mnist").thresholds
INFO = datasets.DatasetInfo("tiny", "tiny", (4, 4, 1), ("cat", "dog", "owl"), 100, thresholds=THRESHOLDS)
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


def make_members(*norms: str) -> list[Member]:
    members = [Member(FakeAttack(norm, strength), f"A{strength:g} {norm}") for norm in norms for strength in (1.0, 2.0)]
    # The last one is dear and sees few images, and it fails on most of them.
    return [*members, Member(FakeAttack(norms[-1], 0.0), f"weak {norms[-1]}", samples=FEW)]


def make_suite(*members: Member) -> AttackSuite:
    return suite_of(*members, name="fake", samples=N)


SUITE, COMPLETE = make_suite(*make_members("linf", "l1")), make_suite(*make_members("linf", "l2", "l1", "l0"))
CLEAN = suite_of(name="clean", samples=0)


def add_model(
    store: Store, name: str, suite: AttackSuite = SUITE, samples: int = N, endpoints: tuple[str, ...] = ("logits",)
) -> Summary:
    """Writes made-up distances into the store, and returns what the store then says."""
    digest = digest_of(name)
    add_clean(store, name, endpoints)
    generator = np.random.default_rng(len(store.models()))
    for member in suite.build(INFO):
        for endpoint in endpoints:
            key = RunKey(digest, INFO.name, endpoint, 0, settings(member.attack))
            add_run(store, key, min(samples, member.samples or samples), member.attack.strength, generator)
    return suite.summarize(evaluation_of(store, model_of(name), INFO, SPLIT, samples=samples))


def digest_of(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def model_of(name: str) -> Model:
    return Model(name, None, INFO.name, kept_digest=digest_of(name), group=name)


def add_clean(store: Store, name: str, endpoints: tuple[str, ...]) -> None:
    predictions = SPLIT.labels.copy()
    predictions[MISCLASSIFIED] = (predictions[MISCLASSIFIED] + 1) % INFO.num_classes
    store.add_model(digest_of(name), name)
    store.set_clean(digest_of(name), INFO.name, SPLIT.ids, SPLIT.labels, predictions)
    store.set_check(digest_of(name), INFO.name, "endpoints", list(endpoints))


def add_run(store: Store, key: RunKey, count: int, strength: float, generator: np.random.Generator) -> None:
    reached = THRESHOLDS[key.norm] * generator.lognormal(0.0, 0.5, count) / max(strength, 0.1)
    reached[generator.random(count) < (0.1 if strength else 0.8)] = np.inf
    reached[MISCLASSIFIED], reached[FAILED] = 0.0, np.inf
    classes = np.where(reached == 0.0, -1, (SPLIT.labels[:count] + 1) % INFO.num_classes)
    kept = [(i, 1.0 - SPLIT.images[i]) for i in range(KEPT) if i != MISCLASSIFIED]
    store.add_results(store.run_id(key, {}), np.arange(count), reached, classes, 1.5, kept)


def members_on(suite: AttackSuite, *endpoints: str) -> tuple[Member, ...]:
    """The members of a suite as a model with these endpoints meets them on images with MNIST's thresholds."""
    with Store(":memory:") as store:
        add_clean(store, "tiny/net", endpoints)
        return suite.members(evaluation_of(store, model_of("tiny/net"), INFO, SPLIT))
