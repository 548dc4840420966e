"""Every attack takes images of any height, width and number of channels, and any number of classes."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import datasets
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import (
    LBFGS,
    Attack,
    Batch,
    DeepFool,
    GreedyPixels,
    PixelBeam,
    RayS,
    Refined,
    RescaledGradientAttack,
    Transfer,
)
from cortexzoo.evaluation.attacks.registry import attacks, build_attack
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import correct_batch, random_network, reached, save_classifier
from tests.evaluation.test_invariants import FULL, light

# Height, width, channels; classes; images in the batch.
SHAPES = [
    ((1, 1, 1), 2, 1),
    ((1, 7, 3), 3, 1),
    ((5, 3, 2), 11, 3),
    ((40, 60, 3), 2, 2),
]
# Queries of these grow with the number of values, whatever their settings are.
SLOW = (RayS, GreedyPixels, PixelBeam)


def named_attacks() -> list[Attack]:
    """Every attack of a suite or with a name, in each of its norms."""
    named = [build_attack(name, norm, None, 0.1) for name, kind in attacks().items() for norm in kind.choices["norm"]]
    others = [LBFGS(rescale=True), Refined(inner=DeepFool(norm="linf"))]
    found = {(attack.name, attack.norm): attack for attack in (*FULL, *named, *others) if not isinstance(attack, Transfer)}
    return [light(attack, steps=2, rounds=2, iterations=3, targets=2) for attack in found.values()]


ATTACKS = named_attacks()


@pytest.fixture(scope="module")
def odd_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Classifier, Batch]]:
    """Gives a small network for images of a shape, and a number of correctly classified images."""

    @functools.cache
    def build(shape: tuple[int, int, int], classes: int, count: int) -> tuple[Classifier, Batch]:
        network = random_network(np.random.default_rng(1), int(np.prod(shape)), 12, classes)

        def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"reconstructions": tf.stack([images * k / classes for k in range(classes)], axis=1)}

        folder = tmp_path_factory.mktemp("odd") / "1"
        path = save_classifier(folder, network, shape, network.variables, features=features)
        names = tuple(map(str, range(classes)))
        info = DatasetInfo("odd", "odd", shape, names, 40, thresholds=datasets.info("mnist").thresholds)
        images = np.random.default_rng(0).random((40, *shape), np.float32)
        classifier = Classifier(path, info, images[:2])
        return classifier, correct_batch(classifier, Split(images, classifier.predict(images), np.arange(40)), count)

    return build


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape[0])) + f", {shape[1]} classes")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.name} {attack.norm}")
def test_every_attack_takes_every_shape(attack: Attack, shape: tuple, odd_model: Callable) -> None:
    if isinstance(attack, SLOW) and np.prod(shape[0]) > 100:
        pytest.skip("its queries are as many as values")
    classifier, batch = odd_model(*shape)
    images = batch.check(attack.run(classifier, "logits", batch), attack.name)
    assert images.dtype == np.float32
    assert np.all(np.isfinite(distances(batch.images, images, attack.norm)))


def test_a_thousand_classes(odd_model: Callable) -> None:
    """DeepFool looks at the likeliest, a targeted restart at one each: neither makes an array of images by classes."""
    classifier, batch = odd_model((6, 5, 3), 1000, 2)
    targeted = RescaledGradientAttack(epsilons=(0.5,), steps=10, restarts=3, loss="targeted_margin")
    for attack in (DeepFool(norm="l2"), targeted):
        assert np.all(np.isfinite(reached(attack, classifier, batch)))
