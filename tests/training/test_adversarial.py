"""Adversarial training: the attack against a closed form, and the training step around it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexzoo.models import MultilayerPerceptron
from cortexzoo.training.adversarial import AdversarialTraining

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.random((12, 4, 4, 1), np.float32)
LABELS = np.arange(12) % 2


def linear_classifier() -> MultilayerPerceptron:
    """Two classes without hidden layers: the worst image of a box is its corner, known without any search."""
    model = MultilayerPerceptron((), image_shape=(4, 4, 1), num_classes=2)
    model.build()
    model.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in model.weights])
    return model


MODEL = linear_classifier()


def worst_direction() -> np.ndarray:
    """sign(w_other - w_label) of each image."""
    kernel = MODEL.readout.get_weights()[0]
    return np.sign(kernel[:, 1 - LABELS] - kernel[:, LABELS]).T.reshape(IMAGES.shape)


def perturb(epsilon: float, steps: int, relative_step: float, seed: int = 0) -> np.ndarray:
    trainee = AdversarialTraining(MODEL, epsilon, steps, relative_step, seed)
    return trainee.perturb(tf.constant(IMAGES), tf.constant(LABELS)).numpy()


@settings(max_examples=15, deadline=None)
@given(epsilon=st.floats(0.0, 1.0), steps=st.integers(1, 4), relative_step=st.floats(0.01, 3.0), seed=st.integers(0, 99))
def test_images_stay_in_the_box(epsilon: float, steps: int, relative_step: float, seed: int) -> None:
    adversarial = perturb(epsilon, steps, relative_step, seed)
    assert adversarial.min() >= 0.0
    assert adversarial.max() <= 1.0
    assert np.abs(adversarial - IMAGES).max() <= epsilon + 1e-6


def test_enough_steps_reach_the_worst_corner() -> None:
    expected = np.clip(IMAGES + 0.2 * worst_direction(), 0.0, 1.0)
    # From any start in the box the far side is two epsilon away.
    np.testing.assert_allclose(perturb(0.2, steps=8, relative_step=0.25), expected, atol=1e-6)


def test_single_steps_start_at_random() -> None:
    """One step of 1.25 epsilon from anywhere in the box ends between a quarter and all of epsilon, on the worse side."""
    low, high = (np.clip(IMAGES + share * 0.2 * worst_direction(), 0.0, 1.0) for share in (0.25, 1.0))
    adversarial = perturb(0.2, steps=1, relative_step=1.25)
    assert (np.minimum(low, high) - 1e-6 <= adversarial).all()
    assert (adversarial <= np.maximum(low, high) + 1e-6).all()
    assert (adversarial != perturb(0.2, steps=1, relative_step=1.25, seed=1)).any()
    np.testing.assert_array_equal(adversarial, perturb(0.2, steps=1, relative_step=1.25))


def compiled(model: keras.Model) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], jit_compile=False)
    return model


def test_training_without_epsilon_is_plain_training() -> None:
    plain, robust = linear_classifier(), linear_classifier()
    compiled(plain).train_on_batch(IMAGES, LABELS)
    trainee = AdversarialTraining(robust, 0.0, steps=2, relative_step=0.5)
    trainee(IMAGES)
    compiled(trainee).train_on_batch(IMAGES, LABELS)
    for a, b in zip(plain.get_weights(), robust.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert (robust.get_weights()[0] != MODEL.get_weights()[0]).any()


def test_training_sees_adversarial_images_and_evaluation_clean_ones() -> None:
    """The loss of a step is that at the worst corner, with an epsilon that changes without a new trace."""
    trainee = AdversarialTraining(linear_classifier(), 0.0, steps=8, relative_step=0.25)
    trainee(IMAGES)
    compiled(trainee)
    trainee.optimizer.learning_rate = 0.0
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for epsilon in (0.1, 0.3):
        trainee.epsilon.assign(epsilon)
        trainee.reset_metrics()
        worst = np.clip(IMAGES + epsilon * worst_direction(), 0.0, 1.0).astype(np.float32)
        received = trainee.train_on_batch(IMAGES, LABELS, return_dict=True)["loss"]
        assert float(received) == pytest.approx(float(losses(LABELS, MODEL(worst))), rel=1e-4)
    clean = trainee.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["loss"]
    assert clean == pytest.approx(float(losses(LABELS, MODEL(IMAGES))), rel=1e-4)


@pytest.mark.parametrize("values", [(-0.1, 1, 1.0), (0.3, 0, 1.0), (0.3, 1, 0.0)])
def test_impossible_attacks(values: tuple[float, int, float]) -> None:
    with pytest.raises(ValueError, match=f"Received: epsilon={values[0]}, relative_step={values[2]}, steps={values[1]}"):
        AdversarialTraining(MODEL, *values)
