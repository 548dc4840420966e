"""Recipes by name, one file a family."""

import difflib

from training.recipes import cnn, internal_models, saturating, similarity
from training.recipes.base import Recipe, Trained

__all__ = ["RECIPES", "Recipe", "Trained", "find"]

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
