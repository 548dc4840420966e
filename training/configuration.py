"""A recipe's config: changes from the command line, and the folder of the runs that have it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cortexzoo import catalog


class ConfigError(ValueError):
    """A setting of a recipe that cannot be used. The message is for the user."""


def change_config(config: ConfigDict, changes: Iterable[str]) -> ConfigDict:
    """Applies "name=value" changes to a config; values are JSON, or else text.

    Raises:
        ConfigError: a change has no "=", an unknown name, or a value of another type than the default's.
    """
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator or name not in config:
            raise ConfigError(
                f"Expected --set=name=value with a name among {', '.join(sorted(config))}. Received: {change!r}"
            )
        _assign(config, name, text)
    return config


def config_digest(config: ConfigDict) -> str:
    """Returns a short name that two configs share only where all their values are the same."""
    return hashlib.sha256(config.to_json(sort_keys=True).encode()).hexdigest()[:10]


def base_digest(model: catalog.StrPath) -> str:
    """Returns a short name of a base model's files, so that what was trained on one never resumes on another.

    Args:
        model: id in the catalogue, or the directory of a catalogued model.

    Raises:
        ValueError: there is no such model.
    """
    files = json.dumps(catalog.model_card(model).files, sort_keys=True)
    return hashlib.sha256(files.encode()).hexdigest()[:10]


def run_directory(workdir: Path, recipe_id: str, config: ConfigDict) -> Path:
    """Returns the folder of one recipe and config, so that a changed config never resumes another's checkpoints."""
    return workdir / recipe_id / config_digest(config)


def _assign(config: ConfigDict, name: str, text: str) -> None:
    value = _parsed(text)
    try:
        # ConfigDict would take None for anything and a bool for a number.
        if value is None or isinstance(value, bool) != isinstance(config[name], bool):
            raise TypeError(type(value).__name__)
        config[name] = tuple(value) if isinstance(value, list) else value
    except TypeError as error:
        expected = type(config[name]).__name__
        article = "an" if expected[0] in "aeiou" else "a"
        raise ConfigError(f"Expected {article} {expected} for {name}. Received: {text!r}") from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    # A number of thousands of digits is a ValueError of its own; brackets nested too deeply end the recursion.
    except (ValueError, RecursionError):
        return text
