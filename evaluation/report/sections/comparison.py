"""Our numbers beside those of a paper."""

from cortexzoo.evaluation.report.layout import MISSING, Cell, Table, tables
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites import paper42_published as published

# Our battery is stronger where it leaves this many per cent of accuracy less than the paper's.
_STRONGER = 5.0


def comparison_table(summaries: list[Summary]) -> str:
    """Returns a Markdown table: accuracy here, the paper's, and the difference, for each row that the paper has.

    Args:
        summaries: models, in any order, under a suite of the battery.

    Raises:
        ValueError: the paper has none of the models.
    """
    known = [
        summary
        for summary in summaries
        if summary.dataset.name == "mnist" and summary.name.removeprefix("mnist/") in published.MODELS
    ]
    if not known:
        received = ", ".join(summary.name for summary in summaries) or "none"
        raise ValueError(f"Expected some of the paper's models, {', '.join(published.MODELS)}. Received: {received}.")
    known.sort(key=lambda summary: published.MODELS.index(summary.name.removeprefix("mnist/")))
    (table,) = tables(known)
    lines = ["| attack | " + " | ".join(table.columns) + " |", "| :-- |" + " --: |" * len(known)]
    for row in table.rows:
        if row.kind != "group" and row.label in published.ACCURACY:
            cells = [_cell(table, row.label, i, cell) for i, cell in enumerate(row.cells)]
            strong = "**" if row.kind == "union" else ""
            lines.append(f"| {strong}{row.label}{strong} | " + " | ".join(cells) + " |")
    caption = (
        "Accuracy in per cent, of unions after their median distance; N and intervals are in the table of all numbers. "
        f"Small: the paper's figure, and in brackets how much ours is above it. ↓ marks {_STRONGER:g} "
        "points or more below, where the battery is stronger here or the model weaker; ↑ as much above."
    )
    return "\n".join([*lines, "", caption]) + "\n"


def _cell(table: Table, label: str, column: int, cell: Cell) -> str:
    name = table.summaries[column].name
    theirs, median = published.accuracy(name, label), published.median(name, label)
    is_union = label.startswith("all ")
    ours = cell.text if is_union else cell.value
    if theirs is None or cell.value == MISSING:
        return ours
    difference = float(cell.value.split(" ")[0]) - theirs
    sign = " ↓" if difference <= -_STRONGER else " ↑" if difference >= _STRONGER else ""
    return f"{ours}<br><sub>{f'{median:g} / ' if median is not None else ''}{theirs:g} ({difference:+.0f}){sign}</sub>"


SECTION = Section("comparison", Summary, lambda summaries, page, figures: comparison_table(summaries))
