"""Training with the similarity regulariser: pairs, statistics, one pass, resumption."""

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from cortexzoo.layers import RepresentationalSimilarityRegularizer
from cortexzoo.training import targets
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.fitting import fit
from cortexzoo.training.schedules import RestartedStepDecay
from cortexzoo.training.similarity import LayerWeightLog, PairedBatches, SimilarityTraining
from cortexzoo.training.targets import SimilarityTarget
from tests.training.interrupted_fit import few_images
from tests.training.tiny_classifier import TinyClassifier
from tests.zoo.conftest import SMALL_ID, catalogue, published  # noqa: F401

TRAIN, VALIDATION = few_images("mnist", "train"), few_images("mnist", "validation")
TARGET = targets.build("pixel", VALIDATION.images, seed=0)


def paired_batches(pairs: int = 6, seed: int = 0, batch_size: int = 32, target: SimilarityTarget = TARGET) -> PairedBatches:
    return PairedBatches(TRAIN.images, TRAIN.labels, batch_size, seed, similarity=target, pairs=pairs)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 1000), index=st.integers(0, 9), pairs=st.integers(1, 20))
def test_pairs_depend_on_seed_epoch_and_step_alone(seed: int, epoch: int, index: int, pairs: int) -> None:
    fresh, used = paired_batches(pairs, seed), paired_batches(pairs, seed)
    for batches, steps in ((fresh, []), (used, [3, 1])):
        for step in steps:
            batches[step]
        batches.set_epoch(epoch)
    (inputs, labels), (again, same) = fresh[index], used[index]
    for name, values in inputs.items():
        np.testing.assert_array_equal(values, again[name], err_msg=name)
    np.testing.assert_array_equal(labels, same)
    # The class batch is the one that a training without pairs sees.
    plain = EpochBatches(TRAIN.images, TRAIN.labels, 32, seed)
    plain.set_epoch(epoch)
    np.testing.assert_array_equal(inputs["images"], plain[index][0])


def test_pairs_are_images_of_the_target_with_their_similarity() -> None:
    batches = paired_batches(5)
    inputs, _ = batches[2]
    first, second = batches.draw_pairs(2)
    assert {name: values.dtype for name, values in inputs.items()} == dict.fromkeys(inputs, np.float32)
    np.testing.assert_array_equal(inputs["pairs"][:5], VALIDATION.images[first])
    np.testing.assert_array_equal(inputs["pairs"][5:], VALIDATION.images[second])
    np.testing.assert_array_equal(inputs["similarity"], TARGET.similarity(first, second))


def test_every_step_has_pairs_of_its_own() -> None:
    batches, drawn = paired_batches(9), set()
    for epoch in range(3):
        batches.set_epoch(epoch)
        drawn |= {tuple(np.concatenate(batches.draw_pairs(index)).tolist()) for index in range(len(batches))}
    assert len(drawn) == 3 * len(batches)


def test_pairs_of_all_images_are_an_image_and_an_offset() -> None:
    """The draws, written out: what is trained on must not change with the way that it is drawn."""
    generator = np.random.default_rng((3, 0, 7, 1))
    first, offset = generator.integers(0, 80, 20), generator.integers(1, 80, 20)
    np.testing.assert_array_equal(paired_batches(20, seed=3).draw_pairs(7), [first, (first + offset) % 80])


@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 1000))
def test_pairs_are_no_numbers_of_the_class_batches(seed: int, epoch: int) -> None:
    """The order of the class images comes from (seed, epoch): no step's pairs may come from the same stream."""
    batches = paired_batches(20, seed)
    batches.set_epoch(epoch)
    shared, _ = TARGET.pairs(20, np.random.default_rng((seed, epoch)))
    for index in range(len(batches)):
        assert (batches.draw_pairs(index)[0] != shared).any()


def test_pairs_are_those_of_the_targets_side() -> None:
    target = targets.build("thresholded", VALIDATION.images, seed=0, threshold=0.3, side="high")
    inputs, _ = paired_batches(30, target=target)[0]
    assert set(inputs["similarity"].tolist()) == {-1.0, 1.0}


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected at least 1 pair a step. Received: pairs=0"):
        paired_batches(pairs=0)


def test_images_of_another_shape_make_no_pairs() -> None:
    target = targets.build("pixel", VALIDATION.images[:, :14, :14], seed=0)
    with pytest.raises(ValueError, match=r"of shape \(28, 28, 1\), that of the class images. Received: \(14, 14, 1\)"):
        paired_batches(target=target)


def make_model(strength: float = 2.0, statistics: str = "class", regularised: bool = True) -> keras.Model:
    keras.utils.set_random_seed(0)
    classifier = TinyClassifier()
    classifier.build()
    model = classifier
    if regularised:
        model = SimilarityTraining(classifier, RepresentationalSimilarityRegularizer(strength), 6, statistics)
        model.build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = ["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy", from_logits=True)]
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=metrics, jit_compile=False)
    return model


def fit_model(model: keras.Model, batches: EpochBatches, directory: Path, epochs: int = 2) -> dict[str, list[float]]:
    callbacks = [LayerWeightLog()] if isinstance(model, SimilarityTraining) else []
    options = {"seed": 0, "directory": directory, "monitor": "val_accuracy", "mode": "max", "callbacks": callbacks}
    return fit(model, batches, (VALIDATION.images, VALIDATION.labels), epochs=epochs, **options)


