"""Measures the signs of masking on a model, keeps them in the store, and reads the diagnosis from there."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, all_signs
from cortexzoo.evaluation.diagnosis.subject import Subject, sources_of
from cortexzoo.evaluation.diagnosis.verdict import verdict_of
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results.diagnostics import Check, norms_beyond_ascent
from cortexzoo.evaluation.running.clean import evaluate_clean
from cortexzoo.evaluation.running.progress import progress_bar


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Whether the gradient of a model can be trusted.

    Attributes:
        verdict: one or two sentences.
        causes: names of the causes of masking, see `verdict.CAUSES`; empty if there is no sign of masking.
        checks: one per sign that applies to the model.
    """

    verdict: str
    causes: tuple[str, ...]
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the diagnosis as plain JSON values."""
        return {
            "verdict": self.verdict,
            "causes": list(self.causes),
            "checks": [check.as_json() for check in self.checks],
        }


def diagnose(evaluation: Evaluation) -> None:
    """Measures the signs that the store lacks on the model's first correctly classified images, and shows the progress.

    It takes about a minute for a small network. The attacks that it runs are short and at the data set's thresholds.

    Raises:
        ClassifierError: the model gives NaN, or its classes do not fit the images.
    """
    evaluate_clean(evaluation)
    missing = [sign for sign in all_signs() if not _is_stored(evaluation, sign)]
    if not missing:
        return
    subject = Subject(evaluation)
    with progress_bar(evaluation.model.name, len(missing)) as advance:
        for sign in missing:
            advance(0, sign.title)
            # Without correctly classified images there is nothing to attack.
            measurement = sign.measure(subject) if len(subject) else None
            evaluation.store.set_check(*_place(evaluation, sign), {"measurement": measurement})
            advance(1, sign.title)


def from_store(evaluation: Evaluation, attacked: Sequence[Check] = ()) -> Diagnosis | None:
    """Returns the diagnosis from what `diagnose` stored; None if any sign is missing.

    Args:
        evaluation: what was evaluated.
        attacked: a suite's own checks, `Summary.checks`. The verdict then also says where APGD was not the last word.
    """
    signs = all_signs()
    if not all(_is_stored(evaluation, sign) for sign in signs):
        return None
    kept = {sign.key: evaluation.store.check(*_place(evaluation, sign))["measurement"] for sign in signs}
    found: dict[str, Measurement] = {key: measurement for key, measurement in kept.items() if measurement is not None}
    checks = {sign.key: sign.check(found[sign.key]) for sign in signs if sign.key in found}
    causes, verdict = verdict_of(found, checks, norms_beyond_ascent(attacked))
    return Diagnosis(verdict, causes, tuple(checks.values()))


def _is_stored(evaluation: Evaluation, sign: Sign) -> bool:
    return evaluation.store.check(*_place(evaluation, sign)) is not None


def _place(evaluation: Evaluation, sign: Sign) -> tuple[str, str, str]:
    """Where the store keeps a measurement: a model, a data set, and what else it depends on."""
    thresholds = {norm: evaluation.info.thresholds[norm] for norm in ("linf", "l0")}
    settings = {"version": sign.version, "seed": evaluation.seed, **thresholds}
    if sign.uses_sources:
        settings["sources"] = sources_of(evaluation)
    return evaluation.digest, evaluation.info.name, f"diagnosis: {sign.key} {json.dumps(settings)}"
