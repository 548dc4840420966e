"""The recipes: their losses as formulas, their ablations, and what a binarised one borrows."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import cortexzoo as cz
from cortexzoo import catalog, datasets
from cortexzoo.card import ModelCard
from cortexzoo.loading import create_model
from cortexzoo.models import DenoisedInternalModels
from cortexzoo.training import recipes
from cortexzoo.training.recipes.internal_models import DenoiserTraining, InternalModelsTraining, _calibrate
from tests.training.interrupted_fit import few_images
from tests.zoo.conftest import SMALL_CONFIG, SMALL_ID, catalogue, published  # noqa: F401

SMALL = {"denoiser_widths": (6, 4), "internal_widths": (5, 3), "image_shape": (4, 4, 1)}


def built(model: keras.Model) -> keras.Model:
    model.build()
    return model


@settings(max_examples=20, deadline=None)
@given(classes=st.integers(3, 6), batch=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_weighted_loss_of_the_internal_models(classes: int, batch: int, seed: int) -> None:
    """mean over images, classes and pixels of w_i (F_i(y) - y I_i)^2 with w = K - 1 for the own class and 1 elsewhere."""
    generator = np.random.default_rng(seed)
    denoised = generator.random((batch, 16), np.float32)
    labels = generator.integers(0, classes, batch)
    reconstructions = generator.random((batch, classes, 16), np.float32)
    expected = 0.0
    for b in range(batch):
        for i in range(classes):
            target, weight = (denoised[b], classes - 1) if i == labels[b] else (np.zeros(16), 1)
            expected += weight * np.mean((reconstructions[b, i] - target) ** 2) / (batch * classes)
    stage = InternalModelsTraining(DenoisedInternalModels(**SMALL, num_classes=classes))
    assert float(stage.compute_loss(denoised, labels, reconstructions)) == pytest.approx(expected, rel=1e-5)


def test_weights_keep_the_internal_models_from_collapsing_to_black() -> None:
    """The least squares answer of an F_i that cannot tell classes apart: half the image, not a K-th of it."""
    classes, level = 10, np.linspace(0.0, 1.0, 101, dtype=np.float32)
    stage = InternalModelsTraining(DenoisedInternalModels(**SMALL, num_classes=classes))
    denoised, labels = np.ones((classes, 16), np.float32), np.arange(classes)
    losses = [
        float(stage.compute_loss(denoised, labels, np.full((classes, classes, 16), gray, np.float32))) for gray in level
    ]
    assert level[int(np.argmin(losses))] == pytest.approx(0.5)


def test_internal_models_are_trained_alone() -> None:
    """The second stage leaves the denoiser as it is, and the first the internal models."""
    model = built(DenoisedInternalModels(**SMALL))
    images, labels = np.random.default_rng(0).random((20, 4, 4, 1), np.float32), np.arange(20) % 10
    parts = {"denoiser": model.denoiser, "encoder": model.encoder[0], "decoder": model.decoder[-1]}
    for stage, inputs, targets, loss, changed in (
        (DenoiserTraining(model), images, images.reshape(20, -1), "mse", {"denoiser"}),
        (InternalModelsTraining(model), images.reshape(20, -1), labels, None, {"encoder", "decoder"}),
    ):
        stage.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
        before = {name: part.get_weights() for name, part in parts.items()}
        stage.train_on_batch(inputs, targets)
        moved = {name for name, part in parts.items() if (part.get_weights()[0] != before[name][0]).any()}
        assert moved == changed


def test_accuracy_of_the_second_stage_is_that_of_the_model() -> None:
    """The loudest reconstruction of D(x) is the largest ratio: the energy of D(x) is the same for all classes."""
    model = built(DenoisedInternalModels(**SMALL))
    images, labels = np.random.default_rng(0).random((50, 4, 4, 1), np.float32), np.arange(50) % 10
    stage = InternalModelsTraining(model)
    stage.compile(run_eagerly=True)
    expected = (ops.convert_to_numpy(model(images)).argmax(axis=1) == labels).mean()
    denoised = ops.convert_to_numpy(model.denoise(images))
    assert stage.evaluate(denoised, labels, verbose=0, return_dict=True)["accuracy"] == pytest.approx(expected)


def test_calibration_changes_no_decision_and_lowers_the_cross_entropy() -> None:
    model = built(DenoisedInternalModels(denoiser_widths=(16, 8), internal_widths=(8, 4), logit_scale=100.0))
    validation = few_images("mnist", "validation")

    def cross_entropy() -> float:
        logits = model(validation.images)
        losses = keras.losses.sparse_categorical_crossentropy(validation.labels, logits, from_logits=True)
        return float(ops.mean(losses))

    labels, before = ops.convert_to_numpy(model(validation.images)).argmax(axis=1), cross_entropy()
    assert _calibrate(model, validation) == model.logit_scale < 100.0
    assert cross_entropy() < before
    np.testing.assert_array_equal(ops.convert_to_numpy(model(validation.images)).argmax(axis=1), labels)


@pytest.mark.parametrize(
    ("name", "denoiser", "shared_encoder"),
    [("dim", True, False), ("im", False, False), ("single_im", False, True), ("dn_single_im", True, True)],
)
def test_ablation_configs(name: str, denoiser: bool, shared_encoder: bool) -> None:
    config = recipes.find(f"mnist/{name}").config()
    assert (config.denoiser, config.shared_encoder) == (denoiser, shared_encoder)
    # One denoiser for all that have one, so that the table compares what comes after it.
    assert config.denoiser_base == ("mnist/dim" if name == "dn_single_im" else "")


def test_internal_models_of_another_denoiser_are_trained_anew(
    catalogue: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was trained on one base model is no checkpoint for the same recipe on another."""
    monkeypatch.setattr(datasets, "load", few_images)
    config = recipes.find("mnist/dn_single_im").config()
    config.update({"denoiser_widths": tuple(SMALL_CONFIG["denoiser_widths"]), "internal_widths": (8, 4)})
    config.update({"denoiser_base": SMALL_ID, "internal_epochs": 1})
    folders = []
    for _ in range(2):
        recipes.find("mnist/dn_single_im").train(config, tmp_path / "run")
        folders.append({path.name for path in (tmp_path / "run").iterdir()})
        base = create_model("DenoisedInternalModels", SMALL_CONFIG)
        cz.export_model(base, catalogue / SMALL_ID / "1", overwrite=True)
        catalog.update_card(SMALL_ID, files=catalog.artefact_digests(catalogue / SMALL_ID))
    assert len(folders[0]) == 1
    assert len(folders[1]) == 2


