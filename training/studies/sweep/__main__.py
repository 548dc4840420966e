"""Sweeps the weight of the saturation penalty: validation accuracy and saturation of the units, as CSV and figure.

  python -m cortexzoo.training.studies.sweep --recipe=mnist/saturating_sigmoid_mlp --values=0,0.1,0.3,1,3
  python -m cortexzoo.training.studies.sweep --recipe=mnist/saturating_relu_cnn --values=0,1e-6,1e-5 \\
      --set=epochs=6 --set=hold_epochs=2 --output=runs/sweep            shorter trainings, to find the range

Run it again after a kill and it resumes; run it with more values and they are added; lines of other settings
leave the table. Training reads the train and validation
splits only. The strengths in training/recipes/saturating.py are the largest that cost at most a point of accuracy.
"""

import sys
from pathlib import Path

from absl import app, flags
from cortexzoo.startup import configure_tensorflow
from cortexzoo.training.configuration import change_config
from cortexzoo.training.studies.sweep import largest_within

_RECIPE = flags.DEFINE_string("recipe", None, "The recipe, one with a strength.", required=True)
_VALUES = flags.DEFINE_list("values", ["0"], "Strengths, separated by commas; 0 is the vanilla network.")
_SET = flags.DEFINE_multi_string("set", [], "Change a value of the config: --set=name=value, value as JSON. Repeatable.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Folder of checkpoints and logs, one folder a recipe and config in it.")
_OUTPUT = flags.DEFINE_string("output", "docs/figures/saturating", "Folder of table and figure.")


def main(arguments: list[str]) -> None:
    """Runs the sweep that the flags describe and prints what may be taken."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --values=0,0.1,1. Received: {' '.join(arguments[1:])}")
    configure_tensorflow("2")
    from cortexzoo.training import recipes
    from cortexzoo.training.studies.sweep.run import sweep

    try:
        recipe = recipes.find(_RECIPE.value)
        config = change_config(recipe.config(), _SET.value)
        strengths = [float(value) for value in _VALUES.value]
        path = sweep(recipe, config, strengths, Path(_WORKDIR.value), Path(_OUTPUT.value))
        print(f"{path}: largest strength within a point of strength 0: {largest_within(path):g}")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    app.run(main)
