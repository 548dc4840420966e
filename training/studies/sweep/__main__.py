"""Accuracy and saturated units against the weight of the saturation penalty.

Examples:
  cortexzoo study sweep --recipe=mnist/saturating_sigmoid_mlp --values=0,0.1,1
  cortexzoo study sweep --recipe=mnist/saturating_relu_cnn \\
      --values=0,1e-6,1e-5 --set=epochs=6 --set=hold_epochs=2

The same command resumes after a kill. Further values are added to the table; rows of other settings leave it. The strengths
in training/recipes/saturating.py are the largest that cost at most one point of accuracy.
"""

from pathlib import Path

from absl import flags

from cortexzoo.console import run
from cortexzoo.training.configuration import ConfigError, change_config
from cortexzoo.training.preparation import prepare, refusals
from cortexzoo.training.studies.sweep.table import largest_within

_RECIPE = flags.DEFINE_string("recipe", None, "The recipe, one with a strength; `cortexzoo train --list` shows all.")
_VALUES = flags.DEFINE_list("values", ["0"], "Strengths, separated by commas; 0 is the plain network.")
_SET = flags.DEFINE_multi_string("set", [], "Change a setting: --set=name=value, the value as JSON or text.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Folder for checkpoints and logs, one folder for each recipe and config.")
_OUTPUT = flags.DEFINE_string("output", "runs/studies/sweep", "Folder for the table and the figure.")


def main(arguments: list[str]) -> None:
    """Runs the sweep and prints the strength that may be taken."""
    with refusals():
        output = prepare(arguments, _OUTPUT.value)
        # Imported late: help and refusals need no framework.
        from cortexzoo.training.recipes import find
        from cortexzoo.training.studies.sweep.run import sweep

        if not _RECIPE.value:
            raise ConfigError("Expected --recipe=NAME. Received: none. `cortexzoo train --list` shows the recipes.")
        recipe = find(_RECIPE.value)
        config = change_config(recipe.config(), _SET.value)
        print(_verdict(sweep(recipe, config, _strengths(), Path(_WORKDIR.value), output)))


def _strengths() -> list[float]:
    try:
        return [float(value) for value in _VALUES.value]
    except ValueError as error:
        raise ConfigError(f"Expected numbers for --values. Received: {','.join(_VALUES.value)}") from error


def _verdict(path: Path) -> str:
    strength = largest_within(path)
    if strength is None:
        return f"{path}: add 0 to --values to learn which strength costs at most one point of accuracy"
    return f"{path}: largest strength within one point of strength 0: {strength:g}"


if __name__ == "__main__":
    run(main, "cortexzoo study sweep")
