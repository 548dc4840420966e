"""Recipes by name, one file a family."""

import difflib
import re

from cortexzoo.training.recipes import cnn, internal_models, saturating, similarity
from cortexzoo.training.recipes.base import Recipe, Trained
from ml_collections import ConfigDict

__all__ = ["RECIPES", "Recipe", "Trained", "check_dataset", "check_id", "find"]

_FAMILIES = (cnn, internal_models, saturating, similarity)
RECIPES: dict[str, Recipe] = {recipe.id: recipe for family in _FAMILIES for recipe in family.RECIPES}


def find(name: str) -> Recipe:
    """Returns the recipe called `name`.

    Raises:
        ValueError: there is none; the message lists close matches.
    """
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4) or list(RECIPES)
        raise ValueError(f"`recipe` must be one of the recipes. Received: {name!r}. Did you mean: {', '.join(close)}?")
    return RECIPES[name]


def check_dataset(config: ConfigDict, recipe: Recipe) -> None:
    """Raises a ValueError where a changed config is not about the data set that the recipe's id and title name."""
    if config.dataset != recipe.dataset:
        raise ValueError(
            f"Expected the data set {recipe.dataset} for {recipe.id}. Received: {config.dataset!r}. See --list."
        )


def check_id(model_id: str, recipe: Recipe) -> str:
    """Returns an id under which a recipe's model may be published.

    Raises:
        ValueError: the id is not "<data set of the recipe>/<name>", or is another recipe's.
    """
    if not re.fullmatch(rf"{re.escape(recipe.dataset)}/\w[\w.-]*", model_id, flags=re.ASCII):
        raise ValueError(f"Expected an id of the form {recipe.dataset}/NAME for {recipe.id}. Received: {model_id!r}")
    if model_id != recipe.id and model_id in RECIPES:
        raise ValueError(f"Expected an id that is not another recipe's. Received: {model_id!r}. Add to it, as in -seed1.")
    return model_id
