"""The progress bar in a terminal or notebook."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

_ROOM_FOR_A_BAR = 80


def _columns(width: int) -> list[ProgressColumn]:
    """The numbers take the width that they need, and the name the rest; a narrow terminal has no bar."""
    name = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    numbers = [MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
    return [name, *([BarColumn(bar_width=20)] if width >= _ROOM_FOR_A_BAR else []), *numbers]


@contextlib.contextmanager
def progress_bar(name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Shows a bar on stderr while the context is open; yields a function that takes the number of items done and a label.

    Args:
        name: the model's name.
        total: the number of items, images times attacks; with 0 no bar is shown.
    """
    # On stderr, because programs read stdout.
    console = Console(stderr=True)
    with Progress(*_columns(console.width), console=console, expand=True, disable=total == 0) as progress:
        task = progress.add_task(name, total=total)
        yield lambda count, label: progress.update(task, advance=count, description=f"{name}: {label}")
