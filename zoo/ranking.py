"""The most robust models as a Markdown table, each number the worst case over everything that was run."""

from typing import Any

from cortexzoo.card import ModelCard
from cortexzoo.files import markdown_row
from cortexzoo.norms import NORM_NAMES


def ranking(cards: list[ModelCard]) -> str:
    """Returns a table with a row for each model, in the order given.

    Raises:
        ValueError: there is no model.
    """
    if not cards:
        raise ValueError("Expected at least one model. Received: none.")
    lines = [markdown_row(["model", "clean", *(_title(cards, norm) for norm in NORM_NAMES), "minimal"])]
    lines.append(markdown_row([":--", *["--:"] * (2 + len(NORM_NAMES))]))
    for card in cards:
        results = [card.clean or None, *(card.worst_case(norm) for norm in NORM_NAMES)]
        lines.append(markdown_row([card.id, *map(_cell, results), _minimal(card)]))
    return "\n".join([*lines, "", _caption(cards)])


def _title(cards: list[ModelCard], norm: str) -> str:
    sizes = sorted({worst["epsilon"] for card in cards if (worst := card.worst_case(norm))})
    return f"{NORM_NAMES[norm]} {' or '.join(f'{size:.4g}' for size in sizes)}".strip()


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "—"
    low, high = result["interval"]
    small = [f"{100 * low:.1f}-{100 * high:.1f}", *filter(None, [result.get("decided_by")])]
    return f"{100 * result['accuracy']:.1f}<br><sub>{'<br>'.join(small)}</sub>"


def _minimal(card: ModelCard) -> str:
    return "—" if card.minimal_accuracy is None else f"{100 * card.minimal_accuracy:.1f}"


def _caption(cards: list[ModelCard]) -> str:
    attacked = [result for card in cards for norm in NORM_NAMES if (result := card.worst_case(norm))]
    clean = _counts([card.clean for card in cards if card.clean])
    robust = _counts(attacked)
    return (
        f"Accuracy in per cent with its 95 % Wilson interval: clean ({clean} images), and in each norm in the worst case "
        f"over the attacks of the suite `strong` and everything else that was run ({robust} images). Below it stands the "
        "attack that decides: the last one that broke an image. A dash: not attacked. All are upper bounds on robustness; a "
        "model's card has the votes of all attacks."
    )


def _counts(results: list[dict[str, Any]]) -> str:
    counts = sorted({result["samples"] for result in results}) or [0]
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
