"""The results of attacks as tables for the terminal, Markdown, CSV and JSON."""

import json
import math
from collections.abc import Iterator
from typing import Any

import rich.box
import rich.table
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from cortexzoo.evaluation.diagnosis import from_store
from cortexzoo.evaluation.report.layout import FLAG, Cell, Row, Table, caption, id_ranges, masking_signs, tables
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.files import markdown_row

# Widths of a terminal's columns: labels, the column N, a number with its interval below it, and with it beside it.
_LABEL, _SAMPLES, _STACKED, _BESIDE = 14, 8, 14, 28


def terminal_table(summaries: list[Summary]) -> RenderableType:
    """Returns one table per data set and the masking signs, for `rich.console.Console.print`; fitted to the width.

    A single model's numbers stand side by side. Several models have a column each, in blocks of as many as fit.

    Raises:
        ValueError: the summaries are from different suites or seeds.
    """
    return _Terminal(tables(summaries), masking_signs(summaries))


class _Terminal:
    def __init__(self, laid_out: list[Table], signs: list[str]) -> None:
        self._tables, self._signs = laid_out, signs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for table in self._tables:
            first = table.summaries[0]
            yield Text(f"{first.dataset.name}, suite {first.suite}, seed {first.seed}", style="bold")
            yield Text()
            yield from [_one_model(table)] if len(table.summaries) == 1 else _blocks(table, options.max_width)
            yield Text()
            yield Text(caption(table), style="dim")
            yield Text()
        if self._signs:
            yield Text("Signs of gradient masking", style="bold")
            signs = rich.table.Table.grid(padding=(0, 1, 0, 0))
            for line in self._signs:
                signs.add_row("-", Text(line))
            yield signs


