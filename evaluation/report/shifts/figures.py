"""Figures of shifts: accuracy against level, and bars by corruption and by the frequencies that they change."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.card_page import level_name
from cortexzoo.evaluation.report.curves import COLOURS, line_style
from cortexzoo.evaluation.report.layout import by_dataset
from cortexzoo.evaluation.report.seeds import Estimate
from cortexzoo.evaluation.report.shifts.layout import SeedGroup, corruption_spectra, labels_of, seed_groups
from cortexzoo.evaluation.results.shifts import ShiftSummary
from cortexzoo.evaluation.shifts.spectra import GROUPS, Spectrum
from cortexzoo.figures import ShownFigure, figure_style, save_figure

_HATCHES = ("", "////", "....")
# From this ratio of the largest to the smallest level on, the axis is logarithmic.
_WIDE = 20


def write_shift_figures(summaries: list[ShiftSummary], directory: Path) -> list[Path]:
    """Writes one figure per data set, SUITE-DATASET.png: bars for corruptions, curves for all other shifts.

    Raises:
        ValueError: the summaries are from different suites or seeds.
    """
    paths, groups = [], by_dataset(summaries)
    # A model looks the same on all data sets, even if it is missing on some.
    names = list(dict.fromkeys(model.name for group in groups for model in seed_groups(group)))
    with figure_style():
        for group in groups:
            spectra = corruption_spectra(group)
            figure = corruption_bars(group, spectra, names) if spectra else level_curves(group, names)
            paths.append(save_figure(figure, directory / f"{group[0].suite}-{group[0].dataset.name}.png"))
    return paths


def level_curves(summaries: list[ShiftSummary], names: list[str] | None = None) -> Figure:
    """Draws one panel per shift: each model's accuracy against level, averaged over its seeds, with a 95 % band.

    Args:
        summaries: models on one data set.
        names: all models' names (`SeedGroup.name`), whose order fixes the styles; by default those of `summaries`.
    """
    labels, models = labels_of(summaries), seed_groups(summaries)
    columns = 2 if len(labels) == 4 else min(3, len(labels))
    rows = -(-len(labels) // columns)
    figure = ShownFigure(figsize=(3.4 * columns + 0.4, 2.8 * rows + 0.9), dpi=130, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for label, panel in zip(labels, panels, strict=False):
        _draw_curves(panel, label, models, names or [model.name for model in models])
    for panel in panels[len(labels) :]:
        panel.axis("off")
    for panel in panels[::columns]:
        panel.set_ylabel("accuracy in %")
    title = _title(summaries)
    figure.suptitle(title.replace(": ", ":\n") if columns == 1 else title, fontsize=10)
    # A model may be missing in some panels.
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    shown = [model.title for model in models if model.title in lines]
    handles = [lines[name] for name in shown]
    # Long enough to show the dashes.
    look = {"frameon": False, "handlelength": 3.5}
    figure.legend(handles, shown, loc="outside lower center", ncols=min(columns + 1, len(shown)), **look)
    return figure


def _draw_curves(panel: Axes, label: str, models: list[SeedGroup], names: list[str]) -> None:
    unit, levels = "", np.zeros(2)
    for model in models:
        curves = model.curves(label)
        if not curves:
            continue
        unit = curves[0].unit
        levels, found = np.append(0.0, curves[0].levels), model.accuracy(label)
        style = line_style(names.index(model.name))
        bounds = [[100 * value.low for value in found], [100 * value.high for value in found]]
        panel.fill_between(levels, *bounds, color=style["color"], alpha=0.08, linewidth=0)
        panel.plot(levels, [100 * v.value for v in found], marker="o", markersize=2.5, label=model.title, **style)
    panel.set(xlabel=unit, xlim=(0, None), ylim=(-2, 102), yticks=range(0, 101, 25))
    if levels[-1] > _WIDE * levels[1]:
        panel.set_xscale("symlog", linthresh=levels[1], linscale=0.3)
        panel.set_xticks(levels, [level_name(level) for level in levels], fontsize=7)
        panel.minorticks_off()
    panel.set_title(label, fontsize=9, loc="left")
    panel.grid(color="0.9", linewidth=0.6)


def corruption_bars(summaries: list[ShiftSummary], spectra: dict[str, Spectrum], names: list[str] | None = None) -> Figure:
    """Draws each model's mean accuracy by corruption and by group of frequencies.

    Args:
        summaries: models on one data set.
        spectra: the corruptions' spectra, low frequencies first.
        names: see `level_curves`.
    """
    models = seed_groups(summaries)
    names = names or [model.name for model in models]
    groups = {group: [label for label, found in spectra.items() if found.group == group] for group in GROUPS}
    groups = {group: labels for group, labels in groups.items() if labels}
    figure = Figure(figsize=(10.5, 6.4), dpi=130, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 2), sharey=True)
    _draw_bars(above, models, names, [(label, [label]) for label in spectra])
    above.tick_params(axis="x", labelrotation=35)
    for tick in above.get_xticklabels():
        tick.set_horizontalalignment("right")
        tick.set_rotation_mode("anchor")
    first = 0
    for group, labels in groups.items():
        above.text(first - 0.45, 103, f"{group} frequencies", fontsize=8, color="0.35")
        first += len(labels)
        if first < len(spectra):
            above.axvline(first - 0.5, color="0.6", linewidth=0.8, linestyle="dotted")
    rows = [(f"{group} frequencies, {len(labels)} types", labels) for group, labels in groups.items()]
    _draw_bars(below, models, names, [*rows, (f"all {len(spectra)} types", list(spectra))])
    figure.suptitle(_title(summaries) + "; mean over severities", fontsize=10)
    handles, titles = above.get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside lower center", ncols=min(5, len(titles)), frameon=False)
    return figure


def _draw_bars(panel: Axes, models: list[SeedGroup], names: list[str], rows: list[tuple[str, list[str]]]) -> None:
    width = 0.84 / len(models)
    for i, model in enumerate(models):
        found = [model.area(labels) or Estimate(np.nan, np.nan, np.nan) for _, labels in rows]
        values = np.array([[value.value, value.low, value.high] for value in found]).T * 100
        places = np.arange(len(rows)) + (i - (len(models) - 1) / 2) * width
        errors = [values[0] - values[1], values[2] - values[0]]
        # When the colours repeat, bars are hatched, as lines are dashed.
        lap, colour = divmod(names.index(model.name), len(COLOURS))
        look = {
            "color": COLOURS[colour],
            "hatch": _HATCHES[lap % len(_HATCHES)],
            "edgecolor": "white",
        }
        error = {"elinewidth": 0.8, "ecolor": "0.25"}
        panel.bar(places, values[0], width, yerr=errors, label=model.title, linewidth=0, error_kw=error, **look)
    panel.set_xticks(np.arange(len(rows)), [name for name, _ in rows])
    panel.set(ylabel="accuracy in %", ylim=(0, 102), yticks=range(0, 101, 25), xlim=(-0.6, len(rows) - 0.4))
    panel.grid(axis="y", color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)


def _title(summaries: list[ShiftSummary]) -> str:
    first = summaries[0]
    most = max(len(model.summaries) for model in seed_groups(summaries))
    interval = "95 % interval over images and seeds" if most > 1 else "95 % Wilson interval"
    counts = {curve.samples for summary in summaries for curve in summary.curves}
    return f"{first.dataset.name}, suite {first.suite}, N = {min(counts):,}: {interval}"
