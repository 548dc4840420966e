"""How much of a saturating network's apparent robustness survives: its table, sentences, figure and CSV."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation import brendel_bethge_comment as comment
from evaluation import diagnostics, metrics
from evaluation.report.curves import COLOURS
from evaluation.report.figures import figure_style, save_figure
from evaluation.report.layout import FLAG, MISSING, by_dataset, column_names, csv_text, interval, markdown_row, percent
from evaluation.store import Store
from evaluation.summary import Score, Summary, union_of
from zoo.card import write_text

SUITE = "brendel_bethge_comment"
# How a model's name tells its training; one without is plain.
TRAININGS = ("plain", "saturating", "fgsm", "pgd")
COMMENT, WORST, WORST_OF_ALL = "comment suite", "worst case", f"worst case with RayS {FLAG}"
_STABILIZED = tuple(label for label, _, _ in comment.stabilized())
SHOWN = {
    comment.PROBABILITIES: "FGSM, probabilities",
    comment.LOGITS: "FGSM, logits",
    comment.PGD: "PGD",
    comment.FLOAT64: "float64",
    COMMENT: COMMENT,
    comment.TRANSFER: "transfer",
    WORST: WORST,
    comment.DECISIONS: f"RayS {FLAG}",
    WORST_OF_ALL: WORST_OF_ALL,
}
# On fewer images than the others.
_FEW = (comment.DECISIONS, WORST_OF_ALL)
FIELDS = ("model", "digest", "dataset", "seed", "column", "epsilon", "samples", "accuracy", "low", "high")


def architecture(name: str) -> tuple[str, str]:
    """Returns architecture and training of a model's name: ("relu_mlp", "fgsm") of "mnist/fgsm_relu_mlp"."""
    name = name.rsplit("/", 1)[-1]
    training, _, rest = name.partition("_")
    return (rest, training) if training in TRAININGS[1:] and rest else (name, TRAININGS[0])


def scores(summary: Summary) -> dict[str, Score]:
    """Returns the columns of the table that a model has, by name: single attacks, and unions on the images all members saw.

    Raises:
        ValueError: the summary is of another suite.
    """
    if summary.suite != SUITE:
        raise ValueError(f"Expected results of the suite {SUITE}. Received: {summary.suite}.")
    found = {score.label: score for score in summary.attacks}
    stabilized = [found[label] for label in _STABILIZED if label in found]
    others = [score for score in summary.attacks if score.label != comment.DECISIONS]
    unions = {
        COMMENT: union_of(COMMENT, stabilized) if stabilized else None,
        WORST: union_of(WORST, others) if others else None,
        WORST_OF_ALL: summary.union("linf") if comment.DECISIONS in found else None,
    }
    return {name: score for name in SHOWN if (score := found.get(name) or unions.get(name)) is not None}


def saturating_section(summaries: list[Summary], store: Store, figures: Path) -> tuple[str, list[Path]]:
    """Writes the figure and the CSV of each data set, and returns the Markdown of tables and sentences with the figures.

    Args:
        summaries: models under the suite, in any order.
        store: the results, for the shares of all-zero gradients.
        figures: folder of the files.

    Raises:
        ValueError: a summary is of another suite, or they are of several seeds.
    """
    parts, drawn = [], []
    for group in by_dataset(summaries):
        ordered = _ordered(group)
        dataset = group[0].dataset.name
        parts += [f"Data: {dataset}, test split; suite `{SUITE}`, seed {group[0].seed}."]
        parts += [_table(ordered, store), _caption(ordered), "\n".join(_sentences(ordered))]
        with figure_style():
            drawn.append(save_figure(_figure(ordered), figures / f"saturating-{dataset}.png"))
        rows = [row for summary in ordered for row in _csv_rows(summary, store)]
        write_text(figures / f"saturating-{dataset}.csv", csv_text(FIELDS, rows))
    return "\n\n".join(part for part in parts if part) + "\n", drawn


def _ordered(summaries: list[Summary]) -> list[Summary]:
    """By architecture, in the order of first appearance, then by training."""
    found = [architecture(summary.name) for summary in summaries]
    first = {name: i for i, name in reversed(list(enumerate(name for name, _ in found)))}
    order = sorted(range(len(found)), key=lambda i: (first[found[i][0]], TRAININGS.index(found[i][1])))
    return [summaries[i] for i in order]


