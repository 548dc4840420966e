"""The progress bar of a terminal or a notebook."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_COLUMNS = (
    TextColumn("{task.description:50}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("left"),
    TimeRemainingColumn(),
)


@contextlib.contextmanager
def progress_bar(name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Shows a bar on stderr while the context is open; what it yields takes how many are done more, and of what.

    Args:
        name: of the model.
        total: how many images times attacks there are to do; without any no bar is shown.
    """
    # Programs read what is printed.
    with Progress(*_COLUMNS, console=Console(stderr=True), disable=total == 0) as progress:
        task = progress.add_task(name, total=total)
        yield lambda count, label: progress.update(task, advance=count, description=f"{name}: {label}")
