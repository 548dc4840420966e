"""From a trained model to an artefact of the catalogue that verifies and loads."""

import dataclasses
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

import cortexzoo as cz
from cortexzoo import catalog, datasets
from cortexzoo.card_page import render_card
from cortexzoo.loading import create_model
from cortexzoo.training.configuration import ConfigError, change_config
from cortexzoo.training.hardware import describe_hardware, first_hardware
from cortexzoo.training.publishing import publish
from cortexzoo.training.recipes import Recipe, Trained, check_id, find
from cortexzoo.training.recipes.cnn import fit_binarized
from tests.training.interrupted_fit import few_images

IMAGES = few_images("mnist", "validation").images[:8]


def fit_nothing(config: ConfigDict, directory: Path) -> Trained:
    """An untrained model: publishing does not care."""
    model = create_model("DenoisedInternalModels", {"denoiser_widths": [16, 8], "internal_widths": list(config.widths)})
    return Trained(model, {"accuracy": 0.1}, {"classifier": 0})


RECIPE = Recipe(
    id="mnist/tiny",
    title="A tiny model",
    description="For tests.",
    paper={"title": "On tiny models", "authors": "A. Nobody", "year": 2021, "url": ""},
    from_paper=["Nothing."],
    our_choice=["Everything."],
    config=lambda: ConfigDict({"dataset": "mnist", "seed": 3, "widths": (8, 4)}),
    fit=fit_nothing,
    family="dim",
    variant="tiny",
    variant_of="mnist/dim",
)


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path / "catalogue"))
    return tmp_path / "catalogue"


def test_published_model_verifies_and_loads(catalogue: Path, tmp_path: Path) -> None:
    trained = RECIPE.fit(RECIPE.config(), tmp_path)
    publish(RECIPE, RECIPE.config(), trained, seconds=12.34)
    card = cz.verify("mnist/tiny")
    assert (card.seed, card.parameters) == (3, trained.model.count_params())
    assert (card.family, card.variant, card.variant_of, card.group) == ("dim", "tiny", "mnist/dim", "mnist/tiny")
    config = {"dataset": "mnist", "seed": 3, "widths": [8, 4]}
    assert card.recipe == {
        "name": "mnist/tiny",
        "config": config,
        "command": "cortexzoo train --recipe=mnist/tiny",
    }
    assert card.our_choice == ["Everything."]
    assert card.training["seconds"] == 12.3
    assert card.training["validation"] == {"accuracy": 0.1}
    assert {"python", "keras", "numpy", "tensorflow", "tensorflow-datasets"} == card.versions.keys()
    assert card.clean == card.robust == {}, "scores come from evaluation alone"
    assert (catalogue / "mnist/tiny/README.md").read_text(encoding="utf-8") == render_card(card)
    loaded = cz.load_model("mnist/tiny")
    assert loaded.name == "tiny"
    np.testing.assert_array_equal(loaded(IMAGES), trained.model(IMAGES))


@pytest.mark.usefixtures("catalogue")
def test_publishing_again_replaces_files_and_card(tmp_path: Path) -> None:
    first = publish(RECIPE, RECIPE.config(), RECIPE.fit(RECIPE.config(), tmp_path), seconds=1)
    second = publish(RECIPE, RECIPE.config(), RECIPE.fit(RECIPE.config(), tmp_path), seconds=1)
    data = "1/variables/variables.data-00000-of-00001"
    assert first.files[data] != second.files[data]
    assert cz.verify("mnist/tiny").files == second.files


def test_versions_of_somebody_else_are_left_alone(catalogue: Path, tmp_path: Path) -> None:
    """The card's version would be theirs."""
    (catalogue / "mnist/tiny/2").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Expected no version but 1 in .*mnist/tiny, which is replaced. Received: 2. Pub"):
        publish(RECIPE, RECIPE.config(), RECIPE.fit(RECIPE.config(), tmp_path), seconds=1)
    assert not (catalogue / "mnist/tiny/1").exists()


def test_model_of_another_data_set_is_not_published(tmp_path: Path) -> None:
    config = change_config(RECIPE.config(), ["dataset=fashion_mnist"])
    with pytest.raises(ValueError, match=r"Expected the data set mnist for mnist/tiny. Received: 'fashion_mnist'"):
        publish(RECIPE, config, RECIPE.fit(config, tmp_path), seconds=1)


