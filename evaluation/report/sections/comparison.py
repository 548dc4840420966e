"""Our numbers beside those of a paper."""

from cortexzoo.evaluation.report.layout import MISSING, Cell, Table, tables
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites import paper42_published as published

# A difference from the paper of at least this many points is marked.
_MARKED = 5.0


def comparison_table(summaries: list[Summary]) -> str:
    """Returns a Markdown table of our accuracy, the paper's and the difference, for each row that the paper has.

    Args:
        summaries: models under one of the paper42 suites, in any order.

    Raises:
        ValueError: none of the models is in the paper.
    """
    known = [
        summary
        for summary in summaries
        if summary.dataset.name == "mnist" and summary.name.removeprefix("mnist/") in published.MODELS
    ]
    if not known:
        received = ", ".join(summary.name for summary in summaries) or "none"
        raise ValueError(f"Expected at least one model of the paper: {', '.join(published.MODELS)}. Received: {received}.")
    known.sort(key=lambda summary: published.MODELS.index(summary.name.removeprefix("mnist/")))
    (table,) = tables(known)
    lines = ["| attack | " + " | ".join(table.columns) + " |", "| :-- |" + " --: |" * len(known)]
    for row in table.rows:
        if row.kind != "group" and row.label in published.ACCURACY:
            cells = [_cell(table, row.label, i, cell) for i, cell in enumerate(row.cells)]
            strong = "**" if row.kind == "union" else ""
            lines.append(f"| {strong}{row.label}{strong} | " + " | ".join(cells) + " |")
    caption = (
        "Accuracy in per cent. For unions, the median distance comes first. Numbers of images and intervals are in the "
        "table of all numbers. Small print: the paper's figure, and in brackets the difference, ours minus the paper's. "
        f"↓: at least {_MARKED:g} points below, because our attacks are stronger or the model is weaker; "
        f"↑: at least {_MARKED:g} points above."
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
    sign = " ↓" if difference <= -_MARKED else " ↑" if difference >= _MARKED else ""
    return f"{ours}<br><sub>{f'{median:g} / ' if median is not None else ''}{theirs:g} ({difference:+.0f}){sign}</sub>"


SECTION = Section("comparison", Summary, lambda summaries, page, figures: comparison_table(summaries))
