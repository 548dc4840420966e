"""The fit loop: which epoch it keeps, what it says when the loss is lost, and how it seeds a model's random layers."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cortexzoo.layers import RandomGaussianNoise
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.fitting import DeterministicEpochs, _read_history, fit, fitting_seconds

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.random((64, 6), np.float32)
LABELS = np.arange(64) % 3
VALIDATION = (GENERATOR.random((30, 6), np.float32), np.arange(30) % 3)


def noisy_classifier(learning_rate: float = 0.1) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), RandomGaussianNoise(0.0, 0.5), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"], jit_compile=False)
    return model


def fit_classifier(
    model: keras.Model, directory: Path, monitor: str = "val_loss", mode: str = "min", epochs: int = 5, **options: int
) -> dict:
    batches = EpochBatches(IMAGES, LABELS, 16, seed=0)
    named = {"epochs": epochs, "monitor": monitor, "mode": mode, **options}
    return fit(model, batches, VALIDATION, seed=0, directory=directory, **named)


@pytest.mark.parametrize(("monitor", "mode"), [("val_loss", "min"), ("val_accuracy", "max")])
def test_best_epoch_is_kept(tmp_path: Path, monitor: str, mode: str) -> None:
    # So fast that it overshoots: the last epoch is not the best one.
    model = noisy_classifier(learning_rate=2.0)
    history = fit_classifier(model, tmp_path, monitor, mode)
    assert len(history[monitor]) == 5
    best = min(history[monitor]) if mode == "min" else max(history[monitor])
    kept = model.evaluate(*VALIDATION, verbose=0, return_dict=True)[monitor.removeprefix("val_")]
    assert kept == pytest.approx(best, rel=1e-5)
    assert best != history[monitor][-1]


def test_more_epochs_go_on_from_the_last_not_from_the_best(tmp_path: Path) -> None:
    """Three epochs and then two more are five epochs."""
    model, again = noisy_classifier(), noisy_classifier()
    expected = fit_classifier(model, tmp_path / "five")
    fit_classifier(again, tmp_path / "three and two", epochs=3)
    first = fitting_seconds(tmp_path / "three and two")
    received = fit_classifier(again, tmp_path / "three and two", epochs=5)
    assert received == expected
    # The time of the first three counts as well.
    assert 0 < first < fitting_seconds(tmp_path / "three and two")
    total = fitting_seconds(tmp_path / "five") + fitting_seconds(tmp_path / "three and two")
    assert fitting_seconds(tmp_path) == pytest.approx(total)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_best_epoch_is_chosen_from_the_last(tmp_path: Path) -> None:
    """Earlier, better epochs are none of the candidates; after a resumption, too, a worse one does not replace a better."""

    def kept_loss(model: keras.Model) -> float:
        return model.evaluate(*VALIDATION, verbose=0, return_dict=True)["loss"]

    model, again = (noisy_classifier(learning_rate=2.0) for _ in range(2))
    history = fit_classifier(model, tmp_path / "last", choose_from=4)["val_loss"]
    assert history[3] < min(*history[:3], history[4]), "otherwise this shows nothing"
    assert kept_loss(model) == pytest.approx(history[4], rel=1e-5)
    for epochs in (4, 5):
        fit_classifier(again, tmp_path / "last two", epochs=epochs, choose_from=3)
    assert kept_loss(again) == pytest.approx(history[3], rel=1e-5)


def test_best_epoch_is_that_of_the_history_where_a_repeated_epoch_comes_out_otherwise(tmp_path: Path) -> None:
    """A kill between the best file and the checkpoint, and a machine whose results vary: the second time it is worse."""
    model = noisy_classifier()
    history = fit_classifier(model, tmp_path, epochs=3)["val_loss"]
    assert history == sorted(history, reverse=True), "otherwise this shows nothing"
    expected = model.get_weights()
    # The weights that the killed epoch took for the best.
    model.layers[-1].kernel.assign(np.full((6, 3), 7.0))
    model.save_weights(tmp_path / "best-0004.weights.h5")
    again = noisy_classifier()
    again.optimizer.learning_rate = 0.0
    fit_classifier(again, tmp_path, epochs=3)
    again.layers[-1].kernel.assign(np.full((6, 3), 7.0))
    assert not (tmp_path / "best-0004.weights.h5").exists()
    fit_classifier(again, tmp_path, epochs=3)
    for a, b in zip(again.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["best-0003.weights.h5", "epoch-0003.weights.h5"]


def test_a_lost_loss_is_an_error(tmp_path: Path) -> None:
    """A model of NaN has an accuracy too, that of its first class, and would be published."""
    model = noisy_classifier()
    model.layers[-1].kernel.assign(np.full((6, 3), np.nan))
    with pytest.raises(FloatingPointError, match=r"Expected a finite loss in 5 epochs. Received: loss=\[nan\]"):
        fit_classifier(model, tmp_path, "val_accuracy", "max")


def test_history_keeps_the_later_line_of_an_epoch(tmp_path: Path) -> None:
    """A kill between log and checkpoint makes the next run log the same epoch again."""
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n0,3.0\n1,2.5\n1,2.0\n2,1.0\n")
    assert _read_history(path, 3) == {"loss": [3.0, 2.0, 1.0]}
    assert _read_history(path, 2) == {"loss": [3.0, 2.0]}
    assert _read_history(path, 0) == _read_history(tmp_path / "none.csv", 3) == {}


def test_noise_depends_on_seed_and_epoch_alone() -> None:
    def noise(seed: int, epoch: int, calls_before: int) -> np.ndarray:
        model = noisy_classifier()
        callback = DeterministicEpochs(EpochBatches(IMAGES, LABELS, 16, seed), seed)
        callback.set_model(model)
        for _ in range(calls_before):
            model(IMAGES, training=True)
        callback.on_epoch_begin(epoch)
        return np.asarray(model(IMAGES, training=True))

    np.testing.assert_array_equal(noise(0, 3, 0), noise(0, 3, 5))
    assert (noise(0, 3, 0) != noise(0, 4, 0)).any()
    assert (noise(0, 3, 0) != noise(1, 3, 0)).any()


def test_random_layers_of_one_model_draw_different_noise() -> None:
    """Two noise layers with one state would add the same noise twice."""
    model = keras.Sequential([keras.Input((6,)), RandomGaussianNoise(0.1, 0.5), RandomGaussianNoise(0.1, 0.5)])
    callback = DeterministicEpochs(EpochBatches(IMAGES, LABELS, 16, 0), 0)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    states = [np.asarray(layer.seed_generator.state) for layer in model.layers]
    assert (states[0] != states[1]).any()
