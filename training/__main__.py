"""Trains a model of the zoo and publishes it: SavedModel, card and README.

  zoo-train --list                                    the recipes
  zoo-train --recipe=mnist/dim                        train DIM as shipped; run it again after a kill and it resumes
  zoo-train --recipe=mnist/dim --set=internal_epochs=5 --set=seed=1 --catalogue=/tmp/mine
                                                      a variation, published elsewhere
  zoo-train --recipe=mnist/sigmoid_mlp --set=seed=1 --id=mnist/sigmoid_mlp-seed1
                                                      a variation, published under an id of its own
  zoo-train --recipe=mnist/dim --show_config          print the config and stop
  KERAS_BACKEND=jax zoo-train --recipe=cifar10_gray/resnet_pixel --set=width=64 --set=epochs=40
                                                      train on JAX (pip install jax); on TensorFlow it then publishes

`python -m cortexzoo.training` does the same. Checkpoints and logs (CSV) go to --workdir. Training reads the train and
validation splits only; `zoo-evaluate --model=ID --suite=... --update_card` adds the scores on the test split to the card.
`python -m cortexzoo.training.studies.sweep --help` tells how the strength of a saturation penalty is chosen.
"""

import os
import sys
from pathlib import Path

from absl import app, flags, logging
from cortexzoo.startup import configure_tensorflow
from cortexzoo.training.configuration import change_config, run_directory
from ml_collections import ConfigDict

_RECIPE = flags.DEFINE_string("recipe", None, "The recipe, such as mnist/dim.")
_SET = flags.DEFINE_multi_string("set", [], "Change a value of the config: --set=name=value, value as JSON. Repeatable.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Folder of checkpoints and logs, one folder a recipe and config in it.")
_CATALOGUE = flags.DEFINE_string(
    "catalogue", None, "Publish into this catalogue instead of the installed one; base models come from it, too."
)
_ID = flags.DEFINE_string("id", None, "Publish under this id instead of the recipe's.")
_LIST = flags.DEFINE_bool("list", False, "List the recipes and stop.")
_SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Print the recipe's config as JSON and stop.")
# Settings that name a model of the catalogue.
_BASES = ("base", "denoiser_base", "features_model")


def main(arguments: list[str]) -> None:
    """Trains and publishes the recipe that the flags name."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --recipe=mnist/dim. Received: {' '.join(arguments[1:])}")
    configure_tensorflow("2")
    if _CATALOGUE.value:
        os.environ["CORTEXZOO_SAVED_MODELS"] = os.path.abspath(_CATALOGUE.value)
    from cortexzoo import catalog
    from cortexzoo.training import recipes

    if _LIST.value:
        print("\n".join(f"{recipe.id:36} {recipe.title}" for recipe in recipes.RECIPES.values()))
        return
    if not _RECIPE.value:
        raise app.UsageError("Expected --recipe=NAME. Received: none. --list shows the recipes.")
    try:
        recipe = recipes.find(_RECIPE.value)
        config = change_config(recipe.config(), _SET.value)
        recipes.check_dataset(config, recipe)
        model_id = recipes.check_id(_ID.value or recipe.id, recipe)
        for base in _BASES:
            if config.get(base):
                catalog.model_card(config[base])
    except ValueError as error:
        sys.exit(str(error))
    if _SHOW_CONFIG.value:
        print(config.to_json(indent=2))
        return
    _train(recipe, config, model_id)


def _train(recipe, config: ConfigDict, model_id: str) -> None:
    import keras
    from cortexzoo.training.fitting import fitting_seconds
    from cortexzoo.training.hardware import first_hardware

    directory = run_directory(Path(_WORKDIR.value), recipe.id, config)
    logging.info("Checkpoints and logs: %s", directory)
    hardware = first_hardware(directory)
    keras.utils.set_random_seed(config.seed)
    trained = recipe.fit(config, directory)
    if keras.backend.backend() != "tensorflow":
        print(f"Trained on {keras.backend.backend()}. The same command with KERAS_BACKEND=tensorflow publishes the weights.")
        return
    # Imported late: other backends train where there is no TensorFlow.
    from cortexzoo.training.publishing import publish

    card = publish(recipe, config, trained, fitting_seconds(directory), model_id, hardware)
    logging.info("Published %s: validation %s", card.id, card.training["validation"])


if __name__ == "__main__":
    app.run(main)
