"""What holds for every attack of every suite, at reduced strength."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import (
    SPSA,
    AdditiveNoise,
    Attack,
    BasicIterativeMethod,
    Batch,
    BestOf,
    BinaryContrastReduction,
    BlendedUniformNoise,
    BoundaryAttack,
    BrendelBethge,
    CarliniWagnerL2,
    EpsilonGrid,
    EpsilonSearch,
    FastGradientMethod,
    Inversion,
    NearestStart,
    Pointwise,
    ProjectedGradientDescent,
)
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.line_search import PathSearch
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.attacks.starting_points import STARTS
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.norms import distances, largest_distance
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.keys import endpoints
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.running.attacker import KEPT_IMAGES
from cortexzoo.evaluation.running.attacks import run_attacks
from cortexzoo.evaluation.suites import suites
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from tests.conftest import load_split
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.evaluation.rows import read_rows
from tests.evaluation.small_models import TINY, correct_batch, random_network, reached, save_classifier, tiny_split

MNIST = datasets.info("mnist")
CATALOGUE = [card.id for card in catalog.list_models()]


def way_of_working(attack: Attack) -> str:
    """All of an attack's settings but its numbers, which are a matter of strength."""
    return json.dumps({k: v for k, v in settings(attack).items() if isinstance(v, bool) or not isinstance(v, int | float)})


# The same attack in several suites is one.
SUITES = [suite for suite in suites().values() if isinstance(suite, AttackSuite)]
MEMBERS = [(member.label, member.attack) for suite in SUITES for member in suite.build(MNIST)]
ATTACKS = {way_of_working(attack): (label, attack) for label, attack in reversed(MEMBERS)}
LABELS, FULL = zip(*ATTACKS.values(), strict=True)
LIGHT = {"passes": 1, "queries": 100, "steps": 20, "rounds": 3, "search_steps": 4, "directions": 16}
RANDOM = (AdditiveNoise, BlendedUniformNoise, BoundaryAttack, NearestStart, Pointwise, SPSA)
# What may change no prediction, at reduced strength: EAD's first constants are small, CleverHans' FGM in L1 moves one pixel,
# a hundred queries are few for Square, and a transfer attack has no sources yet.
WEAK = {
    *("square", "transfer"),
    *("additive_noise", "l2_contrast_reduction", "inversion", "elastic_net"),
    *("cleverhans/spsa (repaired)", "cleverhans/fast_gradient_method"),
}
# Radii at which some samples of the tiny network break and others do not.
TINY_EPSILONS = {"linf": 0.04, "l2": 0.16, "l1": 0.4, "l0": 3}
# For attacks on a grid, in L-infinity; at the first all samples hold.
TINY_GRID = (1e-4, 0.02, 0.04, 0.08)

every_attack = pytest.mark.parametrize("attack", FULL, ids=LABELS)
every_search = pytest.mark.parametrize(
    "attack", [pytest.param(a, id=label) for label, a in zip(LABELS, FULL, strict=True) if isinstance(a, EpsilonSearch)]
)


def replaced(attack: Attack, **values: object) -> Attack:
    """The attack with other settings, as far as it has them."""
    if isinstance(attack, BestOf):
        return BestOf(attacks=tuple(replaced(part, **values) for part in attack.attacks))
    names = {field.name for field in dataclasses.fields(attack)}
    return dataclasses.replace(attack, **{name: value for name, value in values.items() if name in names})


def light(attack: Attack, **values: object) -> Attack:
    """The attack with fewer steps."""
    if isinstance(attack, EpsilonGrid | NearestStart):
        values["inner"] = light(attack.inner, **values)
    return replaced(attack, **{name: min(value, getattr(attack, name, value)) for name, value in LIGHT.items()} | values)


def on_tiny(attack: Attack, **values: object) -> Attack:
    """The attack with fewer steps and a radius that suits the tiny network."""
    return light(attack, epsilon=TINY_EPSILONS[attack.norm], epsilons=TINY_GRID, **values)


def run(evaluation: Evaluation, samples: int, *attacks: Attack) -> None:
    """Runs these attacks and no others; a suite would leave out those that lack sources."""
    members = tuple(Member(attack, str(i)) for i, attack in enumerate(attacks))
    run_attacks(evaluation, lambda evaluation: members, samples, gradients=False)


def key_of(classifier: Classifier, dataset: str, attack: Attack, endpoint: str = "logits") -> RunKey:
    return RunKey(classifier.digest, dataset, endpoint, 0, settings(attack))


