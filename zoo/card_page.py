"""A model's README, made from its card."""

from pathlib import Path
from typing import Any

import jinja2

from cortexzoo.card import ModelCard
from cortexzoo.norms import NORM_NAMES

_TEMPLATE = Path(__file__).parent / "card_page.md.jinja"


def percent(value: float | None) -> str:
    """Formats a share in [0, 1] as per cent with one decimal; an em dash for None."""
    return "—" if value is None else f"{100 * value:.1f} %"


def level_name(level: float) -> str:
    """Formats the level of a shift: with four digits, or as x/255 where those would round quarters of a gray value."""
    short, quarters = f"{level:.4g}", 4 * 255 * level
    if float(short) != level and abs(quarters - round(quarters)) < 1e-6:
        return f"{round(quarters) / 4:g}/255"
    return short


def render_card(card: ModelCard, address: str | None = None) -> str:
    """Returns the card as Markdown.

    Args:
        card: the card.
        address: what its commands call the model; defaults to the id.

    Raises:
        ValueError: the page needs something that the card does not have.
    """
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = percent
    environment.filters["interval"] = lambda bounds: f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"
    environment.filters["distance"] = lambda value: "∞" if value is None else f"{value:.3g}"
    environment.filters["curve"] = _curve
    environment.filters["level"] = level_name
    environment.filters["votes"] = lambda votes: ", ".join(f"{name} {count:,}" for name, count in votes.items()) or "—"
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    try:
        return template.render(card=card, address=address or card.id, norms=NORM_NAMES)
    except (jinja2.UndefinedError, TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"Expected a complete card of {card.id} for its page. Received one with this fault: {error}"
        ) from error


def _curve(shift: dict[str, Any]) -> str:
    levels = zip(shift["levels"], shift["accuracies"], strict=True)
    return ", ".join(f"{level_name(level)}: {100 * accuracy:.1f}" for level, accuracy in levels)
