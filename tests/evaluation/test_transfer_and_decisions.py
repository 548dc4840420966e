"""Attacks that need no gradient of the classifier: adversarials of other models, and a search by decisions alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cortexzoo import catalog
from cortexzoo.evaluation.attacks import Batch, EpsilonGrid, FastGradientMethod, MomentumIterativeMethod, RayS, Transfer
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import TINY, random_network, reached, save_classifier
from tests.evaluation.test_attacks_closed_form import Problem, excess, five_classes, two_classes  # noqa: F401

EPSILONS = (0.02, 0.05, 0.1, 0.2)
SINGLE = FastGradientMethod(norm="linf", epsilon=0.3)
STEPS = MomentumIterativeMethod(norm="linf", epsilon=0.3)


@pytest.fixture
def catalogued(tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two sources: the classifier itself, and another network."""
    network = random_network(np.random.default_rng(2), 16, 12, TINY.num_classes)
    other = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables)
    paths = {"tiny/same": tiny_path, "tiny/other": other}
    monkeypatch.setattr(catalog, "verified_saved_model", paths.__getitem__)
    return paths


def transfer(*sources: str, attacks: tuple = (SINGLE,)) -> Transfer:
    return Transfer(attacks=attacks, epsilons=EPSILONS).from_sources(sources)


def test_from_itself_is_the_white_box_attack(catalogued: dict, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    expected = reached(EpsilonGrid(inner=SINGLE, epsilons=EPSILONS), tiny_classifier, tiny_batch)
    np.testing.assert_array_equal(reached(transfer("tiny/same"), tiny_classifier, tiny_batch), expected)
    assert len(set(expected)) > 1


def test_more_sources_and_attacks_are_never_weaker(catalogued: dict, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    one = reached(transfer("tiny/other"), tiny_classifier, tiny_batch)
    more = reached(transfer("tiny/other", attacks=(SINGLE, STEPS)), tiny_classifier, tiny_batch)
    both = reached(transfer("tiny/other", "tiny/same"), tiny_classifier, tiny_batch)
    assert np.all(more <= one)
    assert np.all(both <= one)
    assert np.any(both < one)


def test_all_steps_are_taken(catalogued: dict, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    """What transfers lies beyond the source's boundary, not on it."""
    radius = np.full(len(tiny_batch), 0.2, np.float32)
    stopped = STEPS.perturb(tiny_classifier, "logits", tiny_batch, radius, 0)
    complete = STEPS.maximize(tiny_classifier, "logits", tiny_batch, radius)
    margins = [tiny_classifier.loses_by(images, tiny_batch.labels) for images in (stopped, complete)]
    assert np.median(margins[1]) > 2 * np.median(margins[0])
    assert np.all(distances(tiny_batch.images, complete, "linf") <= 0.2 * (1 + 1e-5))


def test_sources_are_part_of_the_settings(catalogued: dict) -> None:
    found = settings(transfer("tiny/other", "tiny/same"))
    assert found["attack"] == "transfer"
    assert found["sources"] == ["tiny/other", "tiny/same"]
    assert [len(digest) for digest in found["digests"]] == [64, 64]
    assert len(set(found["digests"])) == 2


def test_changed_source_is_refused(catalogued: dict, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    changed = dataclasses.replace(transfer("tiny/other"), digests=("0" * 64,))
    with pytest.raises(ValueError, match="Expected tiny/other with the digest 000"):
        changed.run(tiny_classifier, "logits", tiny_batch)


def test_sources_without_digests_are_refused() -> None:
    with pytest.raises(ValueError, match="Received: 1 sources, 0 digests"):
        Transfer(attacks=(SINGLE,), epsilons=EPSILONS, sources=("tiny/other",))


def test_decisions_reach_the_nearest_point_of_a_linear_boundary(two_classes: Problem, five_classes: Problem) -> None:  # noqa: F811
    assert excess(RayS(), two_classes).max() < 1.005
    # Of several faces the search may end on another one than the nearest, but there it ends at the nearest point.
    images = RayS().run(five_classes.classifier, "logits", five_classes.batch)
    predicted = five_classes.classifier.predict(images)
    of_face = five_classes.to_class["linf"][np.arange(len(predicted)), predicted]
    assert np.median(distances(five_classes.batch.images, images, "linf") / of_face) < 1.005
    assert np.median(excess(RayS(), five_classes)) < 1.1


def test_decisions_alone_end_where_there_is_no_other_class(tmp_path: Path, tiny_batch: Batch) -> None:
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    path = save_classifier(tmp_path / "1", lambda x: 0 * network(x) + [2.0, 0.0, 0.0], TINY.image_shape, network.variables)
    classifier = Classifier(path, TINY, tiny_batch.images[:2])
    batch = dataclasses.replace(tiny_batch, labels=np.zeros(len(tiny_batch), np.int64))
    np.testing.assert_array_equal(RayS().run(classifier, "logits", batch), batch.images)


def test_decisions_do_not_depend_on_the_batch(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    whole = RayS().run(tiny_classifier, "logits", tiny_batch)
    few = np.array([5, 1])
    np.testing.assert_allclose(RayS().run(tiny_classifier, "logits", tiny_batch.take(few)), whole[few], atol=2e-4)
    # Passes that are not taken leave it farther away, never nearer.
    hasty = reached(RayS(passes=1), tiny_classifier, tiny_batch)
    assert np.all(distances(tiny_batch.images, whole, "linf") <= hasty)