def _one_model(table: Table) -> rich.table.Table:
    grid = _grid(table.summaries[0].name)
    for name in ("median", "accuracy %", "95 % interval", "N", "time"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in table.rows:
        if _starts_section(row) and grid.row_count:
            grid.add_row()
        if row.kind == "group":
            grid.add_row(row.label, style="cyan")
            continue
        (cell,) = row.cells
        time = row.times[0] if row.times else ""
        grid.add_row(row.label, cell.median, cell.value, Text(cell.interval, "dim"), _samples(row), time, style=_style(row))
    return grid


def _blocks(table: Table, width: int) -> Iterator[rich.table.Table]:
    count = len(table.summaries)
    room = width - _LABEL - _SAMPLES
    beside = count * _BESIDE <= room
    columns = count if beside else max(1, room // _STACKED)
    # Blocks of equal size: 4 + 3 rather than 6 + 1.
    columns = math.ceil(count / math.ceil(count / columns))
    for first in range(0, count, columns):
        if first:
            yield Text()
        yield _block(table, slice(first, first + columns), "  " if beside else "\n")


def _block(table: Table, chosen: slice, between: str) -> rich.table.Table:
    grid = _grid("attack")
    for name in table.columns[chosen]:
        grid.add_column(name, justify="right", overflow="fold")
    grid.add_column("N", justify="right", no_wrap=True)
    for row in table.rows:
        if _starts_section(row) and grid.row_count:
            grid.add_row()
        if row.kind == "group":
            grid.add_row(row.label, style="cyan")
            continue
        cells = [_cell_text(cell, between) for cell in row.cells[chosen]]
        grid.add_row(row.label, *cells, _samples(row), style=_style(row))
    return grid


def _grid(corner: str) -> rich.table.Table:
    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column(corner, overflow="fold", header_style="bold")
    return grid


def _starts_section(row: Row) -> bool:
    return row.kind == "group" or row.label == "clean"


def _cell_text(cell: Cell, between: str) -> Text:
    text = Text(cell.text)
    if cell.interval:
        text.append(between).append(cell.interval, "dim")
    return text.append(f"\n{cell.note}", "yellow") if cell.note else text


def _samples(row: Row) -> Text:
    return Text(row.samples, "yellow" if FLAG in row.samples or row.samples == "varies" else "")


def _style(row: Row) -> str:
    return "bold" if row.kind == "union" else ""


def markdown_table(summaries: list[Summary]) -> str:
    """Returns one Markdown table per data set, with models as columns and a caption, followed by the masking signs.

    Raises:
        ValueError: the summaries are from different suites or seeds.
    """
    parts = []
    for table in tables(summaries):
        lines = [markdown_row(["attack", *map(_escape, table.columns), "N"])]
        lines += [markdown_row([":--", *["--:"] * (len(table.columns) + 1)])]
        lines += [markdown_row(_markdown_cells(row, len(table.columns))) for row in table.rows]
        parts += ["\n".join(lines), caption(table)]
    if signs := masking_signs(summaries):
        parts += ["Signs of gradient masking:", "\n".join(f"- {_escape(line)}" for line in signs)]
    return "\n\n".join(parts) + "\n"


def _markdown_cells(row: Row, columns: int) -> list[str]:
    if row.kind == "group":
        return [f"*{row.label}*", *[""] * (columns + 1)]
    strong = "**" if row.kind == "union" else ""
    cells = []
    for cell in row.cells:
        small = " ".join(part for part in (cell.interval, cell.note) if part)
        cells.append(f"{strong}{cell.text}{strong}" + (f"<br><sub>{small}</sub>" if small else ""))
    return [f"{strong}{_escape(row.label)}{strong}", *cells, row.samples]


def _escape(text: str) -> str:
    """Escapes a name so that it is not read as Markdown."""
    return "".join(f"\\{character}" if character in "\\|*_<>[]" else character for character in text)


def csv_rows(summaries: list[Summary]) -> list[dict[str, Any]]:
    """Returns the numbers as tidy rows: each model's clean accuracy, attacks and unions.

    Returns:
        Dicts with the keys `CSV_FIELDS`. `kind` is "clean", "attack" or "union"; `settings` is JSON; an infinite median is
        "inf". Norm, epsilon, median and seconds are empty for clean accuracy.
    """
    rows = []
    for summary in summaries:
        rows.append(_clean_csv_row(summary))
        rows += [_score_csv_row(summary, "attack", score) for score in summary.at_thresholds(summary.attacks)]
        rows += [_score_csv_row(summary, "union", score) for score in summary.at_thresholds(summary.unions)]
    return rows


def _identity(summary: Summary) -> dict[str, Any]:
    fields = {"model": summary.name, "digest": summary.digest, "dataset": summary.dataset.name}
    return {**fields, "suite": summary.suite, "seed": summary.seed}


def _clean_csv_row(summary: Summary) -> dict[str, Any]:
    low, high = metrics.wilson_interval(summary.correct, summary.clean_samples)
    empty = dict.fromkeys(("norm", "epsilon", "sample_ids", "median", "seconds", "endpoints", "settings"), "")
    numbers = {"samples": summary.clean_samples, "accuracy": summary.clean_accuracy, "low": low, "high": high}
    return _in_order({**_identity(summary), "kind": "clean", "label": "clean", **numbers, **empty})


def _score_csv_row(summary: Summary, kind: str, score: Score) -> dict[str, Any]:
    low, high = score.interval
    values = {
        "kind": kind,
        "label": score.label,
        "norm": score.norm,
        "epsilon": score.epsilon,
        "samples": score.samples,
        "sample_ids": id_ranges(score.ids),
        "accuracy": score.accuracy,
        "low": low,
        "high": high,
        "median": {math.inf: "inf"}.get(score.median, "" if math.isnan(score.median) else score.median),
        "seconds": round(score.seconds, 2),
        "endpoints": " ".join(score.endpoints),
        "settings": json.dumps(score.settings, sort_keys=True) if score.settings else "",
    }
    return _in_order({**_identity(summary), **values})


CSV_FIELDS = (
    *("model", "digest", "dataset", "suite", "seed", "kind", "label", "norm", "epsilon", "samples", "sample_ids"),
    *("accuracy", "low", "high", "median", "seconds", "endpoints", "settings"),
)


def _in_order(row: dict[str, Any]) -> dict[str, Any]:
    return {field: row[field] for field in CSV_FIELDS}


def json_document(summaries: list[Summary]) -> dict[str, Any]:
    """Returns all results as plain JSON values; infinite medians are None."""
    return {"schema_version": 1, "models": [_model_json(summary) for summary in summaries]}


def _model_json(summary: Summary) -> dict[str, Any]:
    robust = summary.robust_json()
    for values, score in zip(robust["attacks"], summary.at_thresholds(summary.attacks), strict=True):
        values["sample_ids"] = id_ranges(score.ids)
    for score in summary.unions:
        robust["unions"][score.norm]["sample_ids"] = id_ranges(score.ids)
    return {
        **_identity(summary),
        "clean": summary.clean_json(),
        **robust,
        "minimal_accuracy": summary.minimal_accuracy,
        "diagnosis": diagnosis.as_json() if (diagnosis := from_store(summary.evaluation, summary.checks)) else None,
        "diagnostics": [check.as_json() for check in summary.checks],
    }
