"""From a trained model to an entry of a catalogue: SavedModel, card and README."""

import importlib.metadata
import json
import platform
import shlex
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cortexzoo import catalog, files
from cortexzoo.card import ModelCard
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.hardware import describe_hardware
from cortexzoo.training.recipes import Recipe, Trained, check_id

_PACKAGES = ("keras", "numpy", "tensorflow", "tensorflow-datasets")


def check_destination(model_id: str, catalogue: Path | None = None) -> Path:
    """Returns the directory of a model that is about to be trained and published.

    Args:
        model_id: "<dataset>/<name>".
        catalogue: directory of the catalogue. Defaults to the one that is installed.

    Raises:
        ConfigError: the directory has versions other than 1, which are somebody else's, or cannot be written.
    """
    directory = catalog.root(catalogue) / model_id
    if others := sorted(path.name for path in directory.glob("*/") if path.name.isdecimal() and path.name != "1"):
        raise ConfigError(
            f"Expected no version but 1 in {directory}, which is replaced. Received: {', '.join(others)}. "
            "Publish under another --id, or in another --catalogue."
        )
    check_writable(directory)
    return directory


def check_writable(directory: Path) -> None:
    """Raises a ConfigError where a directory, which need not exist yet, cannot be written. Leaves nothing behind."""
    try:
        files.check_writable(directory)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def publish(
    recipe: Recipe,
    config: ConfigDict,
    trained: Trained,
    seconds: float,
    model_id: str | None = None,
    hardware: str | None = None,
    catalogue: Path | None = None,
) -> ModelCard:
    """Exports the model into a catalogue and writes its card. Scores are left to evaluation.

    Args:
        recipe: the recipe.
        config: the recipe's config as it was run.
        trained: what the recipe returned.
        seconds: how long the epochs took.
        model_id: id in the catalogue. Defaults to the recipe's.
        hardware: on what it was trained. Defaults to this machine.
        catalogue: directory of the catalogue. Defaults to the one that is installed.

    Returns:
        The card.

    Raises:
        ConfigError: the id or the config does not fit the recipe, or see `check_destination`.
    """
    # Imported late: recipes train where there is no TensorFlow, and a folder can be checked there, too.
    from cortexzoo.export import export_model

    recipe.check_config(config)
    model_id = check_id(model_id or recipe.id, recipe)
    directory = check_destination(model_id, catalogue)
    export_model(trained.model, directory / "1", overwrite=True)
    card = _card(recipe, config, trained, model_id, directory, round(seconds, 1), hardware or describe_hardware())
    catalog.save_card(card, catalogue)
    return card


def changed_settings(recipe: Recipe, config: ConfigDict) -> dict[str, Any]:
    """Returns the settings that differ from those of the recipe, by name."""
    own = recipe.config()
    return {name: config[name] for name in config if config[name] != own[name]}


def _card(
    recipe: Recipe,
    config: ConfigDict,
    trained: Trained,
    model_id: str,
    directory: Path,
    seconds: float,
    hardware: str,
) -> ModelCard:
    changes = changed_settings(recipe, config)
    measured = {"seconds": seconds, "hardware": hardware, "epochs": trained.epochs, "validation": trained.validation}
    return ModelCard(
        id=model_id,
        title=recipe.title,
        description=recipe.description,
        class_name=type(trained.model).__name__,
        # The layer names inside the config are the same in every process but for Keras' own counter in the model's name.
        config={**trained.model.get_config(), "name": model_id.split("/")[1]},
        dataset=recipe.dataset,
        parameters=trained.model.count_params(),
        paper=recipe.paper,
        from_paper=recipe.from_paper,
        our_choice=[*recipe.our_choice, *_deviations(recipe, changes)],
        recipe={"name": recipe.id, "config": config.to_dict(), "command": _command(recipe, changes, model_id)},
        seed=config.seed,
        versions={"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}},
        training={**measured, **trained.details},
        licence="Apache-2.0",
        files=catalog.artefact_digests(directory),
        family=recipe.family,
        variant=recipe.variant,
        variant_of=recipe.variant_of,
        # The one place that reads a name: --id=X-seed1 with seed 1 publishes another seed of X.
        group=model_id.removesuffix(f"-seed{config.seed}"),
    )


def _deviations(recipe: Recipe, changes: dict[str, Any]) -> list[str]:
    """Returns a line on the settings that the recipe's own lines do not know."""
    own = recipe.config()
    changed = ", ".join(f"{name} {value!r} (recipe: {own[name]!r})" for name, value in changes.items() if name != "seed")
    return [f"Settings that differ from the recipe, whatever the lines above say: {changed}."] if changed else []


def _command(recipe: Recipe, changes: dict[str, Any], model_id: str) -> str:
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changes.items()}
    words = [f"--recipe={recipe.id}", *(shlex.quote(f"--set={name}={value}") for name, value in values.items())]
    return " ".join(["cortexzoo train", *words, *([f"--id={model_id}"] if model_id != recipe.id else [])])
