"""Suites in which broken images leave: who is attacked, what is left, and what is resumed."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.adversarials import adversarials_of
from cortexzoo.evaluation.attacks import Attack, Batch
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.report.curves import accuracy_curves, line_styles
from cortexzoo.evaluation.report.gallery import gallery
from cortexzoo.evaluation.report.sections.nearest import nearest
from cortexzoo.evaluation.report.tables import csv_rows, markdown_table
from cortexzoo.evaluation.result import Result
from cortexzoo.evaluation.results.diagnostics import from_scores
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.results.summary import Summary
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.evaluation.small_models import save_classifier

INFO = DatasetInfo("tiny", "tiny", (4, 4, 1), ("a", "b"), 12, thresholds={"linf": 0.5, "l2": 1, "l1": 1, "l0": 1})
N = 12
# The model is wrong about this image before any attack.
WRONG = 11


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breaks(Attack):
    """Changes the class of some images by changing the one pixel that the model looks at.

    Attributes:
        samples: ids of the images that it breaks.
        size: of the change.
    """

    name: ClassVar[str] = "tests/breaks"
    chunk_size: ClassVar[int] = 4
    seen: ClassVar[list[list[int]]] = []

    norm: str = "linf"
    samples: tuple[int, ...]
    size: float = 0.4

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        self.seen.append(batch.ids.tolist())
        images = batch.images.copy()
        images[np.isin(batch.ids, self.samples), 0, 0, 0] += self.size
        return images


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Class b where the first pixel is above 0.5."""

    def logits(images: tf.Tensor) -> tf.Tensor:
        lead = images[:, 0, 0, 0] - 0.5
        return tf.stack([-lead, lead], axis=1)

    path = save_classifier(tmp_path_factory.mktemp("pixel") / "1", logits, (4, 4, 1))
    return Classifier(path, INFO, np.full((2, 4, 4, 1), 0.3, np.float32))


@pytest.fixture
def split() -> Split:
    """Dark images of class a, the last of which is said to be of class b."""
    labels = np.zeros(N, np.int64)
    labels[WRONG] = 1
    Breaks.seen.clear()
    return Split(np.full((N, 4, 4, 1), 0.2, np.float32), labels, np.arange(N))


FIRST = Member(Breaks(samples=(0, 1, 2, 3, 4, 5)), "first", leaves_at=0.5)
SECOND = Member(Breaks(samples=(0, 6)), "second", leaves_at=0.5)
FAR = Member(Breaks(samples=(1, 7), size=0.6), "far", leaves_at=0.5)
FEW = Member(Breaks(samples=(0, 8), size=0.35), "few", samples=9)


def run(store: Store, classifier: Classifier, split: Split, *members: Member, **options: int) -> Summary:
    """The summary of a suite of these attacks on all images."""
    suite, evaluation = suite_of(*members, samples=N), evaluation_of(store, classifier, INFO, split, **options)
    suite.run(evaluation)
    return suite.summarize(evaluation)


def left(summary: Summary) -> list[int]:
    """How many images each attack and all before it left."""
    return [round(score.accuracy * score.samples) for score in summary.attacks]


def test_images_leave_once_they_are_broken(store: Store, classifier: Classifier, split: Split) -> None:
    summary = run(store, classifier, split, FIRST, SECOND, FAR)
    # Broken and misclassified images are not attacked again, and those that are left fill the chunks.
    assert Breaks.seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [6, 7, 8, 9], [10], [7, 8, 9, 10]]
    assert left(summary) == [5, 4, 4]
    assert [score.samples for score in summary.attacks] == [N] * 3
    # The third attack's adversarial image is beyond the threshold: the image is not broken.
    assert summary.union("linf").accuracy == 4 / N
    assert summary.union("linf").distances[7] == pytest.approx(0.6)


def test_a_norm_leaves_the_images_of_another_alone(store: Store, classifier: Classifier, split: Split) -> None:
    other = Member(Breaks(norm="l0", samples=(0,)), "other", leaves_at=1.0)
    summary = run(store, classifier, split, FIRST, other)
    assert left(summary) == [5, 10]


def test_images_leave_between_the_endpoints_of_an_attack(store: Store, tmp_path: Path, split: Split) -> None:
    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.fill(tf.shape(images)[:1], 0.5), images[:, 0, 0, 0]], axis=1)

    path = save_classifier(tmp_path / "1", logits, (4, 4, 1), attack_logits=logits)
    summary = run(store, Classifier(path, INFO, split.images[:2]), split, FIRST)
    assert summary.attacks[0].endpoints == ("logits", "attack_logits")
    assert Breaks.seen[3:] == [[6, 7, 8, 9], [10]]
    assert left(summary) == [5]


