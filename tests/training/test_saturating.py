"""The saturating networks' recipes: what twins share, which epoch is kept, and what a kill changes (nothing)."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.training import recipes
from cortexzoo.training.annealing import AnnealedVariable
from cortexzoo.training.fitting import _read_history
from cortexzoo.training.recipes import Recipe, Trained, saturating
from cortexzoo.training.studies.sweep.table import largest_within, table_path
from tests.training.interrupted_fit import few_images

FIGURES = Path(__file__).parents[2] / "docs" / "figures" / "saturating"
RECIPES = {recipe.id: recipe for recipe in saturating.RECIPES}
VARIANTS = [f"mnist/saturating_{kind}_sigmoid_mlp" for kind in ("wide", "narrow", "deep", "shallow", "slow")]
TWINS = [recipe for recipe in saturating.RECIPES if "twin" in recipe.config()]


@pytest.fixture(autouse=True)
def small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", few_images)


def small_config(recipe: Recipe) -> ConfigDict:
    config = recipe.config()
    config.update({"epochs": 4, "hold_epochs": 2, "batch_size": 64})
    config.update({name: value for name, value in {"warm_up_epochs": 1, "attack_steps": 2}.items() if name in config})
    return config


class Interrupted(RuntimeError):
    """Raised in the place of a kill; tests/training/test_resume.py kills for real."""


def interrupt_in_third_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    class MortalVariable(AnnealedVariable):
        epoch = 0

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            super().on_epoch_begin(epoch, logs)
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if (self.epoch, batch) == (2, 1):
                raise Interrupted

    monkeypatch.setattr(saturating, "AnnealedVariable", MortalVariable)


# Like a kill, the interruption leaves the log open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "annealed"), [("saturating", "strength"), ("pgd", "share of epsilon")])
def test_interrupted_training_ends_with_the_same_bits(
    name: str, annealed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES[f"mnist/{name}_relu_mlp"]
    config = small_config(recipe)

    def run(directory: Path) -> Trained:
        saturating.keras.utils.set_random_seed(0)
        return recipe.fit(config, directory)

    unbroken = run(tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        interrupt_in_third_epoch(patch)
        with pytest.raises(Interrupted):
            run(tmp_path / "resumed")
    assert [path.name for path in tmp_path.glob("resumed/*/epoch*")] == ["epoch-0002.weights.h5"]
    resumed = run(tmp_path / "resumed")
    assert resumed.validation.keys() == {"accuracy"} | ({"accuracy under PGD"} if name == "pgd" else set())
    assert resumed.validation == unbroken.validation
    for a, b in zip(unbroken.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    expected, received = (_read_history(tmp_path / run / "classifier" / "history.csv", 4) for run in ("unbroken", "resumed"))
    assert received == expected
    full = config.get(annealed, 1.0)
    np.testing.assert_allclose(received[annealed], full * np.array([0.0, 0.5, 1.0, 1.0]))


def test_saturating_network_is_that_of_the_hold(tmp_path: Path) -> None:
    """A penalty that ruins the network: its best epochs are before the hold, and none of them is kept."""
    recipe = RECIPES["mnist/saturating_relu_mlp"]
    config = small_config(recipe)
    config.strength = 10.0
    trained = recipe.fit(config, tmp_path)
    history = _read_history(tmp_path / "classifier" / "history.csv", 4)["val_accuracy"]
    assert max(history[:2]) > max(history[2:])
    assert trained.validation == {"accuracy": max(history[2:])}
    assert float(trained.model.penalty.weight) == 10.0
    validation = few_images("mnist", "validation")
    labels = ops.convert_to_numpy(trained.model(validation.images)).argmax(axis=1)
    assert trained.validation["accuracy"] == pytest.approx((labels == validation.labels).mean())


def test_plain_network(tmp_path: Path) -> None:
    recipe = RECIPES["mnist/relu_cnn"]
    config = small_config(recipe)
    config.epochs = 2
    trained = recipe.fit(config, tmp_path)
    assert trained.model.penalty is None
    assert trained.validation == {"accuracy": max(_read_history(tmp_path / "classifier/history.csv", 2)["val_accuracy"])}


@pytest.mark.parametrize("recipe", TWINS, ids=lambda recipe: recipe.id)
def test_twins_are_trained_alike(recipe: Recipe) -> None:
    """Same network, same batches, as many updates, the same choice of the epoch: what differs is the treatment."""
    config = recipe.config()
    twin = recipes.find(config.twin)
    assert twin.fit is saturating.fit_plain
    shared = twin.config()
    assert {name: config[name] for name in shared} == shared.to_dict()
    treatment = {"strength"} if "saturating" in recipe.id else {"epsilon", "attack_steps", "relative_step"}
    assert set(config) - set(shared) == {"twin", "warm_up_epochs"} | treatment


def test_every_network_has_its_twins() -> None:
    networks = ("sigmoid_mlp", "relu_mlp", "relu_cnn")
    kinds = ("", "saturating_", "fgsm_", "pgd_")
    expected = {f"mnist/{kind}{network}" for network in networks for kind in kinds}
    expected |= {"fashion_mnist/sigmoid_mlp", "fashion_mnist/saturating_sigmoid_mlp"}
    assert RECIPES.keys() == expected | {*VARIANTS} | {name.replace("saturating_", "") for name in VARIANTS}
    assert RECIPES["mnist/fgsm_relu_mlp"].config().attack_steps == 1


def test_configs_are_independent() -> None:
    recipe = RECIPES["mnist/saturating_relu_mlp"]
    recipe.config().strength = 99.0
    assert recipe.config().strength == saturating.STRENGTHS[recipe.id]


@pytest.mark.parametrize("recipe_id", [recipe_id for recipe_id in saturating.STRENGTHS if recipe_id not in VARIANTS])
def test_strength_is_the_largest_within_a_point(recipe_id: str) -> None:
    """The constant is what the kept sweep says, at the length of the training that is published."""
    assert saturating.STRENGTHS[recipe_id] == largest_within(table_path(FIGURES, recipe_id))


@pytest.mark.parametrize("recipe_id", VARIANTS)
def test_variants_have_one_weight_a_unit(recipe_id: str) -> None:
    config, published = (RECIPES[name].config() for name in (recipe_id, "mnist/saturating_sigmoid_mlp"))
    units = sum(saturating._create_model(config).hidden_units)
    assert config.strength * units == pytest.approx(published.strength * 600)
    assert (units == 600) == ("slow" in recipe_id)
    assert (config.epochs > published.epochs) == ("slow" in recipe_id)


def test_ramps_leave_room_for_hold_and_warm_up() -> None:
    for recipe in TWINS:
        ramp = saturating._ramp(recipe.config())
        assert min(dataclasses.astuple(ramp)) > 0
        assert ramp.ramp_epochs > 0
