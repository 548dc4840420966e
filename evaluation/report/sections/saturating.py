"""How much of a saturating network's apparent robustness is real: table, sentences, figure and CSV."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.evaluation.report.layout import FLAG, MISSING, by_dataset, data_line, interval, percent
from cortexzoo.evaluation.report.links import image_link
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.report.seeds import Estimate, by_group, estimate, group_of
from cortexzoo.evaluation.results import diagnostics, metrics
from cortexzoo.evaluation.results.score import Score, union_of
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites import brendel_bethge_comment as comment
from cortexzoo.figures import figure_style, save_figure
from cortexzoo.files import csv_text, markdown_row, write_text

SUITE = "brendel_bethge_comment"
# How a network was trained, in the table's order; a plain one has no variant on its card.
TRAININGS = ("plain", "saturating", "fgsm", "pgd")
COMMENT, WORST, WORST_OF_ALL = "comment suite", "worst case", f"worst case with RayS {FLAG}"
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
# Run on fewer images than the others.
_FEW = (comment.DECISIONS, WORST_OF_ALL)
# Panels per row of the figure.
_COLUMNS = 3
FIELDS = ("model", "digest", "dataset", "seed", "column", "epsilon", "samples", "accuracy", "low", "high")


def scores(summary: Summary) -> dict[str, Score]:
    """Returns a model's table columns by name: single attacks, and unions over the images that all their attacks saw.

    Raises:
        ValueError: the summary is from another suite.
    """
    if summary.suite != SUITE:
        raise ValueError(f"Expected results of the suite {SUITE}. Received: {summary.suite}.")
    found = {score.label: score for score in summary.attacks}
    stabilized = [found[label] for label in comment.STABILIZED if label in found]
    others = [score for score in summary.attacks if score.label != comment.DECISIONS]
    unions = {
        COMMENT: union_of(COMMENT, stabilized) if stabilized else None,
        WORST: union_of(WORST, others) if others else None,
        WORST_OF_ALL: summary.union("linf") if comment.DECISIONS in found else None,
    }
    return {name: score for name in SHOWN if (score := found.get(name) or unions.get(name)) is not None}


def saturating_section(summaries: list[Summary], figures: Path) -> tuple[str, list[Path]]:
    """Writes the figure and CSV of each data set; returns the tables and sentences as Markdown, and the figures' paths.

    Args:
        summaries: models under the suite, in any order.
        figures: the folder for the files.

    Raises:
        ValueError: a summary is from another suite, or they are from several seeds.
    """
    parts, drawn = [], []
    for group in by_dataset(summaries):
        models = _models(group)
        dataset = group[0].dataset.name
        parts += [data_line(group[0]), _table(models), _caption(models), "\n".join(_sentences(models))]
        with figure_style():
            drawn.append(save_figure(_figure(models), figures / f"saturating-{dataset}.png"))
        rows = [row for model in models for summary in model.summaries for row in _csv_rows(summary)]
        write_text(figures / f"saturating-{dataset}.csv", csv_text(FIELDS, rows))
    return "\n\n".join(part for part in parts if part) + "\n", drawn


@dataclasses.dataclass(frozen=True)
class _Model:
    """One architecture trained in one way, with one or several seeds.

    Attributes:
        architecture: the network's family, such as relu_mlp.
        training: one of `TRAININGS`.
        summaries: one per seed.
    """

    architecture: str
    training: str
    summaries: list[Summary]

    @property
    def epsilons(self) -> tuple[float, ...]:
        """The epsilons of the attacks."""
        return comment.epsilons(self.summaries[0].dataset.thresholds["linf"])

    @functools.cached_property
    def scores(self) -> dict[str, list[Score]]:
        """The columns that all seeds have, with one score per seed."""
        found = [scores(summary) for summary in self.summaries]
        return {name: [own[name] for own in found] for name in SHOWN if all(name in own for own in found)}

    @functools.cached_property
    def clean(self) -> Estimate:
        return estimate([summary.clean_accuracy for summary in self.summaries], self.summaries[0].clean_samples)

    @property
    def training_title(self) -> str:
        """The training, and the number of seeds if there are several."""
        count = len(self.summaries)
        return self.training if count == 1 else f"{self.training}, {count} seeds"

    def accuracy(self, column: str, epsilon: float) -> Estimate:
        found = self.scores[column]
        values = [metrics.accuracy_at(score.distances, epsilon) for score in found]
        return estimate(values, min(score.samples for score in found))

    def zero_gradients(self) -> dict[str, float]:
        """The mean over the seeds of each share that all of them have."""
        kept = [diagnostics.zero_gradients(summary.evaluation) for summary in self.summaries]
        common = [name for name in diagnostics.GRADIENTS if all(name in shares for shares in kept)]
        return {name: float(np.mean([shares[name]["value"] for shares in kept])) for name in common}


def _models(summaries: list[Summary]) -> list[_Model]:
    """Sorted by architecture, in order of first appearance, then by training."""
    found = [_model(members) for members in by_group(summaries).values()]
    names = list(dict.fromkeys(model.architecture for model in found))
    return sorted(found, key=lambda model: (names.index(model.architecture), TRAININGS.index(model.training)))


def _model(seeds: list[Summary]) -> _Model:
    model = seeds[0].evaluation.model
    if model.variant in TRAININGS:
        return _Model(model.family, model.variant, seeds)
    return _Model(group_of(seeds[0]), TRAININGS[0], seeds)


def _table(models: list[_Model]) -> str:
    shares = list(diagnostics.GRADIENTS)
    head = ["architecture", "training", "ε", "clean", "all-zero gradients: " + " / ".join(shares), *SHOWN.values()]
    lines = [markdown_row(head), markdown_row([":--", ":--", *["--:"] * (len(head) - 2)])]
    for model in models:
        zeros = model.zero_gradients()
        share = " / ".join(percent(zeros[name]) if name in zeros else MISSING for name in shares)
        # Values that do not depend on epsilon are shown in the first line only.
        given = [model.architecture, model.training_title], [_shown(model.clean), share]
        for epsilon in model.epsilons:
            cells = [_shown(model.accuracy(name, epsilon)) if name in model.scores else MISSING for name in SHOWN]
            lines.append(markdown_row([*given[0], f"{epsilon:g}", *given[1], *cells]))
            given = [""] * 2, [""] * 2
    return "\n".join(lines)


def _shown(share: Estimate) -> str:
    return f"{percent(share.value)}<br><sub>{interval((share.low, share.high))}</sub>"


def _caption(models: list[_Model]) -> str:
    named = [(name, score) for model in models for name, found in model.scores.items() for score in found]
    wide, few = (_counts([score for name, score in named if (name in _FEW) is is_few]) for is_few in (False, True))
    several = any(len(model.summaries) > 1 for model in models)
    widest = "Wilson's over the images, or Student's t over the seeds where that is wider"
    means = f"the mean over the seeds, [95 % interval: {widest}]"
    lines = [
        f"Accuracy in per cent on the first {wide} test images, {means if several else '[95 % Wilson interval]'}; an image "
        "broken at one ε counts as broken at all larger ones. All-zero gradients: share of these images, in per cent, on "
        "which the gradient with respect to the image is zero in every pixel."
    ]
    if few:
        lines.append(f"{FLAG}: only the first {few} images.")
    lines.append("Clean: the whole test split.")
    return " ".join(lines + _substitutes([summary for model in models for summary in model.summaries]))


def _counts(found: list[Score]) -> str:
    return " or ".join(f"{count:,}" for count in sorted({score.samples for score in found}))


def _substitutes(summaries: list[Summary]) -> list[str]:
    """Returns a sentence for each endpoint that was attacked in place of the one an attack is meant for."""
    wanted = {label: endpoints[0] for label, endpoints in comment.STABILIZED.items()}
    found: dict[tuple[str, str], dict[str, None]] = {}
    for summary in summaries:
        name = group_of(summary)
        pairs = {(wanted[s.label], s.endpoints[0]) for s in summary.attacks if s.label in wanted and s.endpoints}
        for pair in sorted(pair for pair in pairs if pair[0] != pair[1]):
            found.setdefault(pair, {})[name] = None
    return [f"No `{a}`: `{b}` was attacked instead ({', '.join(names)})." for (a, b), names in found.items()]


def _sentences(models: list[_Model]) -> list[str]:
    """For each saturating network and its plain twin: the apparent gain, and how much of it is real."""
    by_name = {(model.architecture, model.training): model for model in models}
    pairs = [(model, by_name.get((name, TRAININGS[0]))) for (name, kind), model in by_name.items() if kind == TRAININGS[1]]
    needed = {comment.PROBABILITIES, WORST}
    return [_sentence(own, twin) for own, twin in pairs if twin and needed <= own.scores.keys() & twin.scores.keys()]


def _sentence(own: _Model, twin: _Model) -> str:
    # An image that only a decision-based attack breaks is no gain either.
    worst = WORST_OF_ALL if WORST_OF_ALL in own.scores.keys() & twin.scores.keys() else WORST

    def accuracies(column: str, epsilon: float) -> tuple[float, float]:
        return own.accuracy(column, epsilon).value, twin.accuracy(column, epsilon).value

    def gap(epsilon: float) -> float:
        return accuracies(comment.PROBABILITIES, epsilon)[0] - accuracies(WORST, epsilon)[0]

    def gain(epsilon: float) -> float:
        saturating, plain = accuracies(worst, epsilon)
        return saturating - plain

    silent, best = (max(own.epsilons, key=difference) for difference in (gap, gain))
    naive, least = ([percent(value) for value in accuracies(column, silent)] for column in (comment.PROBABILITIES, WORST))
    found = [model.accuracy(worst, best) for model in (own, twin)]
    at_best = [f"{percent(share.value)} % {interval((share.low, share.high))}" for share in found]
    verdict = (
        f"It gains most over its twin at ε = {best:g}"
        if gain(best) > 0
        else f"It gains nothing over its twin at any ε and comes closest at ε = {best:g}"
    )
    return (
        f"- **Saturating {own.architecture}** at ε = {silent:g}, where its gradient hides most: FGSM on float32 "
        f"probabilities leaves {naive[0]} %, the worst case {least[0]} %; its plain twin: {naive[1]} and {least[1]} %. "
        f"{verdict}: {worst} {at_best[0]} against {at_best[1]}{_test(own, twin, worst, best)}."
    )


def _test(own: _Model, twin: _Model, column: str, epsilon: float) -> str:
    """McNemar's test of each seed against its twin's, if both saw the same images and all seeds agree on which is better.

    Reports the largest p, multiplied by the number of epsilons, because the epsilon with the greatest gain was chosen.
    """
    pairs = list(zip(own.scores[column], twin.scores[column], strict=False))
    if any(one.ids.tolist() != other.ids.tolist() for one, other in pairs):
        return ""
    kept = [[metrics.survivors(score.distances, epsilon) for score in pair] for pair in pairs]
    if len({np.sign(int(one.sum()) - int(other.sum())) for one, other in kept}) > 1:
        return "; the seeds disagree"
    largest = min(1.0, len(own.epsilons) * max(metrics.mcnemar(*pair) for pair in kept))
    shown = f"p = {largest:.2g}" if len(pairs) == 1 else f"p ≤ {largest:.2g} for each seed"
    return f" (McNemar's exact test, corrected for {len(own.epsilons)} ε: {shown})"


def _csv_rows(summary: Summary) -> list[dict[str, Any]]:
    identity = {"model": summary.name, "digest": summary.digest, "dataset": summary.dataset.name, "seed": summary.seed}
    rows = []
    for name, score in scores(summary).items():
        for epsilon in (0.0, *comment.epsilons(summary.dataset.thresholds["linf"])):
            low, high = metrics.wilson_interval(int(metrics.survivors(score.distances, epsilon).sum()), score.samples)
            values = {
                "accuracy": metrics.accuracy_at(score.distances, epsilon),
                "low": low,
                "high": high,
                "samples": score.samples,
            }
            rows.append({**identity, "column": name, "epsilon": epsilon, **values})
    for name, kept in diagnostics.zero_gradients(summary.evaluation).items():
        count = kept["samples"]
        low, high = metrics.wilson_interval(round(kept["value"] * count), count)
        values = {"accuracy": kept["value"], "low": low, "high": high, "samples": count}
        rows.append({**identity, "column": f"all-zero gradients: {name}", "epsilon": "", **values})
    return rows


def _figure(models: list[_Model]) -> Figure:
    """Accuracy against epsilon, one panel per architecture: under FGSM on probabilities and in the worst case."""
    shown = [model for model in models if model.training in TRAININGS[:2]] or models
    names = list(dict.fromkeys(model.architecture for model in shown))
    columns = min(len(names), _COLUMNS)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns + 0.6, 3.0 * rows + 0.4), dpi=130, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(names) :]:
        panel.set_axis_off()
    for panel, name in zip(panels.flat, names, strict=False):
        for model in (model for model in shown if model.architecture == name):
            _draw(panel, model)
        panel.set(ylim=(-2, 102))
        panel.set_title(name, fontsize=9, loc="left")
        panel.grid(color="0.9", linewidth=0.6)
    for panel in panels[-1]:
        panel.set_xlabel("ε (L∞)")
    for panel in panels[:, 0]:
        panel.set_ylabel("accuracy in %")
    lines = {label: line for panel in panels.flat for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    title = f"{models[0].summaries[0].dataset.name}: apparent robustness and worst case; bars: 95 % interval"
    figure.suptitle(title, fontsize=9)
    return figure


def _draw(panel: Axes, model: _Model) -> None:
    epsilons = (0.0, *model.epsilons)
    style = {"color": COLOURS[TRAININGS.index(model.training)], "markersize": 3, "capsize": 2}
    for column, line in ((comment.PROBABILITIES, "o--"), (WORST, "o-")):
        if column in model.scores:
            shares = [model.accuracy(column, epsilon) for epsilon in epsilons]
            left, low, high = (np.array([getattr(share, name) for share in shares]) for name in ("value", "low", "high"))
            # At 0 and 1 the interval ends at the share itself, so that rounding could make this negative.
            errors = np.maximum([left - low, high - left], 0.0)
            label = f"{model.training}, {SHOWN[column]}"
            panel.errorbar(epsilons, 100 * left, 100 * errors, fmt=line, label=label, **style)


def _make(summaries: list[Summary], page: Path, figures: Path) -> str:
    text, drawn = saturating_section(summaries, figures)
    links = (image_link(path, page.parent, "Apparent robustness and worst case") for path in drawn)
    return "\n\n".join([text.rstrip(), *links])


SECTION = Section("saturating", Summary, _make)
