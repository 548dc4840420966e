"""Figures of the grids: heat maps of strength and threshold, curves of the numbers of pairs and of images."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cortexzoo.figures import figure_style, save_figure

_CURVES = {"pairs": ("pairs", "pairs a step, k"), "images": ("regularization_images", "images of the regularisation set, N")}


def write_grid_figures(rows: list[dict[str, str]], measured: dict[str, str], directory: Path) -> list[Path]:
    """Writes grid-threshold.png, grid-pairs.png and grid-images.png, as far as there are rows.

    Args:
        rows: those of the table. Where a grid has several data sets or changes, those of its last row count.
        measured: columns with accuracies, and what they are called.
        directory: where the files go; created where missing.

    Returns:
        The files. Same rows, same bytes.
    """
    paths = []
    for grid, draw in (("threshold", _heat_maps), ("pairs", _curves), ("images", _curves)):
        found = _of_one_setting([row for row in rows if row["grid"] == grid])
        if len(found) > 1:
            paths.append(directory / f"grid-{grid}.png")
            with figure_style({"axes.spines.right": True}):
                save_figure(draw(grid, found, measured), paths[-1])
    return paths


def _of_one_setting(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    names = ("dataset", "changes")
    return [row for row in rows if all(row[name] == rows[-1][name] for name in names)]


def _heat_maps(grid: str, rows: list[dict[str, str]], measured: dict[str, str]) -> Figure:
    plain, cells = rows[0], rows[1:]
    strengths, thresholds = (sorted({float(row[name]) for row in cells}) for name in ("strength", "threshold"))
    figure = Figure(figsize=(2.3 * len(measured), 2.9), dpi=130, layout="constrained")
    panels = figure.subplots(1, len(measured), sharey=True)
    for panel, (column, name) in zip(panels, measured.items(), strict=True):
        values = np.full((len(strengths), len(thresholds)), np.nan)
        for row in cells:
            place = strengths.index(float(row["strength"])), thresholds.index(float(row["threshold"]))
            values[place] = 100 * float(row[column])
        # Blue where the network is better than the plain one, red where it is worse.
        reference = 100 * float(plain[column])
        most = max(1.0, float(np.nanmax(np.abs(values - reference))))
        panel.imshow(values - reference, cmap="RdBu", vmin=-most, vmax=most, origin="lower", aspect="auto")
        for (y, x), value in np.ndenumerate(values):
            shade = "white" if abs(value - reference) > 0.6 * most else "black"
            panel.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=8, color=shade)
        panel.set_xticks(range(len(thresholds)), [f"{value:g}" for value in thresholds])
        panel.set_yticks(range(len(strengths)), [f"{value:g}" for value in strengths])
        panel.set_title(f"{name}\nplain network {reference:.1f}", fontsize=9)
        panel.set_xlabel("threshold Th")
    panels[0].set_ylabel(r"strength $\alpha$")
    figure.suptitle(_title(rows), fontsize=9)
    return figure


def _curves(grid: str, rows: list[dict[str, str]], measured: dict[str, str]) -> Figure:
    plain, cells = rows[0], rows[1:]
    name, label = _CURVES[grid]
    figure = Figure(figsize=(7.2, 3.9), dpi=130, layout="constrained")
    panel = figure.subplots()
    for i, (column, title) in enumerate(measured.items()):
        panel.plot([float(row[name]) for row in cells], [100 * float(row[column]) for row in cells], "o-", color=f"C{i}")
        panel.axhline(100 * float(plain[column]), color=f"C{i}", linestyle=":", linewidth=1)
        panel.plot([], [], "o-", color=f"C{i}", label=title)
    panel.set_xscale("log")
    panel.set_xticks([float(row[name]) for row in cells], [row[name] for row in cells])
    panel.minorticks_off()
    panel.set(xlabel=label, ylabel="accuracy in %")
    panel.set_title(f"{_title(rows)}\ndotted: the plain network", fontsize=9)
    figure.legend(loc="outside lower center", ncols=len(measured), frameon=False)
    return figure


def _title(rows: list[dict[str, str]]) -> str:
    last = rows[-1]
    epochs = "1 epoch" if last["epochs"] == "1" else f"{last['epochs']} epochs"
    return f"{last['dataset']}, thresholded target, {epochs}: validation accuracy in %, clean and under Gaussian noise"
