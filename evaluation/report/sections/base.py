"""A section of a page: its name, the kind of summaries it shows, and how it is made."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Section:
    """A generated part of a Markdown page, between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    A file in this folder adds a section by defining `SECTION`. On a page about several suites, the suite's name follows the
    section's, as in `results paper42`.

    Attributes:
        name: the NAME in the markers.
        of: the kind of summaries it shows: `Summary` for attacks or `ShiftSummary` for shifts.
        make: takes the summaries, the page and the folder for figures; returns the Markdown.
    """

    name: str
    of: type
    make: Callable[[list[Any], Path, Path], str]
