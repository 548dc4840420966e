"""Which attack reached each sample's smallest distance."""

from collections import Counter
from typing import Any

import numpy as np

from cortexzoo.evaluation.report.layout import by_dataset, column_names
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.results.metrics import survivors
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORM_NAMES

FIELDS = ("model", "digest", "dataset", "suite", "seed", "norm", "sample", "distance", "broken", "attacks")
_NAMED = 3


def nearest_rows(summaries: list[Summary]) -> list[dict[str, Any]]:
    """Returns one row for each model, norm and sample that every attack in the norm saw.

    Returns:
        Dicts with the keys `FIELDS`: `distance`, the smallest over the attacks, "inf" if all failed; `broken`, whether it is
        within the threshold; `attacks`, the labels of those that reached it, separated by ";", empty if the distance is 0
        or infinite.
    """
    rows = []
    for summary in summaries:
        identity = (summary.name, summary.digest, summary.dataset.name, summary.suite, summary.seed)
        for union in summary.unions:
            broken = ~survivors(union.distances, union.epsilon)
            for i, (sample, labels) in enumerate(zip(union.ids, nearest(summary, union), strict=True)):
                distance = float(union.distances[i])
                values = (*identity, union.norm, int(sample), distance, bool(broken[i]), ";".join(labels))
                rows.append(dict(zip(FIELDS, values, strict=True)))
    return rows


def nearest(summary: Summary, union: Score) -> list[list[str]]:
    """Returns the labels of the attacks that reached the smallest distance, for each sample of a union."""
    found: list[list[str]] = [[] for _ in union.ids]
    attacked = np.isfinite(union.distances) & (union.distances > 0)
    for score in summary.attacks:
        if score.norm == union.norm:
            known = dict(zip(map(int, score.ids), score.distances, strict=True))
            for i in np.flatnonzero(attacked):
                # Where broken images leave, a later attack holds the distances of the earlier ones.
                inherited = score.cumulative and found[i]
                if known.get(int(union.ids[i])) == union.distances[i] and not inherited:
                    found[i].append(score.label)
    return found


def nearest_table(summaries: list[Summary]) -> str:
    """Returns a Markdown table: the attacks that most often came nearest, with their shares, for each norm and model."""
    parts = []
    for group in by_dataset(summaries):
        lines = ["| norm | " + " | ".join(column_names(group)) + " |", "| :-- |" + " :-- |" * len(group)]
        for norm in dict.fromkeys(union.norm for summary in group for union in summary.unions):
            lines.append(f"| {NORM_NAMES[norm]} | " + " | ".join(_cell(summary, norm) for summary in group) + " |")
        parts.append("\n".join(lines))
    parts.append(
        "Share of the broken images, at any distance, on which an attack found the nearest adversarial image; ties count "
        f"for each attack. The {_NAMED} most frequent attacks are shown."
    )
    return "\n\n".join(parts) + "\n"


def _cell(summary: Summary, norm: str) -> str:
    union = summary.union(norm)
    labels = [labels for labels in nearest(summary, union) if labels] if union else []
    count = Counter(label.removesuffix(f" {NORM_NAMES[norm]}") for found in labels for label in found)
    return "<br>".join(f"{label} {100 * times / len(labels):.0f} %" for label, times in count.most_common(_NAMED))


SECTION = Section("nearest", Summary, lambda summaries, page, figures: nearest_table(summaries))
