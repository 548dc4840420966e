"""One number for a model in each norm: the worst case over everything that was run on it."""

import dataclasses
from typing import Any

import numpy as np

from cortexzoo.evaluation import suites
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.diagnostics import Check
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORM_NAMES, NORMS

# Without its attacks there is no verdict.
REQUIRED = "strong"


@dataclasses.dataclass(frozen=True)
class WorstCase:
    """What is left of a model's accuracy in one norm.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        epsilon: the threshold.
        ids: int64, (n,). The images that the suite `strong` attacked.
        broken: bool, (n,). Those with an adversarial image within the threshold, of whatever suite, or misclassified.
        common: bool, (n,). Those that all suites attacked.
        votes: by attack, how many images it broke that no attack before it did; the attacks of `strong` come first.
    """

    norm: str
    epsilon: float
    ids: np.ndarray
    broken: np.ndarray
    common: np.ndarray
    votes: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Returns an entry of `robustness` in a model card."""
        return {
            "epsilon": self.epsilon,
            **_share(~self.broken),
            "decided_by": list(self.votes)[-1] if self.votes else "",
            "votes": self.votes,
            "common": _share(~self.broken[self.common]),
        }


def worst_cases(evaluation: Evaluation) -> dict[str, WorstCase]:
    """Returns the worst case over all suites in the store, by norm, without those in which `strong` is not complete.

    The images are those that `strong` attacked. What another suite found on one of them counts, even if it did not attack
    all of them. So the number is never higher than that of any suite on the same images.
    """
    evaluation = dataclasses.replace(evaluation, norms=NORMS)
    known = {name: suite for name, suite in suites.suites().items() if suite.summary_type is Summary}
    required = known.pop(REQUIRED)
    if not required.has_results(evaluation):
        return {}
    first = required.summarize(evaluation)
    others = [suite.summarize(evaluation) for suite in known.values() if suite.has_results(evaluation)]
    wanted = required.members(evaluation)
    norms = [norm for norm in NORMS if _is_complete(first, {m.label for m in wanted if m.attack.norm == norm}, norm)]
    return {norm: _worst_case(norm, first, others) for norm in norms}


def checks_of_strong(evaluation: Evaluation) -> list[Check]:
    """Returns the signs of masking that the suite `strong` shows; empty where it was not run."""
    evaluation, required = dataclasses.replace(evaluation, norms=NORMS), suites.suites()[REQUIRED]
    return required.summarize(evaluation).checks if required.has_results(evaluation) else []


def _is_complete(summary: Summary, labels: set[str], norm: str) -> bool:
    """Whether every attack of the norm has seen all images that it should see."""
    members = [score for score in summary.attacks if score.norm == norm]
    union = summary.union(norm)
    whole = {score.samples for score in members if not score.partial}
    return union is not None and labels == {score.label for score in members} and whole == {union.samples}


def _worst_case(norm: str, first: Summary, others: list[Summary]) -> WorstCase:
    union = first.union(norm)
    # What is misclassified without an attack is nobody's success.
    broken, votes = union.distances == 0.0, {}
    for score in (score for summary in (first, *others) for score in summary.attacks if score.norm == norm):
        by_this = np.isin(union.ids, score.ids[~metrics.survivors(score.distances, union.epsilon)]) & ~broken
        if by_this.any():
            name = score.label.removesuffix(NORM_NAMES[norm]).strip()
            votes[name] = votes.get(name, 0) + int(by_this.sum())
        broken = broken | by_this
    attacked = [other.union(norm) for other in others if other.union(norm) is not None]
    common = np.all([np.isin(union.ids, score.ids) for score in [union, *attacked]], axis=0)
    return WorstCase(norm, union.epsilon, union.ids, broken, common, votes)


def _share(survives: np.ndarray) -> dict[str, Any]:
    count = int(survives.sum())
    if not len(survives):
        return {"samples": 0}
    return {
        "samples": len(survives),
        "accuracy": count / len(survives),
        "interval": list(metrics.wilson_interval(count, len(survives))),
    }
