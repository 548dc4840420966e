"""Prints the cards of models: what they are, how they were trained and what they scored.

cortexzoo card mnist/dim                          as Markdown
cortexzoo card mnist/dim --format=json            all fields; several models give an array
cortexzoo card runs/catalogue/mnist/mine          a model that you trained, by its folder
"""

import dataclasses
import json
import sys

from absl import app, flags
from cortexzoo import catalog
from cortexzoo.card_page import render_card
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
        cards = [catalog.model_card(name, _CATALOGUE.value) for name in names]
        if _FORMAT.value == "json":
            values = [dataclasses.asdict(card) for card in cards]
            print(json.dumps(values if len(values) > 1 else values[0], indent=2, ensure_ascii=False))
        else:
            print("\n".join(render_card(card) for card in cards))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(main, "cortexzoo card")
