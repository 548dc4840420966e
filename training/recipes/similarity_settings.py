"""What a training with or without the similarity regulariser is told: settings, their defaults, and what reads them."""

from typing import Any

from cortexzoo import datasets
from cortexzoo.training import targets
from ml_collections import ConfigDict

# How the images of the regularisation set are chosen from the training images; "first" as in the paper's code.
CHOICES = ("random", "first")
# How the weights are drawn; "pytorch" as in the paper's code.
INITIAL_WEIGHTS = ("he", "pytorch")
# By variant: settings that no other has, and what the controls without a target set.
OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "thresholded": {"inner_threshold": 0.0, "signs": True},
    "simulated_v1": {"v1_units": 1000, "v1_trials": 10, "v1_complex_share": 0.5},
    "features": {"features_model": "", "features_layer": ""},
    "recordings": {"responses": "predicted", "predictor_epochs": 30},
    "gaussian": {"target": "none", "noise": 0.1},
    "blurred": {"target": "none", "blur": 1.0},
}
_ALL = ("pixel", "thresholded", "simulated_v1", "recordings", "features", "shuffled", "constant")
# By setting: the targets that read it, where the plain network does not; `shuffled` reads those of what it shuffles as well.
_READERS: dict[str, tuple[str, ...]] = {
    **{name: ("thresholded",) for name in ("threshold", "side", "inner_threshold", "signs")},
    "average_channels": ("pixel", "thresholded"),
    **{name: (target,) for target in ("simulated_v1", "features", "recordings") for name in OWN_SETTINGS[target]},
    "recordings": ("recordings",),
    "shuffled_of": ("shuffled",),
    **{name: _ALL for name in ("strength", "transform", "pairs", "statistics")},
    **{
        f"regularization_{name}": tuple(target for target in _ALL if target != "recordings")
        for name in ("dataset", "images", "choice", "augmented")
    },
}


def default_config(dataset: str, variant: str) -> ConfigDict:
    """Config of a data set and a variant: a target, "none" for the plain network, or a control without a target."""
    published = targets.published_setting(dataset, dataset)
    in_colour = datasets.info(dataset).image_shape[-1] > 1
    natural = dataset.startswith("cifar")
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
            "target": variant,
            "threshold": published.threshold,
            "side": "both",
            "shuffled_of": "pixel",
            "recordings": "",
            "strength": published.alpha,
            "transform": True,
            "pairs": targets.PUBLISHED_PAIRS,
            "regularization_dataset": dataset,
            "regularization_images": 5000,
            "regularization_choice": "random",
            "regularization_augmented": False,
            "statistics": "class",
            **OWN_SETTINGS.get(variant, {}),
            **({"average_channels": False} if in_colour and variant in _READERS["average_channels"] else {}),
        }
    )


def ignored_settings(config: ConfigDict) -> list[str]:
    """Returns which settings are not at their defaults although the target of the config does not read them."""
    target = {config.target, config.shuffled_of} if config.target == "shuffled" else {config.target}
    defaults = dict(default_config(config.dataset, config.target), average_channels=False)
    defaults |= {name: value for own in OWN_SETTINGS.values() for name, value in own.items() if name not in defaults}
    return [
        name
        for name, readers in _READERS.items()
        if name in config and not target & set(readers) and config[name] != defaults[name]
    ]
