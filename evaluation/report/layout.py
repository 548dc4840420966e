"""Rows, columns and cells of the table of results, shared by the terminal and Markdown."""

import dataclasses
import math
from collections import Counter
from typing import TypeVar

import numpy as np

from cortexzoo.card_page import level_name
from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.diagnosis import from_store
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.shifts import ShiftSummary
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORM_NAMES, NORMS

AnySummary = TypeVar("AnySummary", Summary, ShiftSummary)
FLAG = "†"
MISSING = "—"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number of one model.

    Attributes:
        value: the accuracy, "66.0", or what is shown instead.
        median: the median distance, "1.92"; empty if there is none.
        interval: the accuracy's interval, "[63.0, 68.9]", or the reason why there is none.
        note: what is different about this number; usually empty.
    """

    value: str
    median: str = ""
    interval: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """Median and accuracy as papers print them, "1.92 / 66.0"."""
        return f"{self.median} / {self.value}" if self.median else self.value


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        kind: "group" (a header without cells), "attack", "union" or "total".
        label: the row's name.
        cells: one per model; none for a header.
        samples: the number of images, flagged if it is not the table's usual one.
        times: duration of the attack, "12 s", one per model; empty if it does not apply.
    """

    kind: str
    label: str
    cells: tuple[Cell, ...] = ()
    samples: str = ""
    times: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """One data set's models under one suite.

    Attributes:
        summaries: the models, in the order of the columns.
        columns: their names, without the data set's.
        rows: top to bottom.
        samples: the usual number of images; None without attacks.
        flagged: whether some attack ran on another number of images.
    """

    summaries: list[Summary]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    samples: int | None
    flagged: bool


def percent(share: float) -> str:
    """Formats a share in [0, 1] in per cent, without the % sign."""
    return f"{100 * share:.1f}"


def distance(value: float) -> str:
    """Formats a distance with three significant digits; "∞" if it is infinite."""
    if math.isinf(value):
        return "∞"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def interval(bounds: tuple[float, float]) -> str:
    """Formats an interval of shares in per cent."""
    return f"[{percent(bounds[0])}, {percent(bounds[1])}]"


def id_ranges(ids: np.ndarray) -> str:
    """Formats sorted sample ids as ranges: [0, 1, 2, 7] becomes "0-2, 7"."""
    pieces = np.split(ids, np.flatnonzero(np.diff(ids) != 1) + 1) if len(ids) else []
    return ", ".join(f"{piece[0]}-{piece[-1]}" if len(piece) > 1 else str(piece[0]) for piece in pieces)


def by_dataset(summaries: list[AnySummary]) -> list[list[AnySummary]]:
    """Groups summaries by data set, in order of first appearance.

    Raises:
        ValueError: they are from different suites or seeds, which no table can compare.
    """
    if len(found := sorted({(summary.suite, summary.seed) for summary in summaries})) > 1:
        raise ValueError(f"Expected summaries from one suite and one seed. Received: {found}. Report them separately.")
    names = dict.fromkeys(summary.dataset.name for summary in summaries)
    return [[summary for summary in summaries if summary.dataset.name == name] for name in names]


def data_line(summary: AnySummary) -> str:
    """Returns the sentence above a table of one data set: what was evaluated, with which suite and seed."""
    return f"Data: {summary.dataset.name}, test split; suite `{summary.suite}`, seed {summary.seed}."


def column_names(summaries: list[Summary]) -> tuple[str, ...]:
    """Returns the models' names, without the data set's if they share it; equal names get the start of their digests."""
    shared = len({summary.dataset.name for summary in summaries}) == 1
    names = [summary.name.removeprefix(f"{summary.dataset.name}/") if shared else summary.name for summary in summaries]
    count = Counter(names)
    return tuple(
        name if count[name] == 1 else f"{name} {summary.digest[:8]}" for name, summary in zip(names, summaries, strict=True)
    )


def tables(summaries: list[Summary]) -> list[Table]:
    """Lays out the numbers, one table per data set.

    Raises:
        ValueError: the summaries are from different suites or seeds.
    """
    return [_table(group) for group in by_dataset(summaries)]


def _table(summaries: list[Summary]) -> Table:
    counts = Counter(score.samples for summary in summaries for score in summary.attacks)
    usual = max(counts, key=lambda samples: (counts[samples], samples)) if counts else None
    rows = [row for norm in NORMS for row in _norm_rows(summaries, norm, usual)]
    rows += [_clean_row(summaries)]
    if counts:
        rows += [_minimal_row(summaries, usual), _masking_row(summaries)]
    flagged = any(FLAG in row.samples + "".join(cell.note for cell in row.cells) for row in rows)
    return Table(summaries, column_names(summaries), tuple(rows), usual, flagged)


