"""Series of trainings that are compared, and measurements beside them.

Examples:
  cortexzoo study sweep --recipe=mnist/saturating_sigmoid_mlp --values=0,0.1,1
  cortexzoo study layer_weights --model=fashion_mnist/resnet_pixel

`cortexzoo study NAME --help` explains a study. `python -m cortexzoo.training.studies` is the same program.
Training reads the train and validation splits only.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence

from cortexzoo.console import choose, discover, run


def main(arguments: Sequence[str]) -> None:
    """Runs the study that the first argument after the program's name calls; only that study's flags are defined."""
    package = __spec__.parent
    name, rest = choose(arguments[0], discover(package), arguments[1:], __doc__)
    module = f"{package}.{name}"
    # A study is a file, or a folder that runs as a program.
    if importlib.util.find_spec(module).submodule_search_locations:
        module = f"{module}.__main__"
    run(importlib.import_module(module).main, f"{arguments[0]} {name}", rest)


if __name__ == "__main__":
    main(["cortexzoo study", *sys.argv[1:]])
