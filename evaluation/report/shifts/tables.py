"""Accuracy under shifts as tables: for the terminal, Markdown and CSV."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich.box
import rich.console
import rich.table
from rich.text import Text

from cortexzoo.card_page import level_name
from cortexzoo.evaluation.report.layout import MISSING, by_dataset, data_line, id_ranges, interval, of_official, percent
from cortexzoo.evaluation.report.links import image_link
from cortexzoo.evaluation.report.seeds import Estimate
from cortexzoo.evaluation.report.shifts.layout import SeedGroup, corruption_spectra, labels_of, seed_groups
from cortexzoo.evaluation.results.shifts import ShiftSummary
from cortexzoo.evaluation.shifts.spectra import GROUPS, WHITE_CENTROID, Spectrum
from cortexzoo.files import markdown_row

CSV_FIELDS = (
    *("model", "digest", "dataset", "suite", "seed", "shift", "level", "samples", "sample_ids"),
    *("accuracy", "low", "high", "seconds"),
)
# The first cells of a row, and the labels of the shifts that it averages.
_Row = tuple[list[str], list[str]]


def terminal_table(summaries: list[ShiftSummary]) -> rich.console.RenderableType:
    """Returns one table per data set for `rich.console.Console.print`, with levels as rows and models as columns.

    Raises:
        ValueError: the summaries are from different suites or seeds.
    """
    parts: list[rich.console.RenderableType] = []
    for group in by_dataset(summaries):
        models, first = seed_groups(group), group[0]
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for name in ("shift", "level"):
            table.add_column(name, overflow="fold")
        for model in models:
            table.add_column(model.title, justify="right", overflow="fold")
        for label in labels_of(group):
            levels = _level_names(group, label)
            columns = [model.accuracy(label) for model in models]
            for i, level in enumerate(levels):
                cells = [_terminal_cell(column[i] if column else None) for column in columns]
                table.add_row(label if i == 0 else "", level, *cells)
            areas = [_terminal_cell(model.area([label])) for model in models]
            table.add_row("", _area_name(group, label), *areas, style="bold", end_section=True)
        title = Text(f"{first.dataset.name}, suite {first.suite}, seed {first.seed}", style="bold")
        parts += [title, Text(), table, Text(), Text(_caption(group), style="dim")]
    return rich.console.Group(*parts)


def shifts_section(summaries: list[ShiftSummary], figures: list[Path], base: Path) -> str:
    """Returns the areas, the figures and the accuracy at every level as Markdown.

    Args:
        summaries: the models.
        figures: the files that `write_shift_figures` wrote.
        base: folder of the Markdown file; links are relative to it.

    Raises:
        ValueError: the summaries are from different suites or seeds.
    """
    parts = []
    for group in by_dataset(summaries):
        first, models = group[0], seed_groups(group)
        parts += [data_line(first), area_table(group), _caption(group)]
        if len(models) > 1:
            parts += [_gain_caption(models), gain_table(group)]
        own = [path for path in figures if path.stem == f"{first.suite}-{first.dataset.name}"]
        parts += [image_link(path, base, f"Suite {first.suite}") for path in own]
        parts += ["<details>\n<summary>Accuracy at every level</summary>", _level_table(group, models), "</details>"]
    return "\n\n".join(parts) + "\n"


def area_table(summaries: list[ShiftSummary]) -> str:
    """Returns a Markdown table of the area under each shift's curve and the means, with models as columns.

    Corruptions are sorted by the frequencies that they change, with a mean for each group of frequencies.

    Args:
        summaries: models on one data set.
    """
    models, (titles, rows) = seed_groups(summaries), _area_rows(summaries)
    titles = [*titles, *(model.title for model in models)]
    return _table(titles, rows, models, lambda model, labels: _cell(model.area(labels)))


def gain_table(summaries: list[ShiftSummary]) -> str:
    """Returns a Markdown table: each model's gain over the first, for each row of `area_table`; see `SeedGroup.gain`.

    Args:
        summaries: models on one data set.
    """
    (baseline, *others), (titles, rows) = seed_groups(summaries), _area_rows(summaries)
    rows = [(["unchanged images", *[""] * (len(titles) - 1)], []), *rows]
    alone = {model.name: model.seeds_shared(baseline) == 1 for model in others}
    names = [model.name + (" (one seed)" if alone[model.name] else "") for model in others]

    def cell(model: SeedGroup, labels: list[str]) -> str:
        return _gain_cell(model.gain(baseline, labels), clear=not alone[model.name])

    return _table([*titles, *names], rows, others, cell)


def _table(titles: list[str], rows: list[_Row], models: list[SeedGroup], cell: Callable[[SeedGroup, list[str]], str]) -> str:
    lines = [markdown_row(titles), markdown_row([":--"] * (len(titles) - len(models)) + ["--:"] * len(models))]
    lines += [markdown_row([*heads, *(cell(model, labels) for model in models)]) for heads, labels in rows]
    return "\n".join(lines)


def _area_rows(summaries: list[ShiftSummary]) -> tuple[list[str], list[_Row]]:
    """The titles of the first columns, and the rows."""
    labels, spectra = labels_of(summaries), corruption_spectra(summaries)
    if spectra:
        labels = [label for label in spectra if label in labels]
    rows = [([label, *_frequency(spectra, label)], [label]) for label in labels]
    for group in GROUPS if spectra else ():
        members = [label for label in labels if spectra[label].group == group]
        if members:
            rows.append(([f"**{group} frequencies**", f"mean of {len(members)}"], members))
    # A mean of areas over L-infinity and over L2 would be meaningless.
    if len(labels) > 1 and not any(curve.nested for summary in summaries for curve in summary.curves):
        rows.append((["**all**", *([f"mean of {len(labels)}"] if spectra else [])], labels))
    return (["corruption", "frequencies changed"] if spectra else ["shift"]), rows


def _level_table(summaries: list[ShiftSummary], models: list[SeedGroup]) -> str:
    lines = [
        markdown_row(["shift", "level", *(model.title for model in models)]),
        markdown_row([":--", "--:", *["--:"] * len(models)]),
    ]
    for label in labels_of(summaries):
        columns = [model.accuracy(label) for model in models]
        for i, level in enumerate(_level_names(summaries, label)):
            lines.append(markdown_row([label, level, *(_cell(column[i] if column else None) for column in columns)]))
    return "\n".join(lines)


def csv_rows(summaries: list[ShiftSummary]) -> list[dict[str, Any]]:
    """Returns tidy rows with the fields `CSV_FIELDS`: each model's accuracy at each level; level 0 is unchanged images.

    The level "area" stands for the area under the curve, or the mean over severities.
    """
    rows = []
    for summary in summaries:
        identity = {"model": summary.name, "digest": summary.digest, "dataset": summary.dataset.name}
        identity |= {"suite": summary.suite, "seed": summary.seed}
        for curve in summary.curves:
            common = {**identity, "shift": curve.label, "samples": curve.samples, "sample_ids": id_ranges(curve.ids)}
            clean = (0, float(curve.clean.mean()), *curve.clean_interval)
            names = [float(f"{level:.6g}") for level in curve.levels]
            levels = [(v, a, *b) for v, a, b in zip(names, curve.accuracy, curve.intervals, strict=True)]
            for level, accuracy, low, high in [clean, *levels, ("area", curve.area, *curve.area_interval)]:
                seconds = round(curve.seconds, 2) if level == "area" else ""
                rows.append({**common, "level": level, "accuracy": accuracy, "low": low, "high": high, "seconds": seconds})
    return rows


def _frequency(spectra: dict[str, Spectrum], label: str) -> list[str]:
    if not spectra:
        return []
    return [f"{spectra[label].group} ({spectra[label].centroid:.2f})"]


def _level_names(summaries: list[ShiftSummary], label: str) -> list[str]:
    curve = next(curve for summary in summaries if (curve := summary.curve(label)) is not None)
    return [*([] if curve.ordinal else ["0"]), *(level_name(level) for level in curve.levels)]


def _area_name(summaries: list[ShiftSummary], label: str) -> str:
    curve = next(curve for summary in summaries if (curve := summary.curve(label)) is not None)
    return "mean" if curve.ordinal else "area"


def _terminal_cell(value: Estimate | None) -> Text:
    if value is None:
        return Text(MISSING)
    return Text(percent(value.value)).append(f" {interval((value.low, value.high))}", "dim")


def _cell(value: Estimate | None) -> str:
    if value is None:
        return MISSING
    return f"{percent(value.value)}<br><sub>{interval((value.low, value.high))}</sub>"


def _gain_cell(value: Estimate | None, clear: bool) -> str:
    """The gain; bold if `clear` and the interval excludes 0."""
    if value is None:
        return MISSING
    bold = "**" if clear and (value.low > 0 or value.high < 0) else ""
    return f"{bold}{100 * value.value:+.1f}{bold}<br><sub>[{100 * value.low:+.1f}, {100 * value.high:+.1f}]</sub>"


def _gain_caption(models: list[SeedGroup]) -> str:
    return (
        f"Gain over {models[0].name} in points, with its 95 % interval: Student's t over the per-image differences, or over "
        "the per-seed differences, where that is wider. Bold: the interval over several seeds excludes 0; it is not "
        "corrected for the number of comparisons. If two models have only one seed in common, only that seed is compared: "
        "the interval does not cover variation between trainings, nothing is bold, and the gain may differ from the "
        "difference of the means above."
    )


def _caption(summaries: list[ShiftSummary]) -> str:
    curves = [curve for summary in summaries for curve in summary.curves]
    counts = sorted({curve.samples for curve in curves})
    images = of_official(counts[0], summaries[0].dataset)
    if len(counts) > 1:
        images = f"{counts[0]:,} to {counts[-1]:,} of the first test images"
    seeds = sorted({len(model.summaries) for model in seed_groups(summaries)})
    over_seeds = ", or Student's t over a model's seeds where that is wider" if seeds[-1] > 1 else ""
    lines = [f"Accuracy in per cent with its 95 % interval (Wilson over the images{over_seeds}); {images}."]
    if any(curve.ordinal for curve in curves):
        lines.append(
            "Each type: mean over five severities. Frequencies: measured centroid of the perturbation's power spectrum in "
            f"cycles per pixel. White noise has {WHITE_CENTROID:.2f}; we chose one and two thirds of it as the limits "
            "between low, medium and high. What blurring and pixelation remove counts as much as what noise adds. Frost is "
            "synthetic: the original uses photographs."
        )
    else:
        lines.append("Area: under accuracy against level, from unchanged images to the last level, relative to the maximum.")
    if any(curve.nested for curve in curves):
        lines.append("An image broken at one radius counts as broken at all larger ones.")
    return " ".join(lines)
