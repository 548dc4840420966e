"""Where a recipe finds the trained models on which it builds."""

from pathlib import Path

from cortexzoo import catalog
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