def test_an_attack_on_the_first_images_counts_where_it_has_a_result(
    store: Store, classifier: Classifier, split: Split
) -> None:
    summary = run(store, classifier, split, FIRST, FEW, SECOND)
    union = summary.union("linf")
    # Image 8 is broken by the attack on nine images, which also leaves the next attack one image less.
    assert Breaks.seen[-1] == [6, 7, 9, 10]
    assert (union.samples, union.accuracy) == (N, 3 / N)
    assert summary.wide_union("linf") is None
    # It attacks broken images as well, and only its distances are minimal.
    assert Breaks.seen[3:6] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    np.testing.assert_allclose(union.minimised[[0, 1, 8]], [0.35, 0.4, 0.35], rtol=1e-5)
    assert len(union.minimised) == 9
    assert [len(labels) for labels in nearest(summary, union)] == [1] * 7 + [0, 1, 0, 0, 0]


def test_medians_need_minimised_distances(store: Store, classifier: Classifier, split: Split) -> None:
    summary = run(store, classifier, split, FIRST, SECOND)
    assert np.isnan(summary.union("linf").median)
    assert summary.union("linf").as_json()["median"] is None
    assert {row["median"] for row in csv_rows([summary])} == {""}
    table = markdown_table([summary])
    assert "all above left together" in table
    assert "nan" not in table


def test_a_run_that_ended_early_counts_as_far_as_it_got(classifier: Classifier, split: Split, store: Store) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Ends(Breaks):
        def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
            if 10 in batch.ids:
                raise KeyboardInterrupt
            return super().run(classifier, endpoint, batch)

    members = (FIRST, Member(Ends(samples=(0, 6)), "second", leaves_at=0.5))
    with pytest.raises(KeyboardInterrupt):
        run(store, classifier, split, *members)
    suite = suite_of(*members, samples=N)
    summary = suite.summarize(evaluation_of(store, classifier, INFO, split))
    # Of the images that were left, 6 to 9 had been attacked: the result is that of the first ten images, not of these four.
    assert summary.attacks[1].ids.tolist() == list(range(10))
    Breaks.seen.clear()
    whole = run(store, classifier, split, FIRST, SECOND)
    assert Breaks.seen == [[10]]
    assert left(whole) == [5, 4]


def test_workers_and_thresholds(classifier: Classifier, split: Split, store: Store) -> None:
    one, summaries = run(store, classifier, split, FIRST, SECOND, FAR), []
    with Store(":memory:") as other:
        summaries.append(run(other, classifier, split, FIRST, SECOND, FAR, workers=2))
    assert left(summaries[0]) == left(one)
    np.testing.assert_array_equal(summaries[0].union("linf").distances, one.union("linf").distances)


def test_figures_and_adversarials_show_what_was_found_until_then(store: Store, classifier: Classifier, split: Split) -> None:
    summary = run(store, classifier, split, FIRST, SECOND, keeps_images=True)
    found = adversarials_of(summary, summary.attacks[1])
    assert np.isfinite(found.distances).sum() == 8
    assert found.images[6, 0, 0, 0] == pytest.approx(0.6)
    assert gallery(summary).axes
    # Without a minimised distance there is a point, and no curve.
    panel = accuracy_curves([summary], line_styles([summary])).axes[0]
    (point,) = (line for line in panel.get_lines() if line.get_label() == "tiny, all attacks")
    assert point.get_xydata().tolist() == [[0.5, pytest.approx(100 * 4 / N)]]


def test_another_threshold_needs_minimised_distances(store: Store, classifier: Classifier, split: Split) -> None:
    result = Result(run(store, classifier, split, FIRST, SECOND))
    assert result.robust_accuracy("linf", 0.5) == result.robust_accuracy("linf") == 4 / N
    # The images broken at 0.5 are not known to hold at 0.3.
    with pytest.raises(ValueError, match=r"threshold at which the suite test ran in linf: 0\.5\. Received: 0\.3"):
        result.robust_accuracy("linf", 0.3)
    few = Result(run(store, classifier, split, FIRST, FEW))
    # Of its nine images seven broke before that, six of them at 0.4 by the other attack.
    assert few.robust_accuracy("linf", 0.36) == pytest.approx(7 / 9)
    assert few.robust_accuracy("linf", 0.1) == 1.0


def test_a_sign_where_others_break_what_apgd_leaves() -> None:
    def left(attack: str, count: int) -> Score:
        distances = np.array([0.1] * (N - count) + [np.inf] * count)
        return Score(attack, "l2", 1.0, distances, np.arange(N), settings={"attack": attack}, cumulative=True)

    found = from_scores([left("auto_pgd", 10), left("auto_pgd", 9), left("fab", 8), left("square", 3)])
    (check,) = (check for check in found if check.name == "Other attacks beat APGD (L2)")
    assert (check.value, check.warning) == (0.5, True)
    assert check.finding == "on 50.0 % of 12 images others succeed where it fails"
    (check,) = from_scores([left("auto_pgd", 10), left("square", 10)])
    assert not check.warning
