"""Several processes give what one gives."""

import dataclasses

import numpy as np
import pytest

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Batch, BrendelBethge, ProjectedGradientDescent
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.store import Store
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.evaluation.small_models import TINY


def test_rows_do_not_depend_on_the_number_of_workers(tiny_classifier: Classifier, tiny: Split) -> None:
    attacks = (ProjectedGradientDescent(norm="linf", epsilon=0.1), BrendelBethge(norm="l2", steps=50))
    train, rows = Split(tiny.images[20:], tiny.labels[20:], tiny.ids[20:]), []
    for workers in (1, 2):
        with Store(":memory:") as store:
            evaluation = evaluation_of(store, tiny_classifier, TINY, tiny, train=train, workers=workers)
            suite_of(*attacks, samples=20).run(evaluation)
            rows.append([list(store.distances(run).values()) for run in (1, 2)])
    assert len(rows[0][0]) == 20
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-6)
    assert np.all(np.isfinite(rows[0]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failing(ProjectedGradientDescent):
    """An attack that fails at once."""

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """Raises."""
        raise ValueError("broken on purpose")


def test_what_has_begun_is_kept_when_an_attack_fails(tiny_classifier: Classifier, tiny: Split) -> None:
    good = ProjectedGradientDescent(norm="l2", epsilon=0.1, steps=200, restarts=5)
    suite = suite_of(good, Failing(norm="linf", epsilon=0.1), samples=20)
    with Store(":memory:") as store:
        with pytest.raises(ValueError, match="broken on purpose"):
            suite.run(evaluation_of(store, tiny_classifier, TINY, tiny, workers=2))
        assert [len(store.distances(run)) for run in (1, 2)] == [20, 0]
