"""Our numbers beside those of a paper."""

from evaluation import paper42_published as published
from evaluation.report.layout import MISSING, Table, tables
from evaluation.summary import Summary

# Our battery is stronger where it finds this many per cent of accuracy less than the paper.
_STRONGER = 5.0


def comparison_table(summaries: list[Summary]) -> str:
    """Returns a Markdown table: accuracy here, the paper's, and the difference, for each row that the paper has.

    Args:
        summaries: models of MNIST under a suite of the battery.
    """
    (table,) = tables(summaries)
    chosen = [i for i, summary in enumerate(summaries) if summary.name.removeprefix("mnist/") in published.MODELS]
    lines = ["| attack | " + " | ".join(table.columns[i] for i in chosen) + " |", "| :-- |" + " --: |" * len(chosen)]
    for row in table.rows:
        if row.kind == "group" or row.label not in published.ACCURACY:
            continue
        cells = [_cell(table, row.label, i, row.cells[i].value) for i in chosen]
        strong = "**" if row.kind == "union" else ""
        lines.append(f"| {strong}{row.label}{strong} | " + " | ".join(cells) + " |")
    caption = (
        "Accuracy in per cent here / in the paper (difference). ↓: at least "
        f"{_STRONGER:g} points lower here, the battery or its settings are stronger; ↑: as much higher here."
    )
    return "\n".join([*lines, "", caption]) + "\n"


def _cell(table: Table, label: str, column: int, value: str) -> str:
    theirs = published.accuracy(table.summaries[column].name, label)
    ours = value.split(" ")[0]
    if theirs is None or ours == MISSING:
        return f"{value} / {MISSING}"
    difference = float(ours) - theirs
    sign = " ↓" if difference <= -_STRONGER else " ↑" if difference >= _STRONGER else ""
    return f"{value} / {theirs:g} ({difference:+.0f}){sign}"
