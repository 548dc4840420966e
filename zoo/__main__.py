"""The catalogue on the command line.

  zoo list                        every pretrained model with its accuracies
  zoo list --dataset=mnist        those of one data set
  zoo card mnist/dim              one model's card, as Markdown
  zoo verify                      check the SHA-256 of every file of every model
  zoo verify mnist/dim            ... of one model

`python -m cortexzoo` does the same. To train a model see `zoo-train --help`, to attack one `zoo-evaluate --help`.
"""

import sys

from absl import app, flags
from cortexzoo import catalog
from cortexzoo.card_page import percent, render_card
from cortexzoo.norms import NORM_NAMES
from rich import box
from rich.console import Console
from rich.table import Table

_CAPTION = (
    "Accuracy in %: on clean test images, and in the worst case over the attacks of the suite `cleverhans` in each norm. "
    "`zoo card ID` has the thresholds, the intervals and how many images were attacked."
)
_DATASET = flags.DEFINE_string("dataset", None, "List only the models of this data set.")


def main(arguments: list[str]) -> None:
    """Runs one command of the catalogue."""
    commands = {"list": _list, "card": _card, "verify": _verify}
    if len(arguments) < 2 or arguments[1] not in commands:
        received = " ".join(arguments[1:]) or "nothing"
        raise app.UsageError(f"Expected one of the commands {', '.join(commands)}. Received: {received}.")
    try:
        commands[arguments[1]](arguments[2:])
    except (ValueError, catalog.IntegrityError) as error:
        sys.exit(str(error))


def _list(_: list[str]) -> None:
    table = Table(box=box.SIMPLE_HEAD, caption=_CAPTION, caption_justify="left")
    for header in ("id", "clean", *NORM_NAMES.values(), "parameters", "paper"):
        # A narrow terminal would cut the numbers short, and an id that is cut is of no use.
        table.add_column(header, no_wrap=header != "paper", justify="left" if header in ("id", "paper") else "right")
    for card in catalog.list_models(dataset=_DATASET.value):
        robust = (_number(card.robust_accuracy(norm)) for norm in NORM_NAMES)
        paper = f"{card.paper['authors'].split(',')[0]} {card.paper['year']}"
        table.add_row(card.id, _number(card.clean_accuracy), *robust, f"{card.parameters:,}", paper)
    Console().print(table)


def _number(share: float | None) -> str:
    return percent(share).removesuffix(" %")


def _card(model_ids: list[str]) -> None:
    if not model_ids:
        raise app.UsageError("Expected a model, as in `zoo card mnist/dim`. Received: none.")
    for model_id in model_ids:
        print(render_card(catalog.model_card(model_id)))


def _verify(model_ids: list[str]) -> None:
    broken = []
    for model_id in model_ids or [card.id for card in catalog.list_models()]:
        try:
            print(f"{model_id}: {len(catalog.verify(model_id).files)} files as on the card")
        except catalog.IntegrityError as error:
            broken.append(str(error))
    if broken:
        sys.exit("\n\n".join(broken))


if __name__ == "__main__":
    app.run(main)
