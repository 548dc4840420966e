"""Where a recipe finds the trained models on which it builds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cortexzoo import catalog
from cortexzoo.loading import load_model
from cortexzoo.models import ImageClassifier
from cortexzoo.training.configuration import ConfigError


def find_base(model_id: str, catalogue: Path | None = None) -> Path:
    """Returns the directory of a catalogued model: the one in `catalogue`, or else the one that is installed.

    Args:
        model_id: "<dataset>/<name>".
        catalogue: directory of a catalogue. Defaults to none.

    Raises:
        ConfigError: neither has such a model, or its card is malformed.
    """
    if catalogue is not None and model_id in catalog.model_ids(catalogue):
        return catalog.model_directory(model_id, catalogue)
    try:
        return catalog.model_directory(model_id)
    except ValueError as error:
        where = f" Not in {catalogue} either." if catalogue is not None else ""
        raise ConfigError(f"{error}{where}") from error


def load_base(directory: Path, dataset: str, hyperparameters: Mapping[str, Any]) -> ImageClassifier:
    """Loads a base model.

    Args:
        directory: see `find_base`.
        dataset: the data set of the recipe.
        hyperparameters: what the base model's config has to have, by name.

    Raises:
        ConfigError: the model is of another data set or another kind.
        IntegrityError: a file of the model is not the one on its card.
    """
    card = catalog.model_card(directory)
    wrong = [name for name, value in hyperparameters.items() if (name, value) not in card.config.items()]
    if card.dataset != dataset:
        raise ConfigError(f"Expected a base model of the data set {dataset}. Received: {card.id}, of {card.dataset}")
    if wrong:
        raise ConfigError(
            f"Expected a base model with {', '.join(f'{name}={hyperparameters[name]}' for name in wrong)}. "
            f"Received: {card.id}, a {card.class_name} with {card.config}"
        )
    return load_model(directory)
