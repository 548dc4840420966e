"""The section of a page with a table and a figure for each grid."""

import os
from pathlib import Path

from cortexzoo.files import markdown_row
from cortexzoo.sections import replace_section
from cortexzoo.training.studies.similarity_settings.figures import write_grid_figures
from cortexzoo.training.studies.similarity_settings.grids import GRIDS
from cortexzoo.training.studies.similarity_settings.table import MEASURED, SETTINGS, Row

SECTION = "similarity grids"
_NOTE = (
    "Accuracy on validation images in per cent, clean and under Gaussian noise. none: the plain network; "
    "train_images 0 means all; changes are relative to the recipes' settings."
)
_DESCRIBING = ("dataset", *SETTINGS, "epochs", "train_images", "seed", "changes")


def update_page(rows: list[Row], page: Path, figures: Path) -> None:
    """Writes the figures, and the section of a Markdown page anew.

    Args:
        rows: those of the table.
        page: the Markdown file.
        figures: folder for the figures (PNG).

    Raises:
        ValueError: the page has no such section.
    """
    links = [
        f"![Grid {path.stem[5:]}]({os.path.relpath(path, page.parent)})"
        for path in write_grid_figures(rows, MEASURED, figures)
    ]
    replace_section(page, SECTION, "\n\n".join([grid_section(rows), *links]) + "\n")


def grid_section(rows: list[Row]) -> str:
    """Returns a Markdown table for each grid: the settings that vary in it, and the validation accuracies in per cent."""
    grids = [[row for row in rows if row["grid"] == grid] for grid in GRIDS]
    return "\n\n".join([*(part for found in grids if found for part in _grid(found)), _NOTE])


def _grid(rows: list[Row]) -> list[str]:
    # The plain network has none of the settings.
    varying = [name for name in _DESCRIBING if len({row[name] for row in rows} - {""}) > 1]
    same = [f"{name} {rows[-1][name]}" for name in _DESCRIBING if name not in varying and rows[-1][name]]
    head = [*varying, *MEASURED.values()]
    lines = [head, ["--:"] * len(head), *(_line(row, varying) for row in rows)]
    return [f"Grid `{rows[0]['grid']}`: {', '.join(same)}.", "\n".join(map(markdown_row, lines))]


def _line(row: Row, varying: list[str]) -> list[str]:
    return [*(row[name] or "none" for name in varying), *(f"{100 * float(row[name]):.1f}" for name in MEASURED)]
