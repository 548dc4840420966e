"""Sections of Markdown pages that commands write, so that nobody types a number."""

from pathlib import Path

from cortexzoo.files import write_text


def replace_section(page: Path, name: str, section: str | None) -> None:
    """Replaces the text between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a Markdown page.

    Args:
        page: the file.
        name: the section's name.
        section: its new text; None only checks the page and its markers.

    Raises:
        ValueError: the page cannot be read, or the markers are not there once each, in this order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        lines = page.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Expected a Markdown page with a section {name} at {page}. Received: {error}") from error
    if lines.count(begin) != 1 or lines.count(end) != 1 or lines.index(begin) > lines.index(end):
        raise ValueError(
            f"Expected the lines {begin} and {end} in {page}, once each and in this order. "
            f"Received: {lines.count(begin)} and {lines.count(end)} of them. Add them where the section is to stand."
        )
    if section is not None:
        kept = [*lines[: lines.index(begin) + 1], *section.splitlines(), *lines[lines.index(end) :]]
        write_text(page, "\n".join(kept))
