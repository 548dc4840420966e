"""Train a model and publish it in a catalogue: SavedModel, card and README.

Examples:
  the recipes
    cortexzoo train --list
  the settings of a recipe
    cortexzoo train --recipe=mnist/dim --show_config
  train DIM as it is shipped; the same command resumes after a kill
    cortexzoo train --recipe=mnist/dim
  with other settings
    cortexzoo train --recipe=mnist/dim --set=internal_epochs=5 --set=seed=1
  another seed of sigmoid_mlp, beside it in the catalogue
    cortexzoo train --recipe=mnist/sigmoid_mlp --set=seed=1 \\
        --id=mnist/sigmoid_mlp-seed1
  on JAX (pip install "cortexzoo[jax]"); without KERAS_BACKEND it then publishes
    KERAS_BACKEND=jax cortexzoo train --recipe=cifar10_gray/resnet_pixel

`python -m cortexzoo.training` does the same. Models are published in --catalogue, which is runs/catalogue unless you say
otherwise; checkpoints and logs (CSV) go to --workdir. Training reads the train and validation splits only. The scores on the
test split come from `cortexzoo evaluate --model=runs/catalogue/mnist/dim`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags
from ml_collections import ConfigDict

from cortexzoo.console import run
from cortexzoo.training.configuration import ConfigError, change_config
from cortexzoo.training.preparation import configure_logs, refusals

if TYPE_CHECKING:
    from cortexzoo.training.recipes import Recipe

_RECIPE = flags.DEFINE_string("recipe", None, "The recipe, such as mnist/dim. --list shows all.")
_SET = flags.DEFINE_multi_string("set", [], "Change a setting: --set=name=value, the value as JSON or text.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Folder for checkpoints and logs, one folder for each recipe and config.")
_CATALOGUE = flags.DEFINE_string(
    "catalogue",
    "runs/catalogue",
    "Folder of the catalogue to publish in. Base models of a recipe are looked up there first, then among the shipped ones.",
)
_ID = flags.DEFINE_string("id", None, "Publish under this id instead of the recipe's. X-seed1 is seed 1 of X.")
_LIST = flags.DEFINE_bool("list", False, "List the recipes and stop.")
_SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Print the recipe's settings as JSON and stop.")


def main(arguments: list[str]) -> None:
    """Trains and publishes the recipe that the flags name."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --recipe=mnist/dim. Received: {' '.join(arguments[1:])}")
    if not (_RECIPE.value or _LIST.value):
        raise app.UsageError("Expected --recipe=NAME. Received: none. --list shows the recipes.")
    configure_logs()
    with refusals():
        _run()


def _run() -> None:
    # Imported late: help needs no framework.
    from cortexzoo.training import recipes

    if _LIST.value:
        print("\n".join(f"{recipe.id:36} {recipe.title}" for recipe in recipes.RECIPES.values()))
        return
    recipe = recipes.find(_RECIPE.value)
    config = change_config(recipe.config(), _SET.value)
    if _SHOW_CONFIG.value:
        print(config.to_json(indent=2))
        return
    _check(recipe, config)
    _train_and_publish(recipe, config)


def _check(recipe: "Recipe", config: ConfigDict) -> None:
    """Finds out before the training what would fail after it."""
    from cortexzoo.training.publishing import check_destination, check_writable
    from cortexzoo.training.recipes import check_id

    if not _CATALOGUE.value:
        raise ConfigError("Expected a folder for --catalogue. Received: none.")
    recipe.check_config(config)
    recipe.find_bases(config, Path(_CATALOGUE.value))
    check_destination(check_id(_ID.value or recipe.id, recipe), Path(_CATALOGUE.value))
    check_writable(Path(_WORKDIR.value))


def _train_and_publish(recipe: "Recipe", config: ConfigDict) -> None:
    import keras

    from cortexzoo.training.configuration import run_directory
    from cortexzoo.training.fitting import fitting_seconds
    from cortexzoo.training.hardware import first_hardware
    from cortexzoo.training.publishing import publish

    catalogue, directory = Path(_CATALOGUE.value), run_directory(Path(_WORKDIR.value), recipe.id, config)
    print(f"Checkpoints and logs: {directory}", flush=True)
    hardware = first_hardware(directory)
    keras.utils.set_random_seed(config.seed)
    trained = recipe.train(config, directory, catalogue)
    if keras.backend.backend() != "tensorflow":
        print(f"Trained on {keras.backend.backend()}. The same command with KERAS_BACKEND=tensorflow publishes the model.")
        return
    card = publish(recipe, config, trained, fitting_seconds(directory), _ID.value, hardware, catalogue)
    path = catalogue / card.id
    print(f"Published {card.id} in {path / str(card.version)}")
    for name, value in card.training["validation"].items():
        print(f"Validation {name}: {value:.4f}")
    print(f"Next: cortexzoo evaluate --model={path} --suite=quick")


if __name__ == "__main__":
    run(main, "cortexzoo train")
