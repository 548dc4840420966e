"""Studies: series of models that are trained and compared.

Examples:
  cortexzoo study sweep --help
  cortexzoo study sweep --recipe=mnist/saturating_sigmoid_mlp --values=0,0.1,1

`cortexzoo study NAME --help` explains a study by examples.
"""

import importlib
import sys
from collections.abc import Sequence

from cortexzoo.console import choose, discover, run

_PACKAGE = "cortexzoo.training.studies"


def main(arguments: Sequence[str]) -> None:
    """Runs the study that the first argument after the program's name calls: a package here that has a `__main__`."""
    name, rest = choose("cortexzoo study", discover(_PACKAGE), arguments[1:], __doc__)
    run(importlib.import_module(f"{_PACKAGE}.{name}.__main__").main, f"cortexzoo study {name}", rest)


if __name__ == "__main__":
    main(sys.argv)
