"""A recipe is a config and a function that builds and fits a model, with the facts for the model's card."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cortexzoo.models import ImageClassifier
from cortexzoo.training.bases import find_base
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.limits import COMMON, Limit


@dataclasses.dataclass(frozen=True)
class Trained:
    """The result of a recipe.

    Attributes:
        model: the fitted model.
        validation: values on the validation split, by name.
        epochs: number of epochs that were run, by stage.
        details: more for the card's `training`, by name: plain JSON values.
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
        our_choice: what the paper leaves open or we changed.
        config: returns the default config.
        fit: builds and fits. It takes the config and a directory for checkpoints and logs and, as a keyword for each of
            `bases` that the config names, the directory of that model.
        family: kind of network, such as "resnet"; see `cortexzoo.card.ModelCard` for this and the next two.
        variant: what sets it apart from the plain network of its family; "" for the plain network.
        variant_of: id of that plain network; "" for the plain network itself.
        limits: what the settings of the config may be, beside `cortexzoo.training.limits.COMMON`.
        bases: settings of the config that name a catalogued model, or "" for none.
        check: raises a ValueError where settings do not fit together. Called before anything is loaded.
    """

    id: str
    title: str
    description: str
    paper: dict[str, Any]
    from_paper: list[str]
    our_choice: list[str]
    config: Callable[[], ConfigDict]
    fit: Callable[..., Trained]
    family: str
    variant: str = ""
    variant_of: str = ""
    limits: Mapping[str, Limit] = dataclasses.field(default_factory=dict)
    bases: tuple[str, ...] = ()
    check: Callable[[ConfigDict], Any] = lambda config: None

    @property
    def dataset(self) -> str:
        """Name of the data set, the first part of the id."""
        return self.id.split("/")[0]

    def check_config(self, config: ConfigDict) -> None:
        """Refuses a config that cannot be trained.

        Raises:
            ConfigError: a setting is outside its limit, settings do not fit together, or the data set is not the recipe's.
        """
        if config.dataset != self.dataset:
            raise ConfigError(
                f"Expected the data set {self.dataset} for {self.id}. Received: {config.dataset!r}. See --list."
            )
        limits = {**COMMON, **self.limits}
        for name, value in config.items():
            if name in limits and not limits[name].accepts(value):
                raise ConfigError(f"Expected {name} to be {limits[name]}. Received: {name}={value!r}")
        try:
            self.check(config)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def train(self, config: ConfigDict, directory: Path, catalogue: Path | None = None) -> Trained:
        """Fits the model of a config.

        Args:
            config: of this recipe.
            directory: folder for checkpoints and logs.
            catalogue: where base models are looked up before the catalogue that is installed. Defaults to none.

        Raises:
            ConfigError: a setting cannot be used, or there is no such base model.
            FloatingPointError: the loss became infinite or NaN.
        """
        self.check_config(config)
        return self.fit(config, directory, **self.find_bases(config, catalogue))

    def find_bases(self, config: ConfigDict, catalogue: Path | None = None) -> dict[str, Path]:
        """Returns the directories of the base models that a config names, by setting.

        Raises:
            ConfigError: there is no such model.
        """
        return {name: find_base(config[name], catalogue) for name in self.bases if config[name]}
