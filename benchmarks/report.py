"""One table of a benchmark: on the terminal, and in a section of a Markdown page."""

import importlib.metadata
import os
import platform
from pathlib import Path

from cortexzoo.sections import replace_section
from rich.console import Console
from rich.table import Table


def publish(name: str, header: list[str], rows: list[list[str]], remark: str, page: str | None) -> None:
    """Prints the table and, where a page is named, replaces its section `name` by it.

    Args:
        name: title, and the section's name.
        header: column titles.
        rows: cells.
        remark: one sentence on what was measured and how often.
        page: path of a Markdown page, or None.
    """
    version = importlib.metadata.version("tensorflow")
    remark = f"{remark} {os.cpu_count()} CPU cores ({platform.machine()}), TensorFlow {version}."
    table = Table(*header, title=name, caption=remark)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)
    if page:
        lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
        replace_section(Path(page), name, "\n".join([*lines, "", remark]) + "\n")
