"""Curves of accuracy against distance: the empirical survival function of per-sample distances."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.evaluation.norms import largest_distance
from cortexzoo.evaluation.report.layout import column_names
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.figures import ShownFigure
from cortexzoo.norms import NORM_NAMES, NORMS

# Okabe and Ito's colour-blind safe palette, without its yellow, which is too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_UNITS = {
    "linf": "L∞ distance (values in [0, 1])",
    "l2": "L2 distance (values in [0, 1])",
    "l1": "L1 distance (values in [0, 1])",
    "l0": "L0 distance (changed pixels)",
}
# Longer names are cut at the start in the legend: the end of a long path says more.
_LEGEND = 40


def line_styles(summaries: list[Summary]) -> dict[str, dict[str, Any]]:
    """Returns each model's colour and dashes by digest, the same in every figure of one report."""
    digests = list(dict.fromkeys(summary.digest for summary in summaries))
    return {digest: line_style(i) for i, digest in enumerate(digests)}


def line_style(index: int) -> dict[str, Any]:
    """Returns colour and dashes of the line with this index."""
    lap, colour = divmod(index, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": _DASHES[lap % len(_DASHES)]}


def survival(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the steps of `metrics.accuracy_at`: where the accuracy falls, and to what count.

    Args:
        distances: float, (n,); infinite where the attack failed.

    Returns:
        Epsilons, float, (k,), ascending from 0, and the numbers of samples that survive them, int, (k,). Each number holds
        from its epsilon up to the next.
    """
    levels = np.unique(np.append(0.0, distances[np.isfinite(distances)]))
    surviving = len(distances) - np.searchsorted(np.sort(distances), levels, side="right")
    # `metrics.survivors` counts a sample as broken if its distance exceeds epsilon only by a rounding error.
    return levels / (1 + metrics.TOLERANCE), surviving


def accuracy_curves(summaries: list[Summary], styles: dict[str, dict[str, Any]], norm: str | None = None) -> Figure:
    """Draws one panel per norm: the curve of each model's union with a 95 % Wilson band; for a single model also its
    attacks' curves.

    Args:
        summaries: models on one data set, with at least one attack.
        styles: the result of `line_styles`.
        norm: the only norm to show; None shows all.

    Raises:
        ValueError: no model was attacked in the norm.
    """
    attacked = {score.norm for summary in summaries for score in summary.unions}
    norms = [known for known in NORMS if known in attacked and norm in (None, known)]
    if not norms:
        raise ValueError(f"Expected an attacked norm: {', '.join(sorted(attacked)) or 'there is none'}. Received: {norm!r}.")
    columns = min(2, len(norms))
    rows = -(-len(norms) // columns)
    figure = ShownFigure(figsize=(4.2 * columns + 0.4, 2.9 * rows + 0.7), dpi=130, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for norm, panel in zip(norms, panels, strict=False):
        _draw_panel(panel, norm, summaries, styles)
    for panel in panels[::columns]:
        panel.set_ylabel("accuracy in %")
    first = summaries[0]
    between = ", " if columns > 1 else "\n"
    title = f"{first.dataset.name}, suite {first.suite}: worst case over attacks{between}shaded: 95 % Wilson interval"
    figure.suptitle(title, fontsize=10)
    _draw_legend(figure, panels[: len(norms)], panels[len(norms) :])
    return figure


def _draw_panel(panel: Axes, norm: str, summaries: list[Summary], styles: dict[str, dict[str, Any]]) -> None:
    alone = len(summaries) == 1
    if alone:
        _draw_attacks(panel, norm, summaries[0])
    unions = []
    for summary, name in zip(summaries, column_names(summaries), strict=True):
        label, width = (f"{name}, all attacks", 3.0) if alone else (name, 1.8)
        for score in (score for score in summary.unions if score.norm == norm):
            unions.append(score)
            _draw_union(panel, score, label=label, linewidth=width, **styles[summary.digest])
    epsilon = unions[0].epsilon
    panel.axvline(epsilon, color="0.35", linestyle="dotted", linewidth=1.2)
    title = f"{NORM_NAMES[norm]}, N = {_count_range(unions)}"
    attacks = [score for score in summaries[0].attacks if score.norm == norm and not score.cumulative]
    if alone and attacks and _count_range(attacks) != _count_range(unions):
        title += f" (thin: {_count_range(attacks)})"
    panel.set_title(f"{title}, dotted: ε = {epsilon:g}", fontsize=9, loc="left")
    panel.set_xlabel(_UNITS[norm])
    panel.set_xlim(0.0, _right_end(unions, summaries[0].dataset.image_shape))
    panel.set_ylim(-2, 102)
    panel.set_yticks(range(0, 101, 25))
    panel.grid(color="0.9", linewidth=0.6)


def _count_range(scores: list[Score]) -> str:
    counts = sorted({len(score.minimised) or score.samples for score in scores})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _draw_union(panel: Axes, score: Score, **style: Any) -> None:
    distances = score.minimised
    if len(distances) == 0:
        _draw_point(panel, score, **style)
        return
    epsilons, surviving = _to_the_right_edge(*survival(distances), score)
    bounds = np.array([metrics.wilson_interval(int(count), len(distances)) for count in surviving])
    panel.fill_between(epsilons, *(100 * bounds.T), step="post", color=style["color"], alpha=0.15, linewidth=0)
    panel.step(epsilons, 100 * surviving / len(distances), where="post", **style)


def _draw_point(panel: Axes, score: Score, **style: Any) -> None:
    """Attacks of one size tell the accuracy there and nowhere else."""
    low, high = (100 * abs(bound - score.accuracy) for bound in score.interval)
    panel.errorbar([score.epsilon], [100 * score.accuracy], [[low], [high]], capsize=3, color=style["color"])
    panel.plot([score.epsilon], [100 * score.accuracy], marker="o", **style)


def _draw_attacks(panel: Axes, norm: str, summary: Summary) -> None:
    # An attack has the same colour in all norms; the first colour is the model's. Drawn above the union, which may coincide
    # with the curve of one attack.
    names = list(dict.fromkeys(_attack_name(score) for score in summary.attacks))
    for score in summary.attacks:
        if score.norm == norm and not score.cumulative:
            epsilons, surviving = _to_the_right_edge(*survival(score.distances), score)
            style = line_style(names.index(_attack_name(score)) + 1)
            accuracy = 100 * surviving / score.samples
            panel.step(epsilons, accuracy, where="post", label=_attack_name(score), linewidth=0.9, zorder=3, **style)


def _attack_name(score: Score) -> str:
    return score.label.removesuffix(NORM_NAMES[score.norm]).strip()


def _to_the_right_edge(epsilons: np.ndarray, surviving: np.ndarray, score: Score) -> tuple[np.ndarray, np.ndarray]:
    """Extends the last step beyond the end of the axis."""
    end = max(10 * score.epsilon, 2 * epsilons[-1])
    return np.append(epsilons, end), np.append(surviving, surviving[-1])


def _right_end(unions: list[Score], image_shape: tuple[int, int, int]) -> float:
    """Shows nearly all of every curve and the threshold, but is not so wide that the threshold is squeezed to the left."""
    epsilon = unions[0].epsilon
    finite = np.concatenate([score.distances[np.isfinite(score.distances)] for score in unions])
    most = np.quantile(finite, 0.995) if len(finite) else epsilon
    return min(max(1.05 * most, 1.25 * epsilon), 4 * epsilon, largest_distance(image_shape, unions[0].norm))


def _draw_legend(figure: Figure, panels: np.ndarray, empty: np.ndarray) -> None:
    """Puts the legend into an empty panel if there is one, otherwise below."""
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines() if line.get_label()[0] != "_"}
    # The models' thick lines before the attacks' thin ones.
    names, handles = zip(*sorted(lines.items(), key=lambda item: -item[1].get_linewidth()), strict=True)
    names = [name if len(name) <= _LEGEND else f"…{name[1 - _LEGEND :]}" for name in names]
    if len(empty):
        empty[0].axis("off")
        empty[0].legend(handles, names, loc="center", frameon=False)
    else:
        # A character takes about a twelfth of an inch; the line beside a name takes as much as six characters.
        room = int(12 * figure.get_figwidth()) // (max(map(len, names)) + 6)
        figure.legend(handles, names, loc="outside lower center", ncols=max(1, min(len(names), room)), frameon=False)
