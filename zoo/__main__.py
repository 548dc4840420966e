"""cortexzoo: brain-inspired image classifiers, and how robust they are.

Examples:
  cortexzoo list --data=mnist --sort_by=robust_accuracy
  cortexzoo card mnist/dim
  cortexzoo evaluate --model=mnist/dim --suite=quick
  cortexzoo train --recipe=mnist/cnn --set=epochs=5

`cortexzoo COMMAND --help` explains a command by examples.
`python -m cortexzoo` is the same program; `--version` prints its version.
"""

import dataclasses
import importlib
import sys
from collections.abc import Sequence

from cortexzoo import __version__
from cortexzoo.console import choose, run


@dataclasses.dataclass(frozen=True)
class Command:
    """One command. Its module is imported only when it is called: flags of two commands never meet, and help is fast.

    Attributes:
        module: where its `main` is.
        summary: one line for the list of commands.
        is_group: whether `main` chooses among commands of its own, which parse their flags.
    """

    module: str
    summary: str
    is_group: bool = False


COMMANDS = {
    "list": Command("cortexzoo.commands.list_models", "the pretrained models and their accuracies"),
    "card": Command("cortexzoo.commands.card", "all that is known about a model, as Markdown or JSON"),
    "verify": Command("cortexzoo.commands.verify", "check the files of pretrained models against their SHA-256"),
    "evaluate": Command("cortexzoo.evaluation.__main__", "attack models, and measure how robust they are"),
    "suites": Command("cortexzoo.evaluation.list_suites", "the suites of attacks and image shifts"),
    "train": Command("cortexzoo.training.__main__", "train a model by a recipe, and publish it"),
    "analyze": Command("cortexzoo.evaluation.analysis.__main__", "look into models: figures and tables", is_group=True),
    "study": Command("cortexzoo.training.studies.__main__", "train series of models and compare them", is_group=True),
    "serve-check": Command("cortexzoo.commands.serve_check", "check that TensorFlow Serving can serve a model"),
}


def main(arguments: Sequence[str]) -> None:
    """Runs the command that the first argument after the program's name calls."""
    if list(arguments[1:]) == ["--version"]:
        print(__version__)
        return
    summaries = {name: command.summary for name, command in COMMANDS.items()}
    name, rest = choose("cortexzoo", summaries, arguments[1:], __doc__)
    command, program = COMMANDS[name], f"cortexzoo {name}"
    module = importlib.import_module(command.module)
    if command.is_group:
        module.main([program, *rest])
    else:
        run(module.main, program, rest)


if __name__ == "__main__":
    main(sys.argv)
