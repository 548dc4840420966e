"""The adversarially trained networks' recipes, on a few images."""

from pathlib import Path

import pytest

from cortexzoo import datasets
from cortexzoo.training.adversarial import AllOf, ProjectedGradient, SteepestDescent, WorstOf
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.recipes import adversarial
from tests.training.interrupted_fit import few_images

RECIPES = {recipe.id: recipe for recipe in adversarial.RECIPES}


@pytest.mark.parametrize("name", ["mnist/madry", pytest.param("mnist/multinorm", marks=pytest.mark.slow)])
def test_a_short_training(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", few_images)
    recipe = RECIPES[name]
    config = recipe.config()
    config.update({"maps": (2, 3), "hidden_units": (8,), "epochs": 2, "batch_size": 64, "attack_steps": 1})
    config.update({"single_step_epochs": min(config.single_step_epochs, 2), "checked_images": 20, "check_steps": 1})
    trained = recipe.train(config, tmp_path)
    assert trained.epochs == {name: 2 for name in ("single_step", "several_steps") if (tmp_path / name).exists()}
    assert trained.validation.keys() == {"accuracy", "accuracy under PGD"}
    assert (tmp_path / "several_steps.png").stat().st_size > 5000
    again = recipe.train(config, tmp_path)
    assert again.validation == trained.validation


def test_every_config_names_an_attack() -> None:
    for recipe in RECIPES.values():
        config = recipe.config()
        recipe.check_config(config)
        attack = adversarial.perturbation(config, 5)
        assert isinstance(attack, SteepestDescent if recipe.id == "mnist/multinorm" else ProjectedGradient)
    config = RECIPES["mnist/multinorm"].config()
    for strategy, kind in (("worst", WorstOf), ("all", AllOf)):
        config.strategy = strategy
        assert isinstance(adversarial.perturbation(config, 5), kind)
    config = RECIPES["mnist/madry"].config()
    config.trades = 6.0
    assert adversarial.perturbation(config, 5).loss == "kl"
    assert adversarial.perturbation(config, 1).relative_step == 1.25


def test_norms_and_epsilons_belong_together() -> None:
    config = RECIPES["mnist/multinorm"].config()
    config.epsilons = (0.3, 1.5)
    with pytest.raises(ConfigError, match="shorter"):
        RECIPES["mnist/multinorm"].check_config(config)
