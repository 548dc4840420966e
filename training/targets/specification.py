"""What a file of `training/targets` declares as TARGET: how the target is built, and all that recipes need to know of it."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.limits import ANYTHING, Limit
from cortexzoo.training.targets.base import SimilarityTarget


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of a target in the config of a recipe.

    Attributes:
        name: its name in the config.
        default: its default, or a function from the name of the data set to it.
        limit: what it may be. Defaults to anything of the default's type.
        option: the argument of the target's `build` that takes it. Defaults to `name`.
        shared: whether the configs of all similarity recipes have it, and not the target's own recipes alone.
        colour_only: whether only configs of colour data sets have it.
        example: a value to name where the default is "" and the target cannot do without one.
        is_model: whether it is the id of a catalogued model, of which `build` gets the directory.
    """

    name: str
    default: Any
    limit: Limit = ANYTHING
    _: dataclasses.KW_ONLY
    option: str = ""
    shared: bool = False
    colour_only: bool = False
    example: str = ""
    is_model: bool = False

    def default_for(self, dataset: str) -> Any:
        """Returns the default for a data set."""
        return self.default(dataset) if callable(self.default) else self.default

    def value(self, config: Mapping[str, Any]) -> Any:
        """Returns the value in a config, or the default where the config lacks the setting.

        Raises:
            ConfigError: there has to be a value and there is none.
        """
        value = config.get(self.name, self.default_for(config["dataset"]))
        if self.example and not value:
            raise ConfigError(
                f"The target needs a value of {self.name}, as in --set={self.name}={self.example}. Received: none. "
                "A recipe without that setting cannot have this target. See docs/similarity.md."
            )
        return value


@dataclasses.dataclass(frozen=True)
class TargetSpecification:
    """A similarity target, by name.

    Attributes:
        name: its name in `targets.build` and in configs.
        title: what the title of a model says after "with".
        description: one sentence for the cards of models.
        build: returns the target. Takes the images, the seed, and the options as keywords.
        settings: settings of recipes that go to `build`.
        suffix: ending of the ids of recipes, after an underscore. Defaults to `name`.
        from_paper: lines for the cards of models, formatted with the config.
        datasets: data sets for which there is a recipe.
        own_images: whether the target brings its own regularisation set.
        wraps: name of the setting that names another target, whose settings this target reads too. Defaults to none.
        folder: folder below that of the training in which the target keeps what it fits; `build` gets it as `directory`.
            Defaults to none.
    """

    name: str
    title: str
    description: str
    build: Callable[..., SimilarityTarget]
    settings: tuple[Setting, ...] = ()
    suffix: str = ""
    from_paper: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ("fashion_mnist", "cifar10_gray")
    own_images: bool = False
    wraps: str = ""
    folder: str = ""

    def options(
        self, config: Mapping[str, Any], directory: Path | None = None, bases: Mapping[str, Path] | None = None
    ) -> dict[str, Any]:
        """Returns what a config says to `build`, as keywords.

        Args:
            config: of a recipe.
            directory: folder of the training. Defaults to none.
            bases: directories of catalogued models, by the setting that names them; of others the catalogue decides.

        Raises:
            ConfigError: a setting that has no default is missing.
        """
        values = {setting.option or setting.name: self._value(setting, config, bases or {}) for setting in self.settings}
        return {**values, "directory": directory / self.folder} if self.folder and directory else values

    @staticmethod
    def _value(setting: Setting, config: Mapping[str, Any], bases: Mapping[str, Path]) -> Any:
        value = setting.value(config)
        return bases.get(setting.name, value) if setting.is_model else value