@pytest.mark.usefixtures("catalogue")
def test_publishing_under_an_id_of_its_own(tmp_path: Path) -> None:
    """The card names the recipe all the same, and keeps what the recipe and another machine left."""
    trained = dataclasses.replace(RECIPE.fit(RECIPE.config(), tmp_path), details={"layer_weights": {"stem": 1.0}})
    card = publish(RECIPE, RECIPE.config(), trained, seconds=1, model_id="mnist/tiny-seed1", hardware="an abacus")
    read = cz.verify("mnist/tiny-seed1")
    assert read.files == card.files
    assert (read.training["layer_weights"], read.training["hardware"]) == ({"stem": 1.0}, "an abacus")
    assert (card.id, card.config["name"], card.recipe["name"]) == ("mnist/tiny-seed1", "tiny-seed1", "mnist/tiny")


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("seed", "model_id", "group"),
    [
        (1, "mnist/tiny-seed1", "mnist/tiny"),
        (2, "mnist/tiny-narrow-seed2", "mnist/tiny-narrow"),
        (3, "mnist/tiny-seed1", "mnist/tiny-seed1"),
        (3, "mnist/tiny-seed33", "mnist/tiny-seed33"),
    ],
)
def test_seeds_of_one_model_share_a_group(tmp_path: Path, seed: int, model_id: str, group: str) -> None:
    """The id tells, but only where it names the seed that was trained."""
    config = change_config(RECIPE.config(), [f"seed={seed}"])
    card = publish(RECIPE, config, RECIPE.fit(config, tmp_path), seconds=1, model_id=model_id)
    assert card.group == group


@pytest.mark.usefixtures("catalogue")
def test_card_tells_what_was_changed(tmp_path: Path) -> None:
    config = change_config(RECIPE.config(), ["seed=4", "widths=[6]"])
    card = publish(RECIPE, config, RECIPE.fit(config, tmp_path), seconds=1, model_id="mnist/tiny-narrow")
    assert card.from_paper == RECIPE.from_paper
    # The seed has a place of its own.
    assert card.our_choice[1:] == [
        "Settings that differ from the recipe, whatever the lines above say: widths (6,) (recipe: (8, 4))."
    ]
    command = card.recipe["command"]
    assert command == "cortexzoo train --recipe=mnist/tiny --set=seed=4 '--set=widths=[6]' --id=mnist/tiny-narrow"
    assert f"`{command}` trains it again" in render_card(card)
    changes = [word.removeprefix("--set=") for word in shlex.split(command) if word.startswith("--set=")]
    assert change_config(RECIPE.config(), changes) == config


def test_hardware_is_that_on_which_the_training_began(tmp_path: Path) -> None:
    assert first_hardware(tmp_path / "new") == describe_hardware()
    assert describe_hardware().startswith(f"{os.cpu_count()} CPU cores (")
    (tmp_path / "hardware.txt").write_text("16 CPU cores (x86_64), 1 GPU")
    assert first_hardware(tmp_path) == "16 CPU cores (x86_64), 1 GPU"


@pytest.mark.parametrize("model_id", ["tiny", "cifar10/tiny", "mnist/", "mnist/a/b", "mnist/..", "mnist/a b"])
def test_ids_name_data_set_and_model(model_id: str) -> None:
    with pytest.raises(ValueError, match=r"Expected an id of the form mnist/NAME for mnist/tiny. Received: "):
        check_id(model_id, RECIPE)


def test_a_recipe_does_not_take_the_id_of_another() -> None:
    with pytest.raises(ValueError, match=r"Expected an id that is not another recipe's. Received: 'mnist/dim'"):
        check_id("mnist/dim", RECIPE)


@pytest.mark.usefixtures("catalogue")
def test_binarized_recipe_takes_the_weights_of_a_catalogued_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", few_images)
    publish(RECIPE, RECIPE.config(), RECIPE.fit(RECIPE.config(), tmp_path), seconds=1)
    trained = fit_binarized(ConfigDict({"dataset": "mnist"}), tmp_path, base=catalog.model_directory("mnist/tiny"))
    base, validation = cz.load_model("mnist/tiny"), few_images("mnist", "validation")
    assert trained.model.get_config() == {**base.get_config(), "binarize": True, "name": trained.model.name}
    for a, b in zip(trained.model.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    correct = np.argmax(trained.model(validation.images), axis=1) == validation.labels
    assert trained.validation["accuracy"] == pytest.approx(correct.mean())


@pytest.mark.parametrize(
    ("recipe_id", "setting", "base", "message"),
    [
        (
            "mnist/bicnn",
            "base",
            "mnist/sigmoid_mlp",
            "with binarize=False. Received: mnist/sigmoid_mlp, a Multi",
        ),
        ("mnist/bicnn", "base", "mnist/bicnn", "a base model with binarize=False. Received: mnist/bicnn"),
        (
            "mnist/bicnn",
            "base",
            "fashion_mnist/resnet",
            "of the data set mnist. Received: fashion_mnist/resnet, of",
        ),
        ("mnist/dim", "denoiser_base", "mnist/im", r"with denoiser_widths=\[512, 256, 64\]. Received: mnist/im"),
        ("mnist/dim", "denoiser_base", "mnist/dmi", "Received: 'mnist/dmi'. Close matches"),
    ],
)
def test_base_of_another_kind(
    recipe_id: str, setting: str, base: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load", few_images)
    recipe = find(recipe_id)
    with pytest.raises(ConfigError, match=message):
        recipe.train(change_config(recipe.config(), [f"{setting}={base}"]), tmp_path)
