"""What a recipe is: a config and a function that builds and fits a model, with the facts for its card."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cortexzoo.models import ImageClassifier
from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a recipe leaves behind.

    Attributes:
        model: the fitted model.
        validation: the values on the validation split that describe it, by name.
        epochs: how many epochs were run, by stage.
        details: more that the card keeps of the training, by name: plain JSON values.
    """

    model: ImageClassifier
    validation: dict[str, float]
    epochs: dict[str, int]
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One trainable model of the zoo.

    Attributes:
        id: id of the model in the catalogue, which is also the recipe's name.
        title: one line for people.
        description: one paragraph for people.
        paper: title, authors, year and url.
        from_paper: what follows the paper.
        our_choice: what the paper leaves open.
        config: returns the default config.
        fit: builds and fits; it takes the config and a directory for checkpoints and logs.
        family: kind of network, such as "resnet"; see `cortexzoo.card.ModelCard` for this and the next two.
        variant: what sets it apart from the plain network of its family; "" for the plain network.
        variant_of: id of that plain network; "" for the plain network itself.
    """

    id: str
    title: str
    description: str
    paper: dict[str, Any]
    from_paper: list[str]
    our_choice: list[str]
    config: Callable[[], ConfigDict]
    fit: Callable[[ConfigDict, Path], Trained]
    family: str
    variant: str = ""
    variant_of: str = ""

    @property
    def dataset(self) -> str:
        """Name of the data set, the first part of the id."""
        return self.id.split("/")[0]
