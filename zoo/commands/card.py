"""Prints the cards of models: what they are, how they were trained and what they scored.

  cortexzoo card mnist/dim                    as Markdown
  cortexzoo card mnist/dim --format=json      all fields; an array of several
  cortexzoo card runs/catalogue/mnist/mine    one that you trained

`cortexzoo list` shows the ids.
"""

import dataclasses
import json
import sys

from absl import app, flags

from cortexzoo import catalog
from cortexzoo.console import run

_MODELS = flags.DEFINE_multi_string("model", [], "Id or folder of a model: another way to name it.")
_FORMAT = flags.DEFINE_enum("format", "markdown", ("markdown", "json"), "What is printed.")
_CATALOGUE = flags.DEFINE_string("catalogue", None, f"Folder of models; by default ${catalog.VARIABLE} or those shipped.")


def main(arguments: list[str]) -> None:
    """Prints the cards of the models that the arguments name."""
    names = [*arguments[1:], *_MODELS.value]
    if not names:
        raise app.UsageError("Expected a model, as in `cortexzoo card mnist/dim`. Received: none.")
    try:
        if _FORMAT.value == "json":
            values = [dataclasses.asdict(catalog.model_card(name, _CATALOGUE.value)) for name in names]
            print(json.dumps(values if len(values) > 1 else values[0], indent=2, ensure_ascii=False))
        else:
            print("\n".join(catalog.card_page(name, _CATALOGUE.value) for name in names))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(main, "cortexzoo card")
