"""Evaluations of images and models that are in memory, and suites of a few attacks."""

import dataclasses
from typing import Any, TypeVar

from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import Attack
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.thresholds import thresholds_for
from cortexzoo.images import ImageSource

AnySummary = TypeVar("AnySummary")


def memory_source(info: DatasetInfo, test: Split, train: Split | None = None) -> ImageSource:
    """Returns a source of images in memory, with training images or without."""
    splits = {"test": lambda: test} | ({} if train is None else {"train": lambda: train})
    return ImageSource(info, splits)


def evaluation_of(
    store: Store,
    model: Model | Classifier,
    info: DatasetInfo,
    test: Split,
    *,
    train: Split | None = None,
    name: str = "tiny",
    **options: Any,
) -> Evaluation:
    """Returns an evaluation at the data set's thresholds; of a classifier, one that is not loaded again.

    Args:
        store: where results are and go.
        model: a classifier, or a model of which there may be results alone.
        info: the data set.
        test: the images to attack.
        train: images to start attacks from; None for those to attack.
        name: of the classifier's model.
        options: see `Evaluation`.
    """
    images, thresholds = memory_source(info, test, train), thresholds_for(info, {})
    if isinstance(model, Model):
        return Evaluation(model, images, store, thresholds, **options)
    known = Model(name, model.path, info.name, kept_digest=model.digest, group=name)
    evaluation = Evaluation(known, images, store, thresholds, **options)
    evaluation.__dict__["classifier"] = model
    return evaluation


def suite_of(*members: Attack | Member, name: str = "test", samples: int = 10) -> AttackSuite:
    """Returns a suite of these attacks, the same on all data sets; a bare attack's label is its place."""
    found = tuple(m if isinstance(m, Member) else Member(m, str(i)) for i, m in enumerate(members))
    return AttackSuite(name, "for tests", samples, lambda info: found)


def changed(summary: AnySummary, *, info: DatasetInfo | None = None, seed: int | None = None, **model: Any) -> AnySummary:
    """Returns the same results of another model, of other images or under another seed.

    Args:
        summary: the results.
        info: the data set instead.
        seed: of the attacks instead.
        model: fields of the model that differ.
    """
    old = summary.evaluation
    images = old.images if info is None else dataclasses.replace(old.images, info=info)
    new = {"model": dataclasses.replace(old.model, **model), "images": images}
    return dataclasses.replace(summary, evaluation=dataclasses.replace(old, seed=old.seed if seed is None else seed, **new))