def _norm_rows(summaries: list[Summary], norm: str, usual: int | None) -> list[Row]:
    thresholds = dict.fromkeys(epsilon for summary in summaries for epsilon in summary.evaluation.thresholds[norm])
    return [row for epsilon in thresholds for row in _threshold_rows(summaries, norm, epsilon, usual)]


def _threshold_rows(summaries: list[Summary], norm: str, epsilon: float, usual: int | None) -> list[Row]:
    labels = dict.fromkeys(score.label for summary in summaries for score in summary.attacks if score.norm == norm)
    if not labels:
        return []
    found = [{s.label: s.at(epsilon) for s in summary.attacks if s.norm == norm} for summary in summaries]
    rows = [Row("group", f"{NORM_NAMES[norm]}, ε = {level_name(epsilon)}")]
    rows += [_score_row("attack", label, [scores.get(label) for scores in found], usual) for label in labels]
    wide = [_at(summary.wide_union(norm), epsilon) for summary in summaries]
    if len(texts := {score.label for score in wide if score}) == 1:
        rows.append(_score_row("attack", texts.pop(), wide, usual))
    unions = [_at(summary.union(norm), epsilon) for summary in summaries]
    return [*rows, _score_row("union", f"all {NORM_NAMES[norm]}", unions, usual)]


def _at(score: Score | None, epsilon: float) -> Score | None:
    return score and score.at(epsilon)


def _score_row(kind: str, label: str, scores: list[Score | None], usual: int | None) -> Row:
    samples, notes = _sample_counts([score.samples if score else None for score in scores], usual)
    cells = [_score_cell(score, note) for score, note in zip(scores, notes, strict=True)]
    times = tuple(f"{score.seconds:.0f} s" if score else "" for score in scores)
    return Row(kind, label, tuple(cells), samples, times)


def _sample_counts(counts: list[int | None], usual: int | None) -> tuple[str, list[str]]:
    """Returns a row's text in the column N, and the notes for its cells if the models differ."""
    found = set(counts) - {None}
    if len(found) == 1:
        (count,) = found
        return f"{count:,}" if count == usual else f"{count:,} {FLAG}", [""] * len(counts)
    notes = ["" if count in (None, usual) else f"N = {count:,} {FLAG}" for count in counts]
    return "varies" if found else "", notes


def _score_cell(score: Score | None, note: str) -> Cell:
    if score is None:
        return Cell(MISSING)
    median = "" if math.isnan(score.median) else distance(score.median)
    return Cell(percent(score.accuracy), median, interval(score.interval), note)


def _clean_row(summaries: list[Summary]) -> Row:
    bounds = [metrics.wilson_interval(summary.correct, summary.clean_samples) for summary in summaries]
    cells = [Cell(percent(s.clean_accuracy), interval=interval(b)) for s, b in zip(summaries, bounds, strict=True)]
    counts = {summary.clean_samples for summary in summaries}
    if len(counts) == 1:
        return Row("total", "clean", tuple(cells), f"{counts.pop():,}")
    cells = [dataclasses.replace(c, note=f"N = {s.clean_samples:,}") for c, s in zip(cells, summaries, strict=True)]
    return Row("total", "clean", tuple(cells), "varies")


def _minimal_row(summaries: list[Summary], usual: int | None) -> Row:
    complete = [summary.minimal_accuracy is not None for summary in summaries]
    least = [
        min(s.unions, key=lambda score: score.accuracy) if c else None for s, c in zip(summaries, complete, strict=True)
    ]
    samples, notes = _sample_counts([score.samples if score else None for score in least], usual)
    cells = []
    for summary, score, note in zip(summaries, least, notes, strict=True):
        if score is None:
            absent = [NORM_NAMES[norm] for norm in NORMS if norm not in {score.norm for score in summary.unions}]
            cells.append(Cell(MISSING, interval=f"no {', '.join(absent)}"))
        else:
            value = f"{percent(score.accuracy)} ({NORM_NAMES[score.norm]})"
            cells.append(Cell(value, interval=interval(score.interval), note=note))
    return Row("union", "minimal", tuple(cells), samples)


def _masking_row(summaries: list[Summary]) -> Row:
    counts = [sum(check.warning for check in summary.checks) for summary in summaries]
    cells = [
        Cell(f"{count} of {len(summary.checks)}" if summary.checks else "not checked")
        for count, summary in zip(counts, summaries, strict=True)
    ]
    return Row("total", "masking signs", tuple(cells))