@pytest.fixture(scope="module")
def regularised(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimilarityTraining, dict[str, list[float]]]:
    model = make_model()
    return model, fit_model(model, paired_batches(), tmp_path_factory.mktemp("regularised"), epochs=3)


def test_loss_is_the_cross_entropy_and_the_regularisers() -> None:
    model, (inputs, labels) = make_model(), paired_batches()[0]
    logits = model(inputs, training=True)
    assert logits.shape == (32, 10)
    (added,) = model.losses
    expected = model.compute_loss(inputs, labels, logits)
    cross_entropy = ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
    assert float(expected) == pytest.approx(float(cross_entropy + added), rel=1e-5)
    # The regulariser's loss is that of the taps of the pairs alone, at the statistics of the class images.
    copy, regularizer = make_model(regularised=False), RepresentationalSimilarityRegularizer(2.0)
    taps, _ = copy.activations(np.concatenate([inputs["images"], inputs["pairs"]]), training=True, trailing=12)
    regularizer([tap[32:38] for tap in taps], [tap[38:] for tap in taps], inputs["similarity"], training=True)
    assert float(added) == pytest.approx(float(regularizer.losses[0]), rel=1e-3)


@pytest.mark.parametrize(("statistics", "same"), [("class", True), ("all", False)])
def test_at_strength_zero_the_pairs_change_nothing_unless_they_feed_the_statistics(
    statistics: str, same: bool, tmp_path: Path
) -> None:
    plain, beside = make_model(regularised=False), make_model(0.0, statistics)
    fit_model(plain, EpochBatches(TRAIN.images, TRAIN.labels, 32, 0), tmp_path / "plain", epochs=1)
    fit_model(beside, paired_batches(), tmp_path / "beside", epochs=1)
    differences = [
        np.abs(a - b).max() / np.abs(a).max()
        for a, b in zip(plain.get_weights(), beside.classifier.get_weights(), strict=True)
    ]
    assert (max(differences) < 1e-3) == same


def test_with_all_statistics_each_part_is_normalised_by_itself() -> None:
    """As in the paper's code: three passes, three updates of the moving averages."""
    model, (inputs, _) = make_model(statistics="all"), paired_batches()[0]
    logits = model(inputs, training=True)
    copy, regularizer = make_model(regularised=False), RepresentationalSimilarityRegularizer(2.0)
    parts = inputs["images"], inputs["pairs"][:6], inputs["pairs"][6:]
    (_, expected), (first, _), (second, _) = (copy.activations(part, training=True) for part in parts)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    regularizer(first, second, inputs["similarity"], training=True)
    assert float(model.losses[0]) == pytest.approx(float(regularizer.losses[0]), rel=1e-4)
    for weight, a, b in zip(copy.weights, model.classifier.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=weight.path)


def test_training_brings_the_similarities_to_their_targets(regularised: tuple) -> None:
    _, history = regularised
    penalty = np.array(history["loss"]) - np.array(history["cross_entropy"])
    assert penalty[-1] < 0.7 * penalty[0]
    assert history["accuracy"][-1] > history["accuracy"][0]


def test_layer_weights_are_logged_and_learned(regularised: tuple) -> None:
    model, history = regularised
    logged = np.array([history["weight_early"], history["weight_late"]])
    np.testing.assert_allclose(logged.sum(axis=0), 1.0, rtol=1e-5)
    assert len(set(logged[0])) == 3
    assert "val_weight_early" not in history
    best = int(np.argmax(history["val_accuracy"]))
    assert list(model.layer_weights().values()) == pytest.approx(logged[:, best], rel=1e-6)


def test_plain_images_are_classified(regularised: tuple) -> None:
    model, _ = regularised
    np.testing.assert_array_equal(model(VALIDATION.images), model.classifier(VALIDATION.images))
    assert not model.losses


def test_resumed_training_ends_with_the_same_bits(regularised: tuple, tmp_path: Path) -> None:
    """Two epochs, and a third in a new process' place: pairs, moving means and layer weights go on."""
    expected, history = regularised
    fit_model(make_model(), paired_batches(), tmp_path, epochs=2)
    resumed = make_model()
    assert fit_model(resumed, paired_batches(), tmp_path, epochs=3) == history
    for weight, a, b in zip(expected.weights, expected.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=weight.path)


def test_unknown_statistics() -> None:
    with pytest.raises(ValueError, match=r"`statistics` must be one of class, all. Received: statistics='pairs'"):
        SimilarityTraining(TinyClassifier(), RepresentationalSimilarityRegularizer(), 4, "pairs")


@pytest.mark.parametrize("steps_an_epoch", [1, 859])
def test_schedule_of_forty_epochs_is_the_published_one(steps_an_epoch: int) -> None:
    schedule = RestartedStepDecay(0.1, 40 * steps_an_epoch)
    for epoch in range(40):
        expected = 0.1 * 0.3 ** ((epoch % 20) // 4)
        for step in {epoch * steps_an_epoch, (epoch + 1) * steps_an_epoch - 1}:
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


def test_schedule_of_a_short_run_takes_the_same_rates() -> None:
    schedule = RestartedStepDecay(0.1, 100)
    rates = [float(schedule(step)) for step in range(100)]
    levels = [0.1 * 0.3**i for i in range(5)]
    assert rates == pytest.approx([level for _ in range(2) for level in levels for _ in range(10)], rel=1e-5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert copy.get_config() == schedule.get_config()
