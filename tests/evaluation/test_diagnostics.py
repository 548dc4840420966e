"""Signs of masking: seen where they are, silent where they are not."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.store import Store
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, random_network, save_classifier

N = 20


def score(distances: Any, *, norm: str = "linf", ids: np.ndarray | None = None, **settings: Any) -> Score:
    distances = np.broadcast_to(np.asarray(distances, float), N if ids is None else len(ids))
    given = {"attack": "cleverhans/x", "steps": 10, "random_start": False} | settings
    return Score(
        "label",
        norm,
        0.3,
        distances,
        np.arange(N) if ids is None else ids,
        settings=given,
        uses_gradients="spsa" not in given["attack"],
    )


def checks(*scores: Score) -> dict[str, diagnostics.Check]:
    return {check.name: check for check in diagnostics.from_scores(list(scores))}


SINGLE = "Single step beats every iterative attack (L∞)"
BLACK = "Gradient-free beats every gradient attack (L∞)"
UNBOUNDED = "Unbounded gradient attack fails (L∞)"


def test_single_step_that_beats_the_iterative_attacks() -> None:
    few = np.where(np.arange(N) < 2, 0.1, 0.3)
    check = checks(score(few, steps=1), score(0.2))[SINGLE]
    assert (check.value, check.warning) == (0.1, True)
    # The best of the iterative attacks counts, sample by sample.
    assert not checks(score(few, steps=1), score(0.2), score(0.1))[SINGLE].warning


def test_attacks_inside_an_attack_count() -> None:
    """Refined, and the best of two: single steps both, or one of them."""

    def nested(*steps: int) -> dict:
        return {
            "attack": "refined",
            "steps": None,
            "inner": {"attacks": [{"steps": n, "random_start": n > 1} for n in steps]},
        }

    assert checks(score(0.1, **nested(1, 1)), score(0.2))[SINGLE].value == 1.0
    found = checks(score(np.inf, **nested(1, 9)), score(0.2))
    assert SINGLE not in found
    assert found[UNBOUNDED].value == 1.0


def test_a_few_percent_nearer_is_no_sign() -> None:
    check = checks(score(0.196, steps=1), score(0.2))[SINGLE]
    assert (check.value, check.warning) == (0.0, False)


def test_distances_that_the_search_cannot_tell_apart_are_no_sign() -> None:
    """Halved eight times, 8/255 leaves a bracket of 0.0002, a tenth of the distances of an undefended CIFAR-10 network."""

    def tiny(distance: float, **settings: Any) -> Score:
        return dataclasses.replace(score(distance, **settings), epsilon=8 / 255)

    assert checks(tiny(0.0017, steps=1), tiny(0.002))[SINGLE].value == 0.0
    assert checks(tiny(0.0017, steps=1), tiny(0.01))[SINGLE].value == 1.0
    assert checks(tiny(0.0017, steps=1), tiny(np.inf))[SINGLE].value == 1.0


def test_success_where_the_others_fail_is_a_sign_and_common_failure_is_none() -> None:
    assert checks(score(0.9, steps=1), score(np.inf))[SINGLE].value == 1.0
    assert checks(score(np.inf, steps=1), score(np.inf))[SINGLE].value == 0.0
    assert checks(score(0.0, steps=1), score(0.0))[SINGLE].value == 0.0


def test_gradient_free_attack_that_beats_the_others() -> None:
    black = score(0.1, attack="cleverhans/spsa (repaired)", steps=100)
    found = checks(black, score(0.2), score(0.3, steps=1))
    assert (found[BLACK].value, found[BLACK].warning) == (1.0, True)
    # It is no iterative gradient attack itself.
    assert not found[SINGLE].warning


def test_attacks_on_a_grid_are_compared_at_its_epsilons() -> None:
    """A search that ends between two epsilons does not beat an attack that was tried at these alone."""
    grid = [0.1, 0.2, 0.3]
    white = score(0.2 * (1 + 1e-6), epsilons=grid)
    inside = score(0.2, attacks=[{"attack": "rescaled_gradient", "epsilons": grid}])
    for defender in (white, inside):
        for distance, share in ((0.15, 0.0), (0.09, 1.0), (0.1 * (1 + 1e-6), 1.0), (np.inf, 0.0)):
            assert checks(score(distance, attack="cleverhans/spsa (repaired)", steps=100), defender)[BLACK].value == share
    failed = score(np.inf, epsilons=grid)
    found = {d: checks(score(d, attack="cleverhans/spsa (repaired)"), failed)[BLACK].value for d in (0.3, 0.31)}
    assert found == {0.3: 1.0, 0.31: 0.0}


def test_attacks_are_compared_on_the_images_they_share() -> None:
    ids = np.arange(10, N)
    black = score(0.1, attack="cleverhans/spsa (repaired)", steps=100, ids=ids)
    check = checks(black, score(np.where(np.arange(N) < 10, 0.01, 0.05)))[BLACK]
    assert check.value == 0.0
    assert "10 images" in check.finding


def test_norms_are_not_mixed() -> None:
    assert SINGLE not in checks(score(0.1, steps=1, norm="l2"), score(0.2))


def test_unbounded_attack_that_fails() -> None:
    some = np.where(np.arange(N) < 5, np.inf, 0.2)
    check = checks(score(some, random_start=True))[UNBOUNDED]
    assert (check.value, check.warning) == (0.25, True)
    assert not checks(score(some, random_start=True), score(0.9, random_start=True))[UNBOUNDED].warning
    assert UNBOUNDED not in checks(score(some))


def test_a_norm_that_only_single_steps_attacked() -> None:
    some = np.where(np.arange(N) < 5, 0.1, np.inf)
    check = checks(score(some, steps=1, norm="l1"), score(0.2))["Only single-step attacks (L1)"]
    assert (check.value, check.warning) == (0.75, True)
    assert "Only single-step attacks (L∞)" not in checks(score(some, steps=1), score(0.2))


@pytest.fixture
def half_masked(tmp_path: Path) -> Classifier:
    """No gradient for dark images: as where a saturated unit underflows."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)

    def logits(images: tf.Tensor) -> tf.Tensor:
        dark = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True) < 0.3
        return network(tf.where(dark, tf.stop_gradient(images), images))

    path = save_classifier(tmp_path / "1", logits, TINY.image_shape, network.variables, attack_logits=network)
    return Classifier(path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


def test_zero_gradients_are_counted_and_kept(half_masked: Classifier) -> None:
    images = np.full((10, *TINY.image_shape), 0.6, np.float32)
    images[:4] = 0.1
    split = Split(images, half_masked.predict(images), np.arange(10))
    with Store(":memory:") as store:
        evaluation = evaluation_of(store, half_masked, TINY, split)
        store.set_check(half_masked.digest, "tiny", "endpoints", list(half_masked.endpoints))
        diagnostics.measure(evaluation)
        # Measured once.
        diagnostics.measure(evaluation_of(store, half_masked, TINY, split.first(1)))
        plain, surrogate = diagnostics.from_store(evaluation)
    assert (plain.name, plain.value, plain.warning) == ("All-zero gradient of `logits`", 0.4, True)
    assert "40.0 % of 10 images" in plain.finding
    assert (surrogate.name, surrogate.value, surrogate.warning) == ("All-zero gradient of `attack_logits`", 0.0, False)


def test_model_without_any_gradient(tmp_path: Path, tiny: Split) -> None:
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    path = save_classifier(tmp_path / "1", lambda x: network(tf.round(x)), TINY.image_shape, network.variables)
    classifier = Classifier(path, TINY, tiny.images[:2])
    batch = Batch(tiny.images[:5], tiny.labels[:5], tiny.ids[:5], 0)
    assert diagnostics.zero_gradient_share(classifier, "logits", batch) == 1.0


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
@pytest.mark.parametrize("dtype", [tf.float64, tf.float32, tf.bfloat16, tf.float16])
@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_cast_logits_have_a_gradient(dtype: tf.DType, loss: str, scale: float, tmp_path: Path, tiny: Split) -> None:
    """A float32 network whose logits are cast: what is magnified in float64 overflows on its way back through float32."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    precise = {"logits_float64": lambda x: scale * tf.cast(network(x), tf.float64)}
    path = save_classifier(
        tmp_path / "1", lambda x: tf.cast(network(x), dtype), TINY.image_shape, network.variables, **precise
    )
    classifier = Classifier(path, TINY, tiny.images[:2])
    batch = Batch(tiny.images[:5], tiny.labels[:5], tiny.ids[:5], 0)
    for endpoint in ("logits", "logits_float64"):
        assert diagnostics.zero_gradient_share(classifier, endpoint, batch, loss) == 0.0


def test_ordinary_model_has_no_zero_gradient(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    assert diagnostics.zero_gradient_share(tiny_classifier, "logits", tiny_batch) == 0.0
