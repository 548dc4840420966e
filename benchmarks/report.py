"""Publishes a benchmark's table on the terminal and in a section of a Markdown page."""

import importlib.metadata
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cortexzoo.sections import replace_section


def publish(name: str, header: list[str], rows: list[list[str]], remark: str, page: str | None) -> None:
    """Prints the table and, if a page is given, replaces that page's section `name`.

    Args:
        name: title and name of the section.
        header: column titles.
        rows: cells.
        remark: what was measured, and how often.
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
