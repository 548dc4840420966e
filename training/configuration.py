"""A recipe's config: changes from the command line, and the folder of the runs that have it."""

import hashlib
import json
from pathlib import Path

from cortexzoo import catalog
from ml_collections import ConfigDict


def change_config(config: ConfigDict, changes: list[str]) -> ConfigDict:
    """Applies "name=value" changes; values are JSON, or else text.

    Raises:
        ValueError: a change has no "=", an unknown name, or a value of another type than the default's.
    """
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator or name not in config:
            raise ValueError(
                f"Expected --set=name=value with a name among {', '.join(sorted(config))}. Received: {change!r}"
            )
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        try:
            # ConfigDict would take None for anything and a bool for a number.
            if value is None or isinstance(value, bool) != isinstance(config[name], bool):
                raise TypeError(type(value).__name__)
            config[name] = tuple(value) if isinstance(value, list) else value
        except TypeError as error:
            raise ValueError(f"Expected a {type(config[name]).__name__} for {name}. Received: {text!r}") from error
    return config


def config_digest(config: ConfigDict) -> str:
    """Returns a short name that two configs share only where all their values are the same."""
    return hashlib.sha256(config.to_json(sort_keys=True).encode()).hexdigest()[:10]


def base_digest(model_id: str) -> str:
    """Returns a short name of a base model's files, so that what was trained on one never resumes on another.

    Raises:
        ValueError: there is no such model.
    """
    files = json.dumps(catalog.model_card(model_id).files, sort_keys=True)
    return hashlib.sha256(files.encode()).hexdigest()[:10]


def run_directory(workdir: Path, recipe_id: str, config: ConfigDict) -> Path:
    """Returns the folder of one recipe and config, so that a changed config never resumes another's checkpoints."""
    return workdir / recipe_id / config_digest(config)
