"""Models that answer differently when asked again: attacked through the mean of their answers, judged over all of them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import GradientAttack
from cortexzoo.evaluation.classifier import REPEATS, Classifier
from cortexzoo.evaluation.report.tables import markdown_table
from cortexzoo.evaluation.results.answers import Answers, answers_of
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.evaluation.small_models import TINY, Dense, random_network, save_classifier, tiny_split

EPSILON = 0.3


def noisy_classifier(path: Path, network: Dense, noise: float) -> Classifier:
    """The network with noise of this standard deviation on its logits."""

    def logits(images: tf.Tensor) -> tf.Tensor:
        found = network(images)
        return found + noise * tf.random.normal(tf.shape(found))

    save_classifier(path, logits if noise else network, TINY.image_shape, network.variables)
    return Classifier(path, TINY, np.full((8, *TINY.image_shape), 0.5, np.float32))


@pytest.fixture
def network() -> Dense:
    """A network of one hidden layer."""
    return random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)


def attacked(store: Store, classifier: Classifier, split: Split) -> Summary:
    """The classifier under PGD."""
    suite = suite_of(GradientAttack(norm="linf", epsilon=EPSILON, steps=20, relative_step=0.2, rounds=1), samples=len(split))
    evaluation = evaluation_of(store, classifier, TINY, split)
    suite.run(evaluation)
    return suite.summarize(evaluation)


def test_the_mean_of_the_answers_counts(tmp_path: Path, network: Dense) -> None:
    plain, noisy = noisy_classifier(tmp_path / "1", network, 0.0), noisy_classifier(tmp_path / "2", network, 3.0)
    assert (plain.repeats, noisy.repeats) == (1, REPEATS)
    images = tiny_split(plain.serving_logits).images
    errors = noisy.serving_logits(images) - plain.serving_logits(images)
    assert 0.5 < errors.std() / (3.0 / np.sqrt(REPEATS)) < 2.0
    # One answer has all the noise.
    agreement = np.mean(noisy.answers(images) == plain.predict(images))
    assert noisy.answers(images).shape == (REPEATS, len(images))
    assert agreement < np.mean(noisy.predict(images) == plain.predict(images))


def test_noise_does_not_make_a_model_robust(tmp_path: Path, network: Dense) -> None:
    plain, noisy = noisy_classifier(tmp_path / "1", network, 0.0), noisy_classifier(tmp_path / "2", network, 0.3)
    split = tiny_split(plain.serving_logits)
    of_plain, of_noisy = (attacked(Store(":memory:"), classifier, split) for classifier in (plain, noisy))
    assert of_plain.answers == []
    assert of_noisy.union("linf").accuracy <= of_plain.union("linf").accuracy + 0.1
    (answers,) = of_noisy.answers
    assert answers.repeats == REPEATS
    assert 0.0 <= answers.worst < answers.mean < 1.0
    assert f"judged by the mean of {REPEATS} answers" in markdown_table([of_noisy])
    assert of_noisy.robust_json()["answers"]["linf"] == answers.as_json()
    assert "answers" not in of_plain.robust_json()


def test_mean_and_worst_of_the_answers() -> None:
    answers = Answers("linf", 20, np.array([0, 5, 20, 0]))
    assert (answers.mean, answers.worst) == (1 - 25 / 80, 0.5)


def test_the_most_wrong_answers_within_the_threshold_count(store: Store) -> None:
    keys = [RunKey("digest", "tiny", "logits", 0, {"number": i}) for i in range(2)]
    # Sample, size of the perturbation, wrong answers, answers; 0.5 is beyond the threshold.
    found = [[(1, 0.2, 5, 20), (2, 0.5, 20, 20), (3, 0.2, 1, 20)], [(1, 0.3, 7, 20), (2, 0.1, 2, 20)]]
    for key, answers in zip(keys, found, strict=True):
        store.add_results(store.run_id(key, {}), np.array([0]), np.zeros(1), np.zeros(1), 1.0, answers=answers)
    # Image 0 is misclassified without an attack.
    union = Score("all linf", "linf", 0.3, np.array([0.0, 0.2, np.inf, np.inf]), np.arange(4))
    assert answers_of(store, union, keys).wrong.tolist() == [20, 7, 2, 1]
    assert answers_of(store, union, []) is None
