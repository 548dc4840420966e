"""A trained model -> an artefact of the catalogue: SavedModel, card and README."""

import importlib.metadata
import json
import platform
import shlex
from typing import Any

from cortexzoo import catalog
from cortexzoo.card import ModelCard
from cortexzoo.export import export_model
from cortexzoo.training.hardware import describe_hardware
from cortexzoo.training.recipes import Recipe, Trained, check_dataset, check_id
from ml_collections import ConfigDict

_PACKAGES = ("keras", "numpy", "tensorflow", "tensorflow-datasets")


def publish(
    recipe: Recipe,
    config: ConfigDict,
    trained: Trained,
    seconds: float,
    model_id: str | None = None,
    hardware: str | None = None,
) -> ModelCard:
    """Exports the model into the catalogue and writes its card, without scores: those come from evaluation.

    Args:
        recipe: the recipe.
        config: the recipe's config as it was run.
        trained: what the recipe returned.
        seconds: how long the epochs took.
        model_id: id in the catalogue. Defaults to the recipe's.
        hardware: on what it was trained. Defaults to this machine.

    Returns:
        The card.

    Raises:
        ValueError: the id or the config's data set does not fit the recipe, or the folder has versions of somebody else.
    """
    check_dataset(config, recipe)
    model_id, changes = check_id(model_id or recipe.id, recipe), changed_settings(recipe, config)
    directory = catalog.root() / model_id
    if others := sorted(path.name for path in directory.glob("*/") if path.name.isdecimal() and path.name != "1"):
        raise ValueError(f"Expected no versions but 1 in {directory}, which is replaced. Received: {', '.join(others)}.")
    export_model(trained.model, directory / "1", overwrite=True)
    # The layer names inside the config are the same in every process but for Keras' own counter in the model's name.
    model_config = {**trained.model.get_config(), "name": model_id.split("/")[1]}
    card = ModelCard(
        id=model_id,
        title=recipe.title,
        description=recipe.description,
        class_name=type(trained.model).__name__,
        config=model_config,
        dataset=recipe.dataset,
        parameters=trained.model.count_params(),
        paper=recipe.paper,
        from_paper=recipe.from_paper,
        our_choice=[*recipe.our_choice, *_deviations(recipe, changes)],
        recipe={"name": recipe.id, "config": config.to_dict(), "command": _command(recipe, changes, model_id)},
        seed=config.seed,
        versions={"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}},
        training={
            "seconds": round(seconds, 1),
            "hardware": hardware or describe_hardware(),
            "epochs": trained.epochs,
            "validation": trained.validation,
            **trained.details,
        },
        licence="Apache-2.0",
        files=catalog.artefact_digests(directory),
        family=recipe.family,
        variant=recipe.variant,
        variant_of=recipe.variant_of,
        # The one place that reads a name: --id=X-seed1 with seed 1 publishes another seed of X.
        group=model_id.removesuffix(f"-seed{config.seed}"),
    )
    catalog.save_card(card)
    return card


def changed_settings(recipe: Recipe, config: ConfigDict) -> dict[str, Any]:
    """Returns the settings that differ from those of the recipe, by name."""
    own = recipe.config()
    return {name: config[name] for name in config if config[name] != own[name]}


def _deviations(recipe: Recipe, changes: dict[str, Any]) -> list[str]:
    """What the lines of the recipe do not know."""
    own = recipe.config()
    changed = ", ".join(f"{name} {value!r} (recipe: {own[name]!r})" for name, value in changes.items() if name != "seed")
    return [f"Other settings than the recipe's, whatever is said of them above: {changed}."] if changed else []


def _command(recipe: Recipe, changes: dict[str, Any], model_id: str) -> str:
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changes.items()}
    words = [f"--recipe={recipe.id}", *(shlex.quote(f"--set={name}={value}") for name, value in values.items())]
    return " ".join(["cortexzoo train", *words, *([f"--id={model_id}"] if model_id != recipe.id else [])])
