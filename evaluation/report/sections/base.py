"""What a section of a page is: its name, which summaries it is made of, and how."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Section:
    """A generated part of a Markdown page, between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    A file of this folder that has a `SECTION` adds it. On a page about several suites the name is followed by the suite's,
    as in `results paper42`.

    Attributes:
        name: see above.
        of: the kind of summaries that it is made of, `Summary` of attacks or `ShiftSummary`.
        make: takes the summaries, the page and the folder for figures, and returns the Markdown.
    """

    name: str
    of: type
    make: Callable[[list[Any], Path, Path], str]