def _table(summaries: list[Summary], store: Store) -> str:
    shares = list(diagnostics.GRADIENTS)
    head = ["architecture", "training", "ε", "clean", "all-zero gradients: " + " / ".join(shares), *SHOWN.values()]
    lines = [markdown_row(head), markdown_row([":--", ":--", *["--:"] * (len(head) - 2)])]
    for summary in summaries:
        found = scores(summary)
        zeros = diagnostics.zero_gradients(store, summary.digest, summary.dataset.name)
        low_high = metrics.wilson_interval(summary.correct, summary.clean_samples)
        clean = f"{percent(summary.clean_accuracy)}<br><sub>{interval(low_high)}</sub>"
        share = " / ".join(percent(zeros[name]["value"]) if name in zeros else MISSING for name in shares)
        # What does not depend on epsilon stands in the first line.
        given = [*architecture(summary.name)], [clean, share]
        for epsilon in comment.EPSILONS:
            cells = [_cell(found.get(name), epsilon) for name in SHOWN]
            lines.append(markdown_row([*given[0], f"{epsilon:g}", *given[1], *cells]))
            given = [""] * 2, [""] * 2
    return "\n".join(lines)


def _cell(score: Score | None, epsilon: float) -> str:
    if score is None:
        return MISSING
    return f"{percent(_accuracy(score, epsilon))}<br><sub>{interval(_bounds(score, epsilon))}</sub>"


def _accuracy(score: Score, epsilon: float) -> float:
    return metrics.accuracy_at(score.distances, epsilon)


def _bounds(score: Score, epsilon: float) -> tuple[float, float]:
    return metrics.wilson_interval(int(metrics.survivors(score.distances, epsilon).sum()), score.samples)


def _caption(summaries: list[Summary]) -> str:
    found = [scores(summary) for summary in summaries]
    named = [pair for names in found for pair in names.items()]
    wide, few = (_counts([score for name, score in named if (name in _FEW) is is_few]) for is_few in (False, True))
    lines = [
        f"Accuracy in per cent on the first {wide} test images, [95 % Wilson interval]; an attack that breaks an image at "
        "one ε of the table has broken it at the larger ones. All-zero gradients: share of those images, in per cent, on "
        "which the gradient in the image is zero in every pixel."
    ]
    if few:
        lines.append(f"{FLAG}: the first {few} images alone.")
    lines.append("Clean: the whole test split.")
    return " ".join(lines + _substitutes(summaries))


def _counts(found: list[Score]) -> str:
    return " or ".join(f"{count:,}" for count in sorted({score.samples for score in found}))


def _substitutes(summaries: list[Summary]) -> list[str]:
    """Says which model was attacked on another endpoint than the one an attack was made for."""
    wanted = {label: endpoints[0] for label, _, endpoints in comment.stabilized()}
    found: dict[tuple[str, str], list[str]] = {}
    for summary, name in zip(summaries, column_names(summaries), strict=True):
        pairs = {(wanted[s.label], s.endpoints[0]) for s in summary.attacks if s.label in wanted and s.endpoints}
        for pair in sorted(pair for pair in pairs if pair[0] != pair[1]):
            found.setdefault(pair, []).append(name)
    return [f"No `{a}`, `{b}` attacked instead: {', '.join(names)}." for (a, b), names in found.items()]


def _sentences(summaries: list[Summary]) -> list[str]:
    """For each saturating network beside its plain twin: what seemed to be gained, and what of it survives."""
    by_name = {architecture(summary.name): summary for summary in summaries}
    lines = []
    for (name, training), summary in by_name.items():
        twin = by_name.get((name, "plain"))
        if training == "saturating" and twin is not None:
            lines.append(_sentence(name, scores(summary), scores(twin)))
    return [line for line in lines if line]


