"""Updates the generated sections of a Markdown page."""

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Any

from cortexzoo.evaluation.report import sections
from cortexzoo.evaluation.report.layout import by_dataset
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.sections import replace_section


@functools.cache
def known_sections() -> tuple[Section, ...]:
    """Returns the sections defined in `report/sections`."""
    names = [module.name for module in pkgutil.iter_modules(sections.__path__)]
    modules = [importlib.import_module(f"{sections.__name__}.{name}") for name in names]
    return tuple(module.SECTION for module in modules if hasattr(module, "SECTION"))


def check_page(page: Path, kind: type, suite: str) -> dict[str, Section]:
    """Returns the sections of a page that summaries of this kind and suite can update, by the name in their markers.

    Raises:
        ValueError: the page has no such section, or a marker lacks its counterpart.
    """
    lines = _lines(page)
    own = [section for section in known_sections() if section.of is kind]
    names = {name: section for section in own for name in (section.name, f"{section.name} {suite}")}
    found = {name: section for name, section in names.items() if _is_marked(lines, name)}
    if not found:
        raise ValueError(
            f"Expected the lines <!-- NAME:begin --> and <!-- NAME:end --> in {page}, where NAME is one of "
            f"{', '.join(names)}. Received: none of them. Add a pair where a section should stand."
        )
    for name in found:
        replace_section(page, name, None)
    return found


def _lines(page: Path) -> list[str]:
    try:
        return page.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Expected a Markdown page at {page}. Received: {error}") from error


def _is_marked(lines: list[str], name: str) -> bool:
    return any(f"<!-- {name}:{edge} -->" in lines for edge in ("begin", "end"))


def update_page(summaries: list[Any], page: Path, figures: Path) -> None:
    """Updates the sections of a page that these summaries can fill; see `Section`.

    Args:
        summaries: the models, all under one suite and seed.
        page: a Markdown file.
        figures: the folder for the figures (PNG); links to them are relative to the page.

    Raises:
        ValueError: there is no such section or no model, or the summaries are from different suites or seeds.
    """
    if not summaries:
        raise ValueError("Expected the results of at least one model. Received: none.")
    by_dataset(summaries)
    # All markers are checked before any figure is written.
    found = check_page(page, type(summaries[0]), summaries[0].suite)
    made = {section.name: section.make(summaries, page, figures) for section in found.values()}
    for name, section in found.items():
        replace_section(page, name, made[section.name])
