"""The stored results of one model under an attack suite: the numbers behind every table, figure and card."""

import dataclasses
from typing import Any

import numpy as np

from cortexzoo.card import ModelCard
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results import diagnostics, metrics
from cortexzoo.evaluation.results.answers import Answers, answers_of
from cortexzoo.evaluation.results.cascade import broken, least_distances
from cortexzoo.evaluation.results.keys import run_keys
from cortexzoo.evaluation.results.model_results import ModelResults
from cortexzoo.evaluation.results.score import Score, union_of
from cortexzoo.evaluation.results.store import RunKey
from cortexzoo.norms import NORMS


@dataclasses.dataclass(frozen=True)
class Summary(ModelResults):
    """One model under one attack suite.

    Attributes:
        correct: the number of correctly classified clean test images.
        clean_samples: the number of clean test images.
        attacks: one score per attack, the minimum over its endpoints.
        unions: one score per norm, the minimum over its attacks, on the images that all of them attacked.
        checks: the checks for gradient masking.
        answers: of a random model, how often it was right in each norm.
    """

    correct: int
    clean_samples: int
    attacks: list[Score]
    unions: list[Score]
    checks: list[diagnostics.Check]
    answers: list[Answers] = dataclasses.field(default_factory=list)

    @property
    def clean_accuracy(self) -> float:
        """The accuracy on all clean test images."""
        return self.correct / self.clean_samples

    @property
    def minimal_accuracy(self) -> float | None:
        """The lowest union accuracy over the four norms; None if a norm has no attack."""
        by_norm = {score.norm: score.accuracy for score in self.unions}
        return min(by_norm.values()) if set(by_norm) == set(NORMS) else None

    def at_thresholds(self, scores: list[Score]) -> list[Score]:
        """Returns each score at every threshold of its norm."""
        return [score.at(epsilon) for score in scores for epsilon in self.evaluation.thresholds[score.norm]]

    def up_to(self, score: Score) -> list[Score]:
        """Returns the attacks whose results an attack's score holds: all up to it in its norm where broken images leave."""
        if not score.cumulative:
            return [score]
        members = [other for other in self.attacks if other.norm == score.norm]
        return members[: [other.label for other in members].index(score.label) + 1]

    def union(self, norm: str) -> Score | None:
        """Returns the minimum over the attacks in a norm; None if there are none."""
        return next((score for score in self.unions if score.norm == norm), None)

    def wide_union(self, norm: str) -> Score | None:
        """Returns the minimum over those attacks in a norm that saw the most images.

        None if all saw equally many, or if broken images leave: then the union is on all images itself.
        """
        members = [score for score in self.attacks if score.norm == norm]
        if any(score.cumulative for score in members):
            return None
        most = max((score.samples for score in members), default=0)
        wide = [score for score in members if score.samples == most]
        if len(wide) == len(members):
            return None
        left_out = ", ".join(score.label for score in members if score.samples < most)
        return union_of(f"all but {left_out}", wide)

    def clean_json(self) -> dict[str, Any]:
        """Returns the clean accuracy as in a model card."""
        interval = metrics.wilson_interval(self.correct, self.clean_samples)
        return {
            "correct": self.correct,
            "samples": self.clean_samples,
            "official_samples": self.dataset.official_test_size,
            "accuracy": self.clean_accuracy,
            "interval": list(interval),
        }

    def robust_json(self) -> dict[str, Any]:
        """Returns the robust accuracies as in a model card."""
        return {
            "seed": self.seed,
            "attacks": [score.as_json() for score in self.at_thresholds(self.attacks)],
            "unions": {score.norm: score.as_json() for score in self.unions},
            **({"answers": {found.norm: found.as_json() for found in self.answers}} if self.answers else {}),
        }

    def card_changes(self, card: ModelCard) -> dict[str, Any]:
        """Returns the fields to change in the model's card; scores of other suites stay."""
        changes: dict[str, Any] = {"clean": self.clean_json()}
        if self.attacks:
            changes["robust"] = {**card.robust, self.suite: self.robust_json()}
            changes["diagnostics"] = {**card.diagnostics, self.suite: [check.as_json() for check in self.checks]}
        return changes


