"""Analyses: figures and tables that show how models work.

Examples:
  cortexzoo analyze histograms --model=mnist/cnn --model=mnist/dim
  cortexzoo analyze spectra --model=my_model/1 --data=mnist --output=figures

`cortexzoo analyze NAME --help` explains an analysis, with examples.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from cortexzoo.console import choose, discover, run
from cortexzoo.files import check_writable
from cortexzoo.startup import configure_tensorflow

_PACKAGE = "cortexzoo.evaluation.analysis"
_MODEL = flags.DEFINE_multi_string("model", [], "Id in the catalogue, or path of a SavedModel or a Keras file.")
_DATA = flags.DEFINE_string(
    "data",
    None,
    "Data set, name in TFDS, .npz file or folder of images; defaults to the models' own data set.",
)
_SAMPLES = flags.DEFINE_integer("samples", 2000, "The first N test images.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", None, "Seed; defaults to 0.", lower_bound=0, upper_bound=2**31 - 1)
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose sections of the analysis are written anew.")
_OUTPUT = flags.DEFINE_string("output", "runs/analysis", "Folder for figures and tables.")


def main(arguments: Sequence[str]) -> None:
    """Runs the analysis that the first argument names."""
    docs = discover(_PACKAGE)
    name, rest = choose("cortexzoo analyze", docs, arguments[1:], __doc__)

    def analyse(remaining: list[str]) -> None:
        if len(remaining) > 1:
            raise app.UsageError(f"Expected flags only, as in --model=mnist/dim. Received: {' '.join(remaining[1:])}.")
        calls = _calls(_parameters(name))
        configure_tensorflow()
        # TensorFlow Datasets logs every file that it opens.
        logging.set_verbosity(logging.WARNING)
        _analyse(name, calls, Path(_OUTPUT.value))

    run(analyse, f"cortexzoo analyze {name}", rest, docs[name])


def _parameters(name: str) -> list[str]:
    """Reads the parameters of an analysis from its source: an import takes seconds, and refusing a flag should not."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    (arguments,) = (function.args for function in functions if function.name == "analyse")
    return [argument.arg for argument in [*arguments.args, *arguments.kwonlyargs]]


def _calls(parameters: list[str]) -> list[dict[str, Any]]:
    """Returns the arguments of each call, after checking that the analysis takes the given flags."""
    needs_model = "model" in parameters or "models" in parameters
    given = {"data": _DATA.value, "seed": _SEED.value, "page": _PAGE.value}
    given = {name: value for name, value in given.items() if value is not None}
    unused = [name for name in given if name not in parameters] + (["model"] if _MODEL.value and not needs_model else [])
    if unused:
        raise app.UsageError(f"This analysis does not take {', '.join(f'--{name}' for name in unused)}.")
    if not needs_model:
        return [given]
    if not _MODEL.value:
        raise app.UsageError("Expected --model=ID or --model=PATH. Received: neither. `cortexzoo list` shows the ids.")
    return [{"models": _MODEL.value, **given}] if "models" in parameters else [{"model": m, **given} for m in _MODEL.value]


def _analyse(name: str, calls: list[dict[str, Any]], output: Path) -> None:
    from cortexzoo.catalog import IntegrityError

    try:
        check_writable(output)
        function = importlib.import_module(f"{_PACKAGE}.{name}").analyse
        for options in calls:
            for path in function(samples=_SAMPLES.value, directory=output, **options):
                print(path)
    except (ValueError, IntegrityError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv)