def _sentence(name: str, own: dict[str, Score], twin: dict[str, Score]) -> str:
    if any(column not in found for column in (comment.PROBABILITIES, WORST) for found in (own, twin)):
        return ""

    def accuracies(column: str, epsilon: float) -> tuple[float, float]:
        return _accuracy(own[column], epsilon), _accuracy(twin[column], epsilon)

    def gap(epsilon: float) -> float:
        return accuracies(comment.PROBABILITIES, epsilon)[0] - accuracies(WORST, epsilon)[0]

    def gain(epsilon: float) -> float:
        saturating, plain = accuracies(WORST, epsilon)
        return saturating - plain

    silent, best = (max(comment.EPSILONS, key=difference) for difference in (gap, gain))
    naive, least = ([percent(value) for value in accuracies(column, silent)] for column in (comment.PROBABILITIES, WORST))
    at_best = [
        f"{percent(_accuracy(found[WORST], best))} % {interval(_bounds(found[WORST], best))}" for found in (own, twin)
    ]
    kept = [metrics.survivors(found[WORST].distances, best) for found in (own, twin)]
    same = own[WORST].ids.tolist() == twin[WORST].ids.tolist()
    test = f", McNemar's exact test p = {metrics.mcnemar(*kept):.2g}" if same else ""
    verdict = (
        f"It gains most over its twin at ε = {best:g}"
        if gain(best) > 0
        else f"It gains nothing over its twin, at ε = {best:g}"
    )
    return (
        f"- **Saturating {name}** at ε = {silent:g}, where its gradient hides most: FGSM on float32 probabilities leaves "
        f"{naive[0]} %, the worst case {least[0]} %; of its plain twin {naive[1]} and {least[1]} %. {verdict}: worst case "
        f"{at_best[0]} against {at_best[1]}{test}."
    )


def _csv_rows(summary: Summary, store: Store) -> list[dict[str, Any]]:
    identity = {"model": summary.name, "digest": summary.digest, "dataset": summary.dataset.name, "seed": summary.seed}
    rows = []
    for name, score in scores(summary).items():
        for epsilon in (0.0, *comment.EPSILONS):
            low, high = _bounds(score, epsilon)
            values = {"accuracy": _accuracy(score, epsilon), "low": low, "high": high, "samples": score.samples}
            rows.append({**identity, "column": name, "epsilon": epsilon, **values})
    for name, kept in diagnostics.zero_gradients(store, summary.digest, summary.dataset.name).items():
        count = kept["samples"]
        low, high = metrics.wilson_interval(round(kept["value"] * count), count)
        values = {"accuracy": kept["value"], "low": low, "high": high, "samples": count}
        rows.append({**identity, "column": f"all-zero gradients: {name}", "epsilon": "", **values})
    return rows


def _figure(summaries: list[Summary]) -> Figure:
    """Accuracy against epsilon, a panel an architecture: what FGSM on probabilities leaves, and what the worst case does."""
    shown = [summary for summary in summaries if architecture(summary.name)[1] in TRAININGS[:2]] or summaries
    names = list(dict.fromkeys(architecture(summary.name)[0] for summary in shown))
    figure = Figure(figsize=(3.4 * len(names) + 0.6, 3.4), dpi=130, layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for summary in (summary for summary in shown if architecture(summary.name)[0] == name):
            _draw(panel, architecture(summary.name)[1], scores(summary))
        panel.set(xlabel="ε (L∞)", ylim=(-2, 102))
        panel.set_title(name, fontsize=9, loc="left")
        panel.grid(color="0.9", linewidth=0.6)
    panels[0].set_ylabel("accuracy in %")
    lines = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    title = f"{summaries[0].dataset.name}: apparent robustness and worst case; bars: 95 % Wilson interval"
    figure.suptitle(title, fontsize=9)
    return figure


def _draw(panel: Axes, training: str, found: dict[str, Score]) -> None:
    epsilons = (0.0, *comment.EPSILONS)
    style = {"color": COLOURS[TRAININGS.index(training)], "markersize": 3, "capsize": 2}
    for column, line in ((comment.PROBABILITIES, "o--"), (WORST, "o-")):
        if column in found:
            left = np.array([_accuracy(found[column], epsilon) for epsilon in epsilons])
            low, high = np.transpose([_bounds(found[column], epsilon) for epsilon in epsilons])
            # At 0 and 1 an interval ends at the share itself, up to rounding.
            errors = np.maximum([left - low, high - left], 0.0)
            panel.errorbar(epsilons, 100 * left, 100 * errors, fmt=line, label=f"{training}, {SHOWN[column]}", **style)