def summarize(evaluation: Evaluation, suite: str, members: tuple[Member, ...], default: int) -> Summary:
    """Computes the numbers of one model, from the store only.

    Args:
        evaluation: what was evaluated.
        suite: the suite's name.
        members: the attacks; those without results are left out.
        default: the number of first images to count if the evaluation gives none.
    """
    ids, labels, predictions = evaluation.store.clean(evaluation.digest, evaluation.info.name)
    count = evaluation.samples or default
    by_label: dict[str, list[Score]] = {}
    earlier: dict[str, list[RunKey]] = {norm: [] for norm in NORMS}
    for member in members:
        before = earlier[member.attack.norm]
        score = _score(evaluation, member, count) if member.leaves_at is None else _left(evaluation, member, count, before)
        if score is not None:
            by_label.setdefault(score.label, []).append(score)
        before += run_keys(evaluation, member)
    attacks = [_merged(scores) for scores in by_label.values()]
    unions = _unions(attacks)
    answers = [answers_of(evaluation.store, union, earlier[union.norm]) for union in unions]
    return Summary(
        evaluation=evaluation,
        suite=suite,
        correct=int(np.sum(labels == predictions)),
        clean_samples=len(ids),
        attacks=attacks,
        unions=unions,
        checks=diagnostics.from_scores(attacks) + diagnostics.from_store(evaluation),
        answers=[found for found in answers if found is not None],
    )


def _score(evaluation: Evaluation, member: Member, count: int) -> Score | None:
    """The result of an attack that saw every image; None where it did not run."""
    store = evaluation.store
    found = [_stored(evaluation, key) for key in run_keys(evaluation, member)]
    if not all(found):
        return None
    results = [_least([store.distances(store.find_run(key)) for key in keys]) for keys in found]
    limit = min(count, member.samples or count)
    least = {i: min(result[i] for result in results) for i in set.intersection(*map(set, results)) if i < limit}
    return _score_of(evaluation, member, count, least, found)


def _left(evaluation: Evaluation, member: Member, count: int, earlier: list[RunKey]) -> Score | None:
    """What is left after an attack that broken images leave, up to the first image that is not done; None for none."""
    store, keys = evaluation.store, run_keys(evaluation, member)
    runs = [store.find_run(key) for key in keys]
    if None in runs:
        return None
    least, results = least_distances(store, earlier), [store.distances(run) for run in runs]
    done: dict[int, float] = {}
    for i in range(min(count, member.samples or count)):
        for result in results:
            if i not in result and not broken({i: least.get(i, np.inf)}, member.leaves_at):
                return _score_of(evaluation, member, count, done, [[key] for key in keys])
            least[i] = min(least.get(i, np.inf), result.get(i, np.inf))
        done[i] = least[i]
    return _score_of(evaluation, member, count, done, [[key] for key in keys])


def _score_of(
    evaluation: Evaluation, member: Member, count: int, least: dict[int, float], found: list[list[RunKey]]
) -> Score | None:
    if not least:
        return None
    store, first, ids = evaluation.store, found[0][0], sorted(least)
    return Score(
        label=member.label,
        norm=member.attack.norm,
        epsilon=evaluation.info.thresholds[member.attack.norm],
        distances=np.array([least[i] for i in ids]),
        ids=np.array(ids),
        seconds=sum(store.seconds(store.find_run(key)) for keys in found for key in keys),
        settings=first.settings,
        uses_gradients=member.attack.uses_gradients,
        endpoints=tuple(keys[0].endpoint for keys in found),
        versions=store.versions(store.find_run(first)),
        cumulative=member.leaves_at is not None,
        partial=member.samples is not None and member.samples < count,
        minimal=None if member.leaves_at is None else np.array([], np.int64),
    )


def _stored(evaluation: Evaluation, key: RunKey) -> list[RunKey]:
    """The run itself, or else runs of the same attack at other epsilons: distances are valid at every threshold."""
    return [key] if evaluation.store.find_run(key) is not None else evaluation.store.runs_at_other_sizes(key)


def _least(results: list[dict[int, float]]) -> dict[int, float]:
    """Each image's smallest distance, by sample id."""
    ids = set.union(*map(set, results))
    return {i: min(result.get(i, np.inf) for result in results) for i in ids}


def _merged(scores: list[Score]) -> Score:
    """The same attack at several epsilons: each image's smallest distance, with the settings of the first score."""
    if len(scores) == 1:
        return scores[0]
    best = union_of(scores[0].label, scores)
    return dataclasses.replace(scores[0], distances=best.distances, ids=best.ids, seconds=best.seconds)


def _unions(attacks: list[Score]) -> list[Score]:
    by_norm = [(norm, [score for score in attacks if score.norm == norm]) for norm in NORMS]
    unions = [union_of(f"all {norm}", members) for norm, members in by_norm if members]
    return [score for score in unions if score.samples]
