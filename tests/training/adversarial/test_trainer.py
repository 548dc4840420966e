"""The training step around the perturbations, on both backends, with averaged weights and a validation under attack."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from cortexzoo.training.adversarial import AdversarialTrainer, AllOf, ProjectedGradient, RobustValidation, robust_accuracy
from cortexzoo.training.averaging import averaged_weights
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.fitting import fit
from tests.training.adversarial.linear import IMAGES, LABELS, MODEL, linear_classifier, rising

WORST = ProjectedGradient("linf", 0.3, steps=8, relative_step=0.25)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model: keras.Model, **options: object) -> keras.Model:
    model(IMAGES)
    model.compile(keras.optimizers.SGD(0.1, **options), LOSS, metrics=["accuracy"], jit_compile=False)
    return model


def corner(epsilon: float) -> np.ndarray:
    return np.clip(IMAGES + epsilon * np.sign(rising()), 0.0, 1.0).astype(np.float32)


def test_training_without_epsilon_is_plain_training() -> None:
    plain, robust = linear_classifier(), linear_classifier()
    compiled(plain).train_on_batch(IMAGES, LABELS)
    compiled(AdversarialTrainer(robust, ProjectedGradient(epsilon=0.0))).train_on_batch(IMAGES, LABELS)
    for a, b in zip(plain.get_weights(), robust.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert (robust.get_weights()[0] != MODEL.get_weights()[0]).any()


def test_training_sees_adversarial_images_and_evaluation_clean_ones() -> None:
    """The loss of a step is that at the worst corner, with a scale of epsilon that changes without a new trace."""
    trainer = compiled(AdversarialTrainer(linear_classifier(), WORST))
    trainer.optimizer.learning_rate = 0.0
    for scale in (0.3, 1.0):
        trainer.scale.assign(scale)
        trainer.reset_metrics()
        received = trainer.train_on_batch(IMAGES, LABELS, return_dict=True)["loss"]
        assert float(received) == pytest.approx(float(LOSS(LABELS, MODEL(corner(0.3 * scale)))), rel=1e-4)
    clean = trainer.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["loss"]
    assert clean == pytest.approx(float(LOSS(LABELS, MODEL(IMAGES))), rel=1e-4)


def test_several_copies_are_averaged() -> None:
    attacks = (WORST, ProjectedGradient("linf", 0.1, steps=8))
    trainer = compiled(AdversarialTrainer(linear_classifier(), AllOf(attacks)))
    received = trainer.train_on_batch(IMAGES, LABELS, sample_weight=np.ones(12), return_dict=True)["loss"]
    expected = np.mean([float(LOSS(LABELS, MODEL(corner(epsilon)))) for epsilon in (0.3, 0.1)])
    assert float(received) == pytest.approx(expected, rel=1e-4)


def test_trades_is_clean_loss_and_divergence() -> None:
    attack = ProjectedGradient("linf", 0.2, steps=1, random_start=False, loss=lambda z, y, clean: z[:, 0])
    kernel = MODEL.readout.get_weights()[0][:, 0].reshape(1, 4, 4, 1)
    moved = np.clip(IMAGES + 0.05 * np.sign(kernel), 0.0, 1.0).astype("float32")
    clean, other = (keras.ops.convert_to_numpy(keras.ops.softmax(MODEL(x))) for x in (IMAGES, moved))
    divergence = np.mean(np.sum(clean * np.log(clean / other), axis=1))
    trainer = compiled(AdversarialTrainer(linear_classifier(), attack, trades=6.0))
    received = trainer.train_on_batch(IMAGES, LABELS, return_dict=True)["loss"]
    assert float(received) == pytest.approx(float(LOSS(LABELS, MODEL(IMAGES))) + 6 * divergence, rel=1e-4)
    clean_loss = trainer.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["loss"]
    assert np.isfinite(clean_loss)
    with pytest.raises(ValueError, match="trades=0"):
        AdversarialTrainer(MODEL, WORST, trades=0.0)
    with pytest.raises(ValueError, match="one copy"):
        AdversarialTrainer(MODEL, AllOf((WORST, WORST)), trades=6.0)


def test_accuracy_under_attack_is_that_at_the_corner() -> None:
    expected = float(np.mean(np.argmax(MODEL(corner(0.3)), axis=1) == LABELS))
    assert robust_accuracy(MODEL, IMAGES, LABELS, WORST, batch_size=5) == pytest.approx(expected)
    both = AllOf((ProjectedGradient("linf", 0.0), WORST))
    assert robust_accuracy(MODEL, IMAGES, LABELS, both) == pytest.approx(expected)


def fitted(directory: Path, epochs: int, **options: object) -> tuple[keras.Model, dict[str, list[float]]]:
    model = linear_classifier()
    trainer = compiled(AdversarialTrainer(model, WORST), **options)
    batches = EpochBatches(IMAGES, LABELS, 4, seed=0)
    history = fit(
        trainer, batches, (IMAGES, LABELS), epochs=epochs, seed=0, directory=directory, monitor="val_loss", mode="min",
        callbacks=[RobustValidation(IMAGES, LABELS, WORST)],
    )  # fmt: skip
    return model, history


@pytest.mark.parametrize("options", [{}, {"use_ema": True, "ema_momentum": 0.5}])
def test_resumed_training_is_the_same(tmp_path: Path, options: dict[str, object]) -> None:
    whole, history = fitted(tmp_path / "whole", 3, **options)
    fitted(tmp_path / "parts", 2, **options)
    parts, resumed = fitted(tmp_path / "parts", 3, **options)
    assert history["val_robust_accuracy"] == resumed["val_robust_accuracy"]
    assert history["val_loss"] == resumed["val_loss"]
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_averaged_weights_are_validated_and_kept(tmp_path: Path) -> None:
    """With a momentum of nearly 1 the average hardly leaves its first value, that after the first step."""
    model, history = fitted(tmp_path, 3, use_ema=True, ema_momentum=1.0 - 1e-9)
    assert history["val_loss"] == pytest.approx([float(LOSS(LABELS, model(IMAGES)))] * 3, rel=1e-5)
    _, plain = fitted(tmp_path / "plain", 3)
    assert abs(plain["val_loss"][2] - plain["val_loss"][0]) > 1e-2


def test_models_without_an_average_stay_as_they_are() -> None:
    with averaged_weights(compiled(linear_classifier())):
        pass
    with averaged_weights(linear_classifier()):
        pass


def test_training_on_jax() -> None:
    """The same step as on TensorFlow, with seeds that move on."""
    pytest.importorskip("jax")
    program = (
        "import keras, numpy as np\n"
        "from cortexzoo.training.adversarial import AdversarialTrainer, ProjectedGradient\n"
        "from tests.training.adversarial.linear import IMAGES, LABELS, linear_classifier\n"
        "trainer = AdversarialTrainer(linear_classifier(), ProjectedGradient('linf', 0.3, steps=8), seed=1)\n"
        "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)\n"
        "trainer(IMAGES); trainer.compile(keras.optimizers.SGD(0.1), loss)\n"
        "before = np.array(trainer.seed_generator.state)\n"
        "print(trainer.fit(IMAGES, LABELS, batch_size=12, epochs=2, verbose=0).history['loss'][0])\n"
        "assert (before != np.array(trainer.seed_generator.state)).any()\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(LOSS(LABELS, MODEL(corner(0.3)))), rel=1e-4)
