"""The search for each sample's smallest epsilon, with a model and an attack of which all is known."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexzoo.evaluation.attacks import Batch, EpsilonSearch
from cortexzoo.evaluation.attacks.base import shrink
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import reached


class IndexedTarget:
    """A stand-in for a model: sample i is misclassified once its second pixel reaches a threshold of its own."""

    image_shape = (1, 2, 1)

    def __init__(self, thresholds: np.ndarray) -> None:
        self.thresholds = thresholds.astype(np.float32)

    def batch(self) -> Batch:
        """Black images whose first pixel tells which sample it is."""
        count = len(self.thresholds)
        images = np.zeros((count, *self.image_shape), np.float32)
        images[:, 0, 0, 0] = np.arange(count) / 1000
        return Batch(images, np.zeros(count, np.int64), np.arange(count), 0)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Label 0, the true one, below the threshold."""
        sample = np.rint(images[:, 0, 0, 0] * 1000).astype(int)
        return (images[:, 0, 1, 0] >= self.thresholds[sample]).astype(np.int64)

    def misclassifies(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Nothing is rounded here."""
        return self.predict(images) != labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brighten(EpsilonSearch):
    """Adds epsilon to the second pixel, but does nothing in the draws in which it is told to fail."""

    failures: tuple[tuple[bool, ...], ...] = ()

    def perturb(self, classifier: IndexedTarget, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int) -> np.ndarray:
        assert np.all((epsilon > 0) & (epsilon <= 1))
        images = batch.images.copy()
        works = [not (draw < len(self.failures) and self.failures[draw][i]) for i in batch.ids]
        images[:, 0, 1, 0] = epsilon * works
        return images


THRESHOLDS = st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=6).map(np.array)


@given(THRESHOLDS, st.floats(5e-3, 2.0))
def test_search_closes_its_bracket_on_the_smallest_epsilon(thresholds: np.ndarray, epsilon: float) -> None:
    attack = Brighten(norm="linf", epsilon=epsilon, rounds=40)
    found = reached(attack, IndexedTarget(thresholds), IndexedTarget(thresholds).batch())
    assert np.all(found >= thresholds.astype(np.float32))
    assert np.all(found <= thresholds * (1 + attack.tolerance) / (1 - attack.tolerance))


@given(THRESHOLDS, st.floats(5e-3, 1.0))
def test_first_round_is_the_plain_attack(thresholds: np.ndarray, epsilon: float) -> None:
    classifier = IndexedTarget(thresholds)
    found = reached(Brighten(norm="linf", epsilon=epsilon, rounds=1), classifier, classifier.batch())
    within = thresholds.astype(np.float32) <= np.float32(epsilon)
    np.testing.assert_array_equal(np.isfinite(found), within)
    # Pulled back along the line to the thousandth of it.
    assert np.all(found[within] <= thresholds[within] + epsilon / 1000)


@given(st.data(), THRESHOLDS, st.floats(5e-3, 1.0))
def test_search_is_sound_when_the_attack_fails_at_random(
    data: st.DataObject, thresholds: np.ndarray, epsilon: float
) -> None:
    rounds = data.draw(st.integers(1, 8))
    rows = st.lists(st.booleans(), min_size=len(thresholds), max_size=len(thresholds)).map(tuple)
    failures = tuple(data.draw(st.lists(rows, min_size=rounds, max_size=rounds)))
    classifier = IndexedTarget(thresholds)
    attack = Brighten(norm="linf", epsilon=epsilon, rounds=rounds, failures=failures)
    found = reached(attack, classifier, classifier.batch())
    assert np.all(found >= thresholds.astype(np.float32))
    assert np.all(reached(dataclasses.replace(attack, rounds=rounds + 3), classifier, classifier.batch()) <= found)
    # What the first round breaks stays broken, at the threshold or nearer.
    first = ~np.array(failures[0]) & (thresholds.astype(np.float32) <= np.float32(epsilon))
    assert np.all(found[first] <= np.float32(epsilon))


def test_failure_at_a_larger_epsilon_does_not_end_the_search() -> None:
    classifier = IndexedTarget(np.array([0.2]))
    tried = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Recorded(Brighten):
        def perturb(
            self, classifier: IndexedTarget, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int
        ) -> np.ndarray:
            tried.append(float(epsilon[0]))
            return super().perturb(classifier, endpoint, batch, epsilon, draw)

    # Bad luck at 0.4; at 0.8 it succeeds and is pulled to 0.2. What failed at 0.4 is no bound from below any more.
    Recorded(norm="linf", epsilon=0.4, rounds=6, failures=((True,),)).run(classifier, "logits", classifier.batch())
    assert tried[:2] == pytest.approx([0.4, 0.8])
    assert min(tried) < 0.2


@given(THRESHOLDS, st.integers(0, 12))
def test_shrink_keeps_adversarials_and_comes_nearer(thresholds: np.ndarray, steps: int) -> None:
    classifier = IndexedTarget(thresholds)
    batch = classifier.batch()
    adversarials = batch.images.copy()
    adversarials[:, 0, 1, 0] = 1.0
    images = shrink(classifier, batch, adversarials, steps)
    assert np.all(classifier.predict(images) == 1)
    found = distances(batch.images, images, "linf")
    assert np.all((found >= thresholds.astype(np.float32)) & (found <= np.minimum(1.0, thresholds + 2.0**-steps + 1e-6)))
    # The input is left alone.
    assert np.all(adversarials[:, 0, 1, 0] == 1.0)


def test_shrink_of_nothing_is_nothing() -> None:
    classifier = IndexedTarget(np.array([0.5]))
    nothing = classifier.batch().take(np.zeros(0, int))
    assert shrink(classifier, nothing, nothing.images).shape == (0, 1, 2, 1)
