"""The settings of a training with or without the similarity regulariser: their defaults, limits, and what reads them."""

from typing import Any

from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.models.resnet import BLOCKS
from cortexzoo.training import targets
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.limits import ANYTHING, STANDARD_DEVIATION, Limit, OneOf, Range
from cortexzoo.training.similarity import STATISTICS
from cortexzoo.training.targets import registry

# How the images of the regularisation set are chosen from the training images; "first" as in the paper's code.
CHOICES = ("random", "first")
# How the weights are drawn; "pytorch" as in the paper's code.
INITIAL_WEIGHTS = ("he", "pytorch")
# Read by every target, and by the plain network not at all.
_REGULARIZER = ("strength", "transform", "pairs", "statistics")
# Read by the targets that do not bring a regularisation set of their own.
_REGULARIZATION_SET = tuple(f"regularization_{name}" for name in ("dataset", "images", "choice", "augmented"))
LIMITS: dict[str, Limit] = {
    "depth": OneOf(BLOCKS),
    "width": Range(1, 4096),
    "blur": STANDARD_DEVIATION,
    "initial_weights": OneOf(INITIAL_WEIGHTS),
    "train_images": Range(0, 10_000_000),
    "momentum": Range(0.0, 0.999),
    "augment": ANYTHING,
    "noise": STANDARD_DEVIATION,
    "dtype": OneOf(("float32", "mixed_bfloat16", "mixed_float16")),
    "target": OneOf(("none", *registry.specifications())),
    "strength": Range(0.0, 1e6),
    "transform": ANYTHING,
    "pairs": Range(1, 10_000),
    "statistics": OneOf(STATISTICS),
    "regularization_dataset": OneOf(datasets.DATASETS),
    "regularization_images": Range(2, 10_000_000),
    "regularization_choice": OneOf(CHOICES),
    "regularization_augmented": ANYTHING,
    **{name: setting.limit for name, (setting, _) in registry.settings().items()},
}


def default_config(dataset: str, target: str = "none", **changes: Any) -> ConfigDict:
    """Returns the config of a data set and a target.

    Args:
        dataset: name of the data set.
        target: name of the target, or "none" for a network without the regulariser.
        changes: other values than the defaults, by setting.
    """
    published = targets.published_setting(dataset, dataset)
    natural = datasets.info(dataset).natural
    return ConfigDict(
        {
            "dataset": dataset,
            "seed": 0,
            "depth": 18,
            "width": 16,
            "blur": 0.0,
            "initial_weights": "he",
            "epochs": 8 if natural else 4,
            "train_images": 0,
            "batch_size": 64,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "augment": natural,
            "noise": 0.0,
            "dtype": "mixed_bfloat16",
            "target": target,
            "strength": published.alpha,
            "transform": True,
            "pairs": targets.PUBLISHED_PAIRS,
            "regularization_dataset": dataset,
            "regularization_images": 5000,
            "regularization_choice": "random",
            "regularization_augmented": False,
            "statistics": "class",
            **_target_settings(dataset, target),
            **changes,
        }
    )


def check_settings(config: ConfigDict) -> None:
    """Refuses settings that do not fit together.

    Raises:
        ConfigError: naming the settings.
    """
    registry.options(config)
    if 0 < config.train_images < config.batch_size:
        raise ConfigError(
            f"Expected train_images of 0, for all, or at least the batch_size of {config.batch_size}. "
            f"Received: train_images={config.train_images}"
        )
    shapes = [datasets.info(name).image_shape for name in (config.dataset, config.regularization_dataset)]
    if config.target != "none" and shapes[0] != shapes[1]:
        raise ConfigError(
            f"Expected a regularization_dataset with images of shape {shapes[0]}, as in {config.dataset}. "
            f"Received: {config.regularization_dataset}, with {shapes[1]}"
        )


def ignored_settings(config: ConfigDict) -> list[str]:
    """Returns the settings that are not at their defaults although nothing reads them under the target of the config."""
    chain = registry.chain(config)
    ignored = [
        name
        for name, (setting, readers) in registry.settings().items()
        if name in config
        and not {target.name for target in chain} & set(readers)
        and config[name] != setting.default_for(config.dataset)
    ]
    unread = () if chain else _REGULARIZER
    unread += _REGULARIZATION_SET if not chain or chain[-1].own_images else ()
    defaults = default_config(config.dataset)
    return [*ignored, *(name for name in unread if config[name] != defaults[name])]


def _target_settings(dataset: str, target: str) -> dict[str, Any]:
    """Returns the defaults of the settings that all configs share and of those that the target alone has."""
    in_colour = datasets.info(dataset).image_shape[-1] > 1
    return {
        name: setting.default_for(dataset)
        for name, (setting, readers) in registry.settings().items()
        if (setting.shared or target in readers) and (in_colour or not setting.colour_only)
    }
