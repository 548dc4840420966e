"""Lists the pretrained models with their accuracies.

  cortexzoo list                                all of them, by id
  cortexzoo list --data=mnist --sort_by=robust_accuracy
                                                one data set, most robust first
  cortexzoo list --format=csv > models.csv      for other programs; also json
  cortexzoo list --data=mnist --sort_by=robust_accuracy --top=10 \\
      --page=README.md                          section `ranking` of a page, or
                                                `ranking mnist` if it has that
  cortexzoo list --catalogue=runs/catalogue     models that you trained

Accuracies are on test images: clean ones, and for each norm the worst case over
the suite `strong` and everything else that was run.
A dash means that `strong` was not run: a weaker suite's number is no verdict.
`cortexzoo card ID` shows thresholds, intervals and numbers of images.
"""

import json
import sys
from pathlib import Path

from absl import app, flags
from rich import box
from rich.table import Table
from rich.text import Text

from cortexzoo import catalog
from cortexzoo.card import ModelCard
from cortexzoo.card_page import percent
from cortexzoo.console import print_table, run
from cortexzoo.files import csv_text
from cortexzoo.norms import NORM_NAMES
from cortexzoo.ranking import ranking
from cortexzoo.sections import replace_section

_CAPTION = (
    "Accuracy in %: clean, and in each norm in the worst case over all attacks run.\n"
    "`cortexzoo card ID` shows thresholds, intervals, and which attack decides."
)
_DATA = flags.DEFINE_string("data", None, "List only the models of this data set.")
_SORT_BY = flags.DEFINE_enum(
    "sort_by",
    "id",
    catalog.ORDERS,
    "Order: highest accuracy first (robust: in L-infinity; minimal: least of four norms), or fewest parameters first.",
)
_TOP = flags.DEFINE_integer("top", None, "Only the first N.", lower_bound=1)
_PAGE = flags.DEFINE_string("page", None, "Markdown file whose section `ranking DATA`, or else `ranking`, is made anew.")
_FORMAT = flags.DEFINE_enum("format", "table", ("table", "json", "csv"), "What is printed.")
_CATALOGUE = flags.DEFINE_string("catalogue", None, f"Folder of models; by default ${catalog.VARIABLE} or those shipped.")


def main(arguments: list[str]) -> None:
    """Prints the models that the flags name."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --data=mnist. Received: {' '.join(arguments[1:])}.")
    cards, problems = catalog.read_cards(_CATALOGUE.value)
    for problem in problems:
        print(f"Left out: {problem}", file=sys.stderr)
    if not cards:
        sys.exit(f"Expected models in {catalog.root(_CATALOGUE.value)}. Received: none that can be read.")
    try:
        cards = catalog.select(cards, dataset=_DATA.value, sort_by=_SORT_BY.value)[: _TOP.value]
        if _PAGE.value:
            replace_section(Path(_PAGE.value), _section(Path(_PAGE.value)), ranking(cards))
            return
    except ValueError as error:
        sys.exit(str(error))
    {"table": _print_table, "json": _print_json, "csv": _print_csv}[_FORMAT.value](cards)


def _section(page: Path) -> str:
    """A page about several data sets has a section for each."""
    own = f"ranking {_DATA.value}"
    return own if page.is_file() and f"<!-- {own}:begin -->" in page.read_text(encoding="utf-8") else "ranking"


def _print_table(cards: list[ModelCard]) -> None:
    print_table(_table(cards, with_paper=True), narrow=_table(cards, with_paper=False))
    print(f"\n{_CAPTION}")


def _table(cards: list[ModelCard], *, with_paper: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for header in ("id", "clean", *NORM_NAMES.values(), "parameters", *(["paper"] if with_paper else [])):
        table.add_column(header, no_wrap=True, justify="left" if header in ("id", "paper") else "right")
    for card in cards:
        # In 80 columns there is no room for the least of the four norms.
        shown = (value for name, value in _accuracies(card).items() if name != "minimal")
        accuracies = (percent(value).removesuffix(" %") for value in shown)
        cells = [card.id, *accuracies, f"{card.parameters:,}", *([_paper(card)] if with_paper else [])]
        # `Text`, as a name may have brackets, which rich would take for its markup.
        table.add_row(*(Text(_printable(cell)) for cell in cells))
    return table


def _accuracies(card: ModelCard) -> dict[str, float | None]:
    robust = {norm: card.robust_accuracy(norm) for norm in NORM_NAMES}
    return {"clean": card.clean_accuracy, **robust, "minimal": card.minimal_accuracy}


def _paper(card: ModelCard) -> str:
    return f"{card.paper['authors'].split(',')[0]} {card.paper['year']}"


def _printable(text: str) -> str:
    """A card is not to send control sequences to the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _print_json(cards: list[ModelCard]) -> None:
    print(json.dumps([_values(card) for card in cards], indent=2))


def _print_csv(cards: list[ModelCard]) -> None:
    fields = ["id", "data", "clean", *NORM_NAMES, "minimal", "parameters", "paper"]
    print(csv_text(fields, [_values(card) for card in cards]), end="")


def _values(card: ModelCard) -> dict[str, object]:
    names = {"id": card.id, "data": card.dataset}
    return {**names, **_accuracies(card), "parameters": card.parameters, "paper": _paper(card)}


if __name__ == "__main__":
    run(main, "cortexzoo list")