@pytest.fixture(scope="module")
def light_store(digits_classifier: Classifier, digits: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every attack on the first digits, of which all adversarial images are kept."""
    path = tmp_path_factory.mktemp("light") / "results.sqlite"
    with Store(path) as store:
        run(evaluation_of(store, digits_classifier, MNIST, digits, train=digits), KEPT_IMAGES, *map(light, FULL))
    return path


@every_attack
def test_recorded_distance_is_that_of_the_kept_image(
    attack: Attack, light_store: Path, digits_classifier: Classifier, digits: Split
) -> None:
    first = digits.first(KEPT_IMAGES)
    clean = digits_classifier.predict(first.images)
    with Store(light_store) as store:
        run = store.find_run(key_of(digits_classifier, "mnist", light(attack)))
        recorded, images = store.distances(run), store.images(run, (28, 28, 1))
        predictions = {sample: store.prediction(run, sample) for sample in recorded}
    correct = set(first.ids[clean == first.labels].tolist())
    # A misclassified image has distance 0 without an attack.
    assert {sample for sample, distance in recorded.items() if distance == 0.0} == set(first.ids.tolist()) - correct
    assert set(images) == correct
    for sample, image in images.items():
        assert image.min() >= 0.0
        assert image.max() <= 1.0
        (label,) = digits_classifier.predict(image[None])
        assert label == predictions[sample]
        if np.isfinite(recorded[sample]):
            assert label != first.labels[sample]
            assert recorded[sample] == distances(first.images[sample][None], image[None], attack.norm)[0]
        else:
            assert label == first.labels[sample]


def test_light_attacks_do_break_something(light_store: Path) -> None:
    # Or the test above would hold for attacks that do nothing.
    found = {}
    for description, _, distance, _ in read_rows(light_store)["results"]:
        found.setdefault(description, []).append(distance)
    assert len(found) == len(FULL)
    broken = {name: sum(0.0 < distance < np.inf for distance in values) for name, values in found.items()}
    assert {json.loads(name)["settings"]["attack"] for name, count in broken.items() if count < 3} <= WEAK


@every_search
def test_fixed_epsilon_holds_for_every_image(attack: EpsilonSearch, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = on_tiny(attack)
    # Radii of their own; the greatest ones reach the borders of the box.
    epsilon = np.geomspace(0.1, 20, len(tiny_batch)).astype(np.float32) * attack.epsilon
    images = attack.perturb(tiny_classifier, "logits", tiny_batch, epsilon, 0)
    assert (images.shape, images.dtype) == (tiny_batch.images.shape, np.float32)
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    found = distances(tiny_batch.images, images, attack.norm)
    assert not np.any(metrics.survivors(found, epsilon.astype(np.float64)))
    assert np.all(found > 0.0)


@every_search
def test_one_round_stays_within_the_threshold(attack: EpsilonSearch, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = on_tiny(attack, rounds=1)
    found = reached(attack, tiny_classifier, tiny_batch)
    broken = np.isfinite(found)
    assert broken.sum() < len(found)
    # Noise of this size and less contrast may change nothing.
    assert broken.any() or not attack.uses_gradients
    assert not np.any(metrics.survivors(found[broken], attack.epsilon))


# Not the single-step attack, which may jump over a region, and not SPSA, which the suites run at one epsilon alone.
@pytest.mark.parametrize(
    "attack",
    [pytest.param(a, id=x) for x, a in zip(LABELS, FULL, strict=True) if a.uses_gradients and getattr(a, "steps", 0) > 1],
)
def test_unbounded_attack_reaches_zero(attack: Attack, digits_classifier: Classifier, digits_batch: Batch) -> None:
    # The network is smooth and masks nothing: a survivor would be the attack's fault.
    attack, far = replaced(attack, steps=min(attack.steps, 100)), largest_distance((28, 28, 1), attack.norm) / 4
    if not isinstance(attack, EpsilonSearch):
        # It may go no farther, and often comes no nearer.
        attack = replaced(attack, epsilon=0.9 * far)
    found = reached(attack, digits_classifier, digits_batch)
    assert np.all(np.isfinite(found))
    assert found.max() < far


@every_search
def test_more_rounds_never_end_farther(attack: EpsilonSearch, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    # From a small threshold, so that two rounds do not reach every sample.
    attack = replaced(on_tiny(attack), epsilon=TINY_EPSILONS[attack.norm] / 4)
    few, more = (reached(replaced(attack, rounds=rounds), tiny_classifier, tiny_batch) for rounds in (2, 6))
    assert np.all(more <= few)
    assert np.any(more < few)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack_class", [BasicIterativeMethod, ProjectedGradientDescent])
def test_more_steps_break_the_same_samples_and_more(
    attack_class: type, norm: str, tiny_classifier: Classifier, tiny_batch: Batch
) -> None:
    # At one epsilon the first steps are the same, and the first adversarial iterate is kept.
    attack = attack_class(norm=norm, epsilon=TINY_EPSILONS[norm], rounds=1, relative_step=0.1)
    few, more = (
        np.isfinite(reached(dataclasses.replace(attack, steps=steps), tiny_classifier, tiny_batch)) for steps in (4, 30)
    )
    assert not np.any(few & ~more)
    assert few.sum() < more.sum()


def test_more_restarts_break_the_same_samples_and_more(tiny_classifier: Classifier, tiny: Split) -> None:
    batch = correct_batch(tiny_classifier, tiny, 40)
    # Two short steps from a random point: luck decides.
    attack = ProjectedGradientDescent(norm="linf", epsilon=0.04, rounds=1, steps=2, relative_step=0.3)
    one, two, many = (
        np.isfinite(reached(dataclasses.replace(attack, restarts=restarts), tiny_classifier, batch))
        for restarts in (1, 2, 8)
    )
    assert not np.any(one & ~two)
    assert not np.any(two & ~many)
    assert one.sum() < many.sum()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_more_starts_come_no_farther(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    one, two = (reached(BrendelBethge(norm=norm, restarts=n, steps=200), tiny_classifier, tiny_batch) for n in (1, 2))
    assert np.all(two <= one)
    assert np.any(two < one)


def test_starts_are_as_many_as_there_are() -> None:
    with pytest.raises(ValueError, match=f"from 1 to {STARTS}. Received: {STARTS + 1}"):
        BrendelBethge(norm="l2", restarts=STARTS + 1)


def test_more_constants_of_carlini_wagner_do_not_end_farther(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    few, more = (reached(CarliniWagnerL2(search_steps=n, steps=100), tiny_classifier, tiny_batch) for n in (3, 8))
    # The last pull along the line starts from another image, so that a little may be lost.
    assert np.all(more <= few * 1.02)
    assert np.mean(more) < np.mean(few)


def stored(path: Path, attack: Attack, classifier: Classifier, split: Split, seed: int) -> dict[str, list[tuple]]:
    """The rows after one attack on a tiny split."""
    with Store(path) as store:
        run(evaluation_of(store, classifier, TINY, split, train=split, seed=seed), 8, attack)
    return read_rows(path)


@every_attack
def test_same_seed_gives_the_same_rows(attack: Attack, tiny_path: Path, tiny: Split, tmp_path: Path) -> None:
    attack = on_tiny(attack)
    # Each with a classifier of its own, as in another process.
    classifiers = [Classifier(tiny_path, TINY, tiny.images[:2]) for _ in range(2)]
    one, two = (stored(tmp_path / f"{i}.sqlite", attack, classifier, tiny, 7) for i, classifier in enumerate(classifiers))
    assert one == two
    assert len(one["results"]) == len(one["images"]) == 8
    if getattr(attack, "random_start", isinstance(attack, RANDOM)):
        other = stored(tmp_path / "other.sqlite", attack, classifiers[0], tiny, 8)
        assert [image for _, _, image in other["images"]] != [image for _, _, image in one["images"]]


@every_attack
def test_a_sample_does_not_depend_on_its_batch(attack: Attack, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = on_tiny(attack)
    together = reached(attack, tiny_classifier, tiny_batch)
    order = np.random.default_rng(0).permutation(len(tiny_batch))
    shuffled = np.empty_like(together)
    for chosen in (order[:1], order[1:4], order[4:]):
        shuffled[chosen] = reached(attack, tiny_classifier, tiny_batch.take(chosen))
    # Matrix products of other sizes round differently, and a walk makes more of it: it may lead one sample elsewhere.
    assert np.sum(~np.isclose(shuffled, together, rtol=1e-2)) <= 1


# The paths lead to the same places whatever the labels are.
PATHS = (PathSearch, Inversion, BinaryContrastReduction)


@pytest.mark.parametrize(
    "attack", [pytest.param(a, id=x) for x, a in zip(LABELS, FULL, strict=True) if not isinstance(a, PATHS)]
)
def test_labels_are_attacked_not_predictions(attack: Attack, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    # With labels that the model does not give, every image is adversarial as it is. An attack that went by the prediction
    # would leave for another class.
    attack = on_tiny(attack)
    labels = (tiny_batch.labels + 1) % TINY.num_classes
    starts = np.repeat(tiny_batch.images[:, None], STARTS, axis=1)
    found = reached(attack, tiny_classifier, dataclasses.replace(tiny_batch, labels=labels, starts=starts))
    assert found.max() < 0.01 * TINY_EPSILONS[attack.norm]
    # The same images with their true labels are not that near.
    assert np.median(reached(attack, tiny_classifier, tiny_batch)) > 0.1 * TINY_EPSILONS[attack.norm]


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A linear classifier of thresholded pixels: no gradient in `logits`, a steep sigmoid's in `attack_logits`."""
    network = random_network(np.random.default_rng(3), 16, 12, TINY.num_classes, scale=1.0)
    return Classifier(
        save_classifier(
            tmp_path_factory.mktemp("masked") / "1",
            lambda image: network(tf.cast(image >= 0.5, tf.float32)),
            TINY.image_shape,
            network.variables,
            attack_logits=lambda image: network(tf.sigmoid(20 * (image - 0.5))),
        ),
        TINY,
        np.full((1, *TINY.image_shape), 0.4, np.float32),
    )


def test_masked_model_is_broken_through_attack_logits_and_the_worst_case_counts(masked: Classifier) -> None:
    split = tiny_split(masked.serving_logits, 12)
    attack = BasicIterativeMethod(norm="linf", epsilon=0.1)
    assert masked.endpoints == ("logits", "attack_logits")
    with Store(":memory:") as store:
        suite, evaluation = suite_of(attack, samples=12), evaluation_of(store, masked, TINY, split)
        suite.run(evaluation)
        found = {
            endpoint: store.distances(store.find_run(key_of(masked, "tiny", attack, endpoint)))
            for endpoint in masked.endpoints
        }
        summary = suite.summarize(evaluation)
    assert np.all(np.isinf(list(found["logits"].values())))
    assert np.all(np.isfinite(list(found["attack_logits"].values())))
    (score,) = summary.attacks
    assert score.endpoints == ("logits", "attack_logits")
    np.testing.assert_array_equal(score.distances, list(found["attack_logits"].values()))
    np.testing.assert_array_equal(summary.unions[0].distances, score.distances)


def test_worst_case_takes_the_nearer_endpoint_for_each_sample(masked: Classifier) -> None:
    split = tiny_split(masked.serving_logits, 3)
    attack = BasicIterativeMethod(norm="linf", epsilon=0.1)
    with Store(":memory:") as store:
        store.add_model(masked.digest, "masked")
        store.set_check(masked.digest, "tiny", "endpoints", list(masked.endpoints))
        store.set_clean(masked.digest, "tiny", split.ids, split.labels, split.labels)
        for endpoint, found in {"logits": [0.5, np.inf, 0.05], "attack_logits": [0.2, 0.3, np.inf]}.items():
            run = store.run_id(key_of(masked, "tiny", attack, endpoint), {})
            store.add_results(run, split.ids, np.array(found), split.labels, 1.5)
        summary = suite_of(attack, samples=3).summarize(evaluation_of(store, masked, TINY, split))
    np.testing.assert_array_equal(summary.attacks[0].distances, [0.2, 0.3, 0.05])
    assert summary.attacks[0].seconds == 3.0


def test_gradient_free_attacks_see_the_models_own_logits_only() -> None:
    for attack in FULL:
        expected = ("logits", "attack_logits") if attack.uses_gradients else ("logits",)
        assert endpoints(("logits", "attack_logits"), attack) == expected
    assert not all(attack.uses_gradients for attack in FULL)


def test_a_surrogate_does_not_decide_success(tmp_path: Path) -> None:
    # This surrogate always says class 2; its gradient is right, its decisions are not the model's.
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    biased = lambda image: network(image) + tf.constant([0.0, 0.0, 50.0])  # noqa: E731
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables, attack_logits=biased)
    classifier = Classifier(path, TINY, np.full((1, *TINY.image_shape), 0.4, np.float32))
    split = tiny_split(classifier.serving_logits)
    batch = correct_batch(classifier, split, 40)
    batch = batch.take(batch.labels != 2)
    assert len(batch) > 5
    attack = ProjectedGradientDescent(norm="l2", epsilon=0.2)
    assert np.all(np.isfinite(reached(attack, classifier, batch, "attack_logits")))


@pytest.mark.skipif(not CATALOGUE, reason="the catalogue is empty")
@pytest.mark.parametrize("model_id", [pytest.param(x, marks=pytest.mark.slow) if "-seed" in x else x for x in CATALOGUE])
def test_catalogued_model_can_be_attacked(model_id: str) -> None:
    info = datasets.info(catalog.model_card(model_id).dataset)
    split = load_split(info.name, "test")
    classifier = Classifier(catalog.verified_saved_model(model_id), info, split.images[:4])
    batch = correct_batch(classifier, split.first(20), 4)
    attack = FastGradientMethod(norm="linf", epsilon=0.3)
    moved = 0
    for endpoint in classifier.endpoints:
        images = attack.perturb(classifier, endpoint, batch, np.full(len(batch), 0.3, np.float32), 0)
        assert np.all((images >= 0.0) & (images <= 1.0))
        found = distances(batch.images, images, "linf")
        assert not np.any(metrics.survivors(found, 0.3))
        moved += np.sum(found > 0.0)
    # One of its endpoints has a gradient to follow.
    assert moved > 0
