"""Pairwise comparison of models on the same images: which one withstands the attacks on more of them."""

import itertools

import numpy as np

from cortexzoo.evaluation.report.layout import by_dataset, column_names
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.results.metrics import mcnemar, survivors
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORM_NAMES, NORMS

_ALPHA = 0.05


def pairs_table(summaries: list[Summary]) -> str:
    """Returns a Markdown table: the difference in union accuracy, in points, for each pair of models and each norm.

    Significant differences are bold: McNemar's p, times the number of comparisons in the table, is below 0.05.
    """
    parts = []
    for group in by_dataset(summaries):
        norms = [norm for norm in NORMS if any(summary.union(norm) for summary in group)]
        pairs = list(itertools.combinations(range(len(group)), 2))
        found = [[_compare(group[a], group[b], norm) for norm in norms] for a, b in pairs]
        comparisons = sum(result is not None for row in found for result in row)
        names = column_names(group)
        lines = ["| models | " + " | ".join(NORM_NAMES[norm] for norm in norms) + " |", "| :-- |" + " --: |" * len(norms)]
        for (a, b), row in zip(pairs, found, strict=True):
            cells = " | ".join(_cell(result, comparisons) for result in row)
            lines.append(f"| {names[a]} - {names[b]} | {cells} |")
        lines.append(
            "\nThe first model's accuracy under all attacks in a norm minus the second's, in points, on the images on which "
            f"both were attacked. Bold: significant, p < {_ALPHA} in McNemar's exact test, Bonferroni-corrected for the "
            f"table's {comparisons} comparisons. Variation between trainings is not included."
        )
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _compare(first: Summary, second: Summary, norm: str) -> tuple[float, float] | None:
    """The difference in points and its p; None if either model lacks the norm or they share no images."""
    one, other = first.union(norm), second.union(norm)
    if one is None or other is None:
        return None
    _, here, there = np.intersect1d(one.ids, other.ids, return_indices=True)
    if not len(here):
        return None
    kept = survivors(one.distances[here], one.epsilon), survivors(other.distances[there], other.epsilon)
    return 100 * float(np.mean(kept[0]) - np.mean(kept[1])), mcnemar(*kept)


def _cell(result: tuple[float, float] | None, comparisons: int) -> str:
    if result is None:
        return "—"
    text = f"{result[0]:+.1f}"
    return f"**{text}**" if result[1] * comparisons < _ALPHA else text


SECTION = Section("pairs", Summary, lambda summaries, page, figures: pairs_table(summaries))
