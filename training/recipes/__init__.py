"""Recipes by name: those that the files of this folder declare as RECIPES."""

import difflib
import re

from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.discovery import declared
from cortexzoo.training.recipes.base import Recipe, Trained

__all__ = ["RECIPES", "Recipe", "Trained", "check_id", "find"]

RECIPES: dict[str, Recipe] = {recipe.id: recipe for recipes in declared(__name__, "RECIPES") for recipe in recipes}


def find(name: str) -> Recipe:
    """Returns the recipe called `name`.

    Raises:
        ConfigError: there is none; the message lists close matches.
    """
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4)
        hint = f"Did you mean: {', '.join(close)}?" if close else "`cortexzoo train --list` shows them."
        raise ConfigError(f"`recipe` must be one of the recipes. Received: {name!r}. {hint}")
    return RECIPES[name]


def check_id(model_id: str, recipe: Recipe) -> str:
    """Returns an id under which a recipe's model may be published.

    Raises:
        ConfigError: the id is not "<data set of the recipe>/<name>", or is another recipe's.
    """
    if not re.fullmatch(rf"{re.escape(recipe.dataset)}/\w[\w.-]*", model_id, flags=re.ASCII):
        raise ConfigError(f"Expected an id of the form {recipe.dataset}/NAME for {recipe.id}. Received: {model_id!r}")
    if model_id != recipe.id and model_id in RECIPES:
        raise ConfigError(f"Expected an id that is not another recipe's. Received: {model_id!r}. Add to it, as in -seed1.")
    return model_id
