"""The recipes of ABS and biABS: batches by class, the loss, resuming, and the scales of the classes."""

import os
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

from cortexzoo import datasets
from cortexzoo.training import fitting
from cortexzoo.training.class_batches import ClassBatches, in_cycles
from cortexzoo.training.recipes import Trained, analysis_by_synthesis
from cortexzoo.training.recipes.analysis_by_synthesis import AutoencoderTraining, class_scales, default_config
from tests.training.interrupted_fit import few_images
from tests.zoo.families import random_images, small_model

LABELS = np.array([0, 1, 1, 2, 0, 2, 2, 1, 0, 0, 2])


def test_batches_cycle_through_the_classes() -> None:
    images = np.arange(11, dtype=np.float32)[:, None, None, None]
    batches = ClassBatches(images, LABELS, 3, seed=0, num_classes=3)
    # The smallest class has three images.
    assert len(batches) == 3
    seen = []
    for epoch in range(4):
        batches.set_epoch(epoch)
        for shown, labels in (batches[i] for i in range(3)):
            np.testing.assert_array_equal(labels, [0, 1, 2])
            np.testing.assert_array_equal(LABELS[shown.ravel().astype(int)], labels)
        seen.append(np.concatenate([batches[i][0].ravel() for i in range(3)]))
        assert len(set(seen[-1])) == 9
    # No image is left out for good.
    assert len(set(np.concatenate(seen))) == 11
    batches.set_epoch(0)
    np.testing.assert_array_equal(np.concatenate([batches[i][0].ravel() for i in range(3)]), seen[0])


def test_cycles_keep_the_order() -> None:
    np.testing.assert_array_equal(in_cycles(LABELS, np.arange(11), 3), [0, 1, 3, 4, 2, 5, 8, 7, 6])


@pytest.mark.parametrize("size", [4, 12])
def test_sizes_that_no_batch_can_have(size: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of the 3 classes, of which the smallest has 3 images. .*{size}"):
        ClassBatches(np.zeros((11, 1, 1, 1)), LABELS, size, 0, 3)


def test_an_image_trains_the_autoencoder_of_its_class_alone() -> None:
    """Other images of class 1 change what is learned by the autoencoder of class 1, and nothing else."""
    images = random_images(small_model("ABS"), 12)
    others = images.copy()
    others[1::3] = images[::-1][1::3]
    weights = []
    for shown in (images, others):
        keras.utils.set_random_seed(0)
        model = small_model("ABS")
        stage = AutoencoderTraining(model)
        stage(shown)
        stage.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        stage.train_on_batch(shown)
        weights.append([weight for layer in model.class_layers for weight in layer.get_weights()])
    same = [[bool(np.array_equal(a[k], b[k])) for k in range(3)] for a, b in zip(*weights, strict=True)]
    assert all(row[0] and row[2] for row in same)
    assert sum(not row[1] for row in same) > len(same) / 2


def test_loss_is_the_mean_of_error_and_divergence() -> None:
    stage = AutoencoderTraining(small_model("ABS"))
    terms = np.random.default_rng(0).random((3, 4, 2), np.float32)
    assert float(stage.compute_loss(y_pred=terms)) == pytest.approx(terms.sum() / 12, rel=1e-6)


class _Stopped(Exception):
    pass


def _fit(directory: Path, stop_in_epoch: int | None = None) -> Trained:
    """The recipe with small autoencoders on a few images; raises when the checkpoint of an epoch is written."""
    replace = os.replace

    def mortal(source: Path, target: Path) -> None:
        if stop_in_epoch is not None and Path(target).match(f"epoch-{stop_in_epoch:04d}.weights.h5"):
            raise _Stopped
        replace(source, target)

    def small(**shape: object) -> keras.Model:
        return small_model(
            "ABS", **shape, encoder_kernels=(8,), encoder_strides=(4,), decoder_kernels=(8,), decoder_strides=(4,)
        )

    config = default_config()
    config.update({"epochs": 2, "batch_size": 40})
    keras.utils.set_random_seed(config.seed)
    with (
        mock.patch.object(datasets, "load", few_images),
        mock.patch.object(analysis_by_synthesis, "AnalysisBySynthesis", small),
        mock.patch.object(fitting.os, "replace", mortal),
    ):
        return analysis_by_synthesis.fit_autoencoders(config, directory)


# Keras leaves its log open where a callback raises.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = _fit(tmp_path / "whole")
    with pytest.raises(_Stopped):
        _fit(tmp_path / "parts", stop_in_epoch=2)
    parts = _fit(tmp_path / "parts")
    for expected, received in zip(whole.model.get_weights(), parts.model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)
    assert parts.validation == whole.validation
    loss = fitting._read_history(tmp_path / "whole" / "autoencoders" / "history.csv", 2)
    assert loss["loss"][-1] < loss["loss"][0]
    np.testing.assert_allclose(loss["loss"], np.add(loss["error"], loss["divergence"]), rtol=1e-4)
    assert whole.validation["evidence lower bound"] == -min(loss["val_loss"])


def test_class_scales_undo_a_bias() -> None:
    """Class 2 gets an energy that is 5 % too low; its scale ends higher than the others, by as much."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 2000)
    energies = 1.0 + generator.random((2000, 3)) * 0.02
    energies[np.arange(2000), labels] -= 0.03
    energies[:, 2] *= 0.95
    scales = class_scales(-energies, labels)
    assert [scales[2] / scale for scale in scales[:2]] == pytest.approx([1 / 0.95] * 2, abs=0.03)
    assert np.mean(np.argmin(energies * scales, axis=1) == labels) == 1.0