def masking_signs(summaries: list[Summary]) -> list[str]:
    """Returns the verdicts, and the warnings of gradient masking with their models or one line that there are none."""
    names = column_names(summaries)
    diagnoses = {
        name: from_store(summary.evaluation, summary.checks) for name, summary in zip(names, summaries, strict=True)
    }
    verdicts = [f"{name}: {diagnosis.verdict}" for name, diagnosis in diagnoses.items() if diagnosis]
    found: dict[str, list[str]] = {}
    for summary, name in zip(summaries, names, strict=True):
        diagnosis = diagnoses[name]
        for check in [*summary.checks, *(diagnosis.checks if diagnosis else ())]:
            if check.warning:
                found.setdefault(check.name, []).append(f"{name} {check.finding}")
    total = sum(len(summary.checks) for summary in summaries)
    if total and not found:
        return [*verdicts, f"None of the {total} checks raises a warning."]
    return [*verdicts, *(f"{name}: {'; '.join(findings)}" for name, findings in found.items())]


def caption(table: Table) -> str:
    """Returns the sentences that explain the numbers: how many images, which seed, what the symbols mean."""
    first = table.summaries[0]
    if table.samples is None:
        lines = ["Accuracy on clean test images in per cent, with its 95 % Wilson interval."]
    else:
        prefix = _is_prefix(table.summaries)
        images = f"the first {table.samples:,} test images" if prefix else f"{table.samples:,} test images"
        lines = [
            f"Median distance / accuracy in per cent at ε, [95 % Wilson interval]; {images}, seed {first.seed}.",
            "A misclassified image has distance 0, a failed attack ∞.",
            '"all": each image\'s smallest distance over the attacks above.',
            '"minimal": the lowest "all" over the four norms; — if a norm has no attack.',
        ]
        if any(score.cumulative for summary in table.summaries for score in summary.attacks):
            lines.append("An image leaves once it is broken at ε: what an attack is said to leave, all above left together.")
            lines += _medians(table.summaries)
        if table.flagged:
            leaves = any(score.cumulative for summary in table.summaries for score in summary.attacks)
            common = "counts on the images that an attack saw" if leaves else "uses the images that every attack above saw"
            lines.append(f'{FLAG}: not {table.samples:,} images; "all" {common}.')
    lines += [_answers(summary) for summary in table.summaries if summary.answers]
    if conventional := _conventional(table.summaries):
        lines.append(f"These images have no established thresholds: CIFAR-10's are used in {conventional}.")
    return " ".join([*lines, *_clean_notes(table.summaries), *first.evaluation.images.notes])


def _medians(summaries: list[Summary]) -> list[str]:
    """Of how many images the distance is minimised."""
    counts = sorted({len(union.minimised) for summary in summaries for union in summary.unions} - {0})
    return [f"Medians: the first {' or '.join(f'{count:,}' for count in counts)} images."] if counts else []


def _answers(summary: Summary) -> str:
    """How often a random model was right."""
    parts = [
        f"in {NORM_NAMES[found.norm]} at most {percent(found.mean)} % of the answers are right, and all of them for "
        f"{percent(found.worst)} % of the images"
        for found in summary.answers
    ]
    repeats = summary.answers[0].repeats
    return f"{summary.name} is random and judged by the mean of {repeats} answers; at ε {'; '.join(parts)}."


def _conventional(summaries: list[Summary]) -> str:
    """The norms whose threshold was given neither by the data set nor by the user."""
    norms = dict.fromkeys(score.norm for summary in summaries for score in summary.unions)
    found = [norm for norm in norms if any(norm in summary.evaluation.conventional for summary in summaries)]
    return ", ".join(NORM_NAMES[norm] for norm in found)


def _is_prefix(summaries: list[Summary]) -> bool:
    return all(np.array_equal(s.ids, np.arange(s.samples)) for summary in summaries for s in summary.attacks)


def _clean_notes(summaries: list[Summary]) -> list[str]:
    counts = sorted({summary.clean_samples for summary in summaries})
    return [f"Clean accuracy: {of_official(count, summaries[0].dataset)}." for count in counts]


def of_official(count: int, dataset: DatasetInfo) -> str:
    """Says how many of the official test images were used: a data set may be available only in part."""
    official = dataset.official_test_size
    if not dataset.tfds_name:
        return f"all {official:,} images" if count == official else f"the first {count:,} of {official:,} images"
    if count < official:
        return f"the first {count:,} of {official:,} official test images"
    return f"all {official:,} official test images"
