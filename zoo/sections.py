"""Sections of Markdown pages that programs write: tables and figures that nobody types."""

from pathlib import Path

from cortexzoo.files import write_text


def replace_section(page: Path, name: str, section: str | None) -> None:
    """Replaces what stands between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a Markdown page.

    Args:
        page: the file.
        name: the section's name.
        section: its new text; None only checks the markers.

    Raises:
        ValueError: the markers are not there once each, in this order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    lines = page.read_text(encoding="utf-8").split("\n")
    if lines.count(begin) != 1 or lines.count(end) != 1 or lines.index(begin) > lines.index(end):
        raise ValueError(
            f"Expected the lines {begin} and {end} in {page}, once each and in this order. "
            f"Received: {lines.count(begin)} and {lines.count(end)} of them. Add them where the {name} shall stand."
        )
    if section is not None:
        kept = [*lines[: lines.index(begin) + 1], *section.splitlines(), *lines[lines.index(end) :]]
        write_text(page, "\n".join(kept))
