"""The suites `standard` and `strong`: the published protocol, what is chosen for a model, and the one number."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import FAB, AutoPGD, Square
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.input_threshold import examine
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites import find
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.standard import STANDARD, members
from cortexzoo.evaluation.suites.strong import STRONG
from cortexzoo.evaluation.worst_case import worst_cases
from cortexzoo.norms import NORM_NAMES, NORMS
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, random_network, save_classifier

MNIST = datasets.info("mnist")


def test_standard_is_auto_attack_as_published() -> None:
    """Section 5 and appendix of Croce and Hein 2020, and of 2021 in L1; the authors' version `standard`."""
    labels = [member.label for member in members(MNIST)]
    attacks = ["APGD-CE", "APGD-T", "FAB-T", "Square"]
    assert labels == [f"{attack} {norm}" for norm in ("L∞", "L2", "L1") for attack in attacks]
    found = {member.label: member.attack for member in members(MNIST)}
    for norm, title in (("linf", "L∞"), ("l2", "L2"), ("l1", "L1")):
        first, targeted, fab, square = (found[f"{attack} {title}"] for attack in attacks)
        assert isinstance(first, AutoPGD)
        assert isinstance(fab, FAB)
        assert isinstance(square, Square)
        assert {attack.epsilon for attack in (first, targeted, fab, square)} == {MNIST.thresholds[norm]}
        assert (first.loss, first.steps, first.restarts) == ("cross_entropy", 100, 5 if norm == "l1" else 1)
        assert (targeted.loss, targeted.steps, targeted.restarts) == ("targeted_dlr", 100, 1)
        assert targeted.target_classes == (5 if norm == "l1" else 9)
        assert first.large_radii == targeted.large_radii == (norm == "l1")
        assert (fab.steps, fab.restarts, fab.target_classes) == (100, 1, 9)
        assert (square.queries, square.restarts, square.p_init) == (5000, 1, 0.8)
    assert all(member.leaves_at == MNIST.thresholds[member.attack.norm] for member in members(MNIST))


@pytest.fixture(scope="module")
def thresholded(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A network that sees only which pixels reach 0.5, with a straight-through gradient."""
    network = random_network(np.random.default_rng(3), 16, 12, TINY.num_classes)

    def logits(images: tf.Tensor) -> tf.Tensor:
        sides = tf.cast(images >= 0.5, tf.float32)
        return network(tf.stop_gradient(sides) + images - tf.stop_gradient(images))

    path = save_classifier(tmp_path_factory.mktemp("sides") / "1", logits, TINY.image_shape, network.variables)
    return Classifier(path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


def labels_of(suite: AttackSuite, classifier: Classifier, split: Split) -> list[str]:
    """The attacks of a suite on a model that has been examined."""
    with Store(":memory:") as store:
        evaluation = evaluation_of(store, classifier, TINY, split)
        find("clean").run(evaluation)
        examine(evaluation)
        return [member.label for member in suite.members(evaluation)]


def test_strong_begins_with_standard(tiny_classifier: Classifier, tiny: Split) -> None:
    labels = labels_of(STRONG, tiny_classifier, tiny)
    standard = labels_of(STANDARD, tiny_classifier, tiny)
    assert labels[: len(standard)] == standard
    assert {label.rpartition(" ")[2] for label in labels} == {"L∞", "L2", "L1", "L0"}
    assert len(set(labels)) == len(labels)


def test_attacks_are_chosen_by_what_the_model_is(
    tiny_classifier: Classifier, thresholded: Classifier, tiny: Split, tmp_path: Path
) -> None:
    plain = labels_of(STRONG, tiny_classifier, tiny)
    assert {"Pixel beam L0", "Pixel beam L1"} < set(plain)
    assert not any("Ascent" in label or "stable" in label for label in plain)
    across = labels_of(STRONG, thresholded, tiny)
    assert {f"Ascent {NORM_NAMES[norm]}" for norm in NORMS} < set(across)
    assert not any("Pixel beam" in label for label in across)
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables, logits_stable=network)
    saturating = labels_of(STRONG, Classifier(path, TINY, tiny.images[:2]), tiny)
    assert {"APGD stable L∞", "APGD softened L1"} < set(saturating)


def test_images_come_from_the_plain_networks_of_other_families() -> None:
    cards = {card.id: card for card in catalog.list_models(dataset="mnist")}
    model = Model("mnist/saturating_relu_mlp", None, "mnist", "mnist/saturating_relu_mlp", family="relu_mlp")
    sources = STRONG.sources_of(model)
    assert "mnist/relu_mlp" in sources
    assert len(sources) == 4
    assert all(not cards[source].variant for source in sources)
    assert len({cards[source].family for source in sources}) == 4
    # A model of one's own has no data set in the catalogue.
    assert STRONG.sources_of(Model("mine", None)) == ()


def test_strong_gives_the_one_number(tiny_classifier: Classifier, tiny: Split, store: Store) -> None:
    sizes = {"linf": (0.05,), "l2": (0.2,), "l1": (0.5,), "l0": (1.0,)}
    evaluation = evaluation_of(store, tiny_classifier, TINY, tiny.first(12), train=tiny)
    evaluation = dataclasses.replace(evaluation, thresholds=sizes)
    evaluation.__dict__["classifier"] = tiny_classifier
    STANDARD.run(evaluation)
    standard = STANDARD.summarize(evaluation)
    assert worst_cases(evaluation) == {}
    STRONG.run(evaluation)
    summary, worst = STRONG.summarize(evaluation), worst_cases(evaluation)
    assert set(worst) == set(NORMS)
    for norm in ("linf", "l2", "l1"):
        assert summary.union(norm).accuracy <= standard.union(norm).accuracy
    for norm in NORMS:
        number = worst[norm].as_json()
        assert number["accuracy"] == summary.union(norm).accuracy
        assert number["samples"] == 12
        assert sum(number["votes"].values()) == round(12 * (1 - number["accuracy"]))
        # The fast minimum-norm attack gives every image its distance.
        assert np.isfinite(summary.union(norm).median)
    # A tiny network without any defence.
    assert min(case.as_json()["accuracy"] for case in worst.values()) < 0.5


def test_python_takes_the_same_sources_as_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(AttackSuite, "run", lambda suite, evaluation: seen.append(evaluation))
    monkeypatch.setattr(AttackSuite, "summarize", lambda suite, evaluation: None)
    cz.evaluate("mnist/cnn", suite="strong", samples=1, sources=["mnist/cnn", "mnist/pgd_relu_cnn"])
    cz.evaluate("mnist/cnn", suite="quick", samples=1)
    names = [[source.name for source in evaluation.sources] for evaluation in seen]
    # Neither the model itself nor one of its family.
    assert names[0] == sorted({*STRONG.sources_of(seen[0].model), "mnist/pgd_relu_cnn"})
    assert "mnist/cnn" not in names[0]
    assert names[1] == []