@pytest.mark.parametrize("recipe", recipes.RECIPES.values(), ids=lambda recipe: recipe.id)
def test_recipe_is_complete(recipe: recipes.Recipe) -> None:
    config = recipe.config()
    assert config.seed == 0
    assert config.dataset == recipe.dataset
    assert recipe.dataset in datasets.DATASETS
    assert json.loads(config.to_json())
    assert config is not recipe.config(), "a change for one run would change the default"
    assert recipe.from_paper
    assert recipe.our_choice
    assert recipe.paper.keys() == {"title", "authors", "year", "url"}


@pytest.mark.parametrize("recipe", recipes.RECIPES.values(), ids=lambda recipe: recipe.id)
def test_variants_name_the_plain_network_of_their_family(recipe: recipes.Recipe) -> None:
    assert bool(recipe.variant) == bool(recipe.variant_of)
    if recipe.variant:
        plain = recipes.RECIPES[recipe.variant_of]
        assert (plain.dataset, plain.family, plain.variant) == (recipe.dataset, recipe.family, "")
        assert recipe.config().get("twin", plain.id) == plain.id


def test_data_set_family_and_variant_name_one_recipe() -> None:
    names = {(recipe.dataset, recipe.family, recipe.variant) for recipe in recipes.RECIPES.values()}
    assert len(names) == len(recipes.RECIPES)


@pytest.mark.parametrize("card", cz.list_models(), ids=lambda card: card.id)
def test_shipped_cards_say_what_their_recipes_say(card: ModelCard) -> None:
    recipe = recipes.find(card.recipe["name"])
    assert (card.family, card.variant, card.variant_of) == (recipe.family, recipe.variant, recipe.variant_of)
    assert card.group == recipe.id


def test_a_change_of_one_config_leaves_the_next_alone() -> None:
    recipe = recipes.find("mnist/dim")
    recipe.config().seed = 7
    assert recipe.config().seed == 0


def test_unknown_recipe_lists_close_matches() -> None:
    with pytest.raises(ValueError, match=r"Received: 'mnist/dmi'. Did you mean: .*mnist/dim"):
        recipes.find("mnist/dmi")


def test_network_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", few_images)
    recipe = recipes.find("mnist/cnn")
    config = recipe.config()
    config.update({"epochs": 1, "batch_size": 32})
    trained = recipe.fit(config, tmp_path)
    assert trained.epochs == {"classifier": 1}
    validation = few_images("mnist", "validation")
    logits = ops.convert_to_numpy(trained.model(validation.images))
    assert trained.validation["accuracy"] == pytest.approx((logits.argmax(axis=1) == validation.labels).mean())
