"""Gates for continuous integration: the accuracy that a model must reach."""

from collections.abc import Sequence
from typing import Any

from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.results import metrics
from cortexzoo.norms import NORM_NAMES, NORMS


def parse_gates(texts: Sequence[str]) -> dict[str, float]:
    """Parses gates such as ["linf:0.5", "clean:0.9"] into the required accuracy by norm or "clean".

    Raises:
        ValueError: a text is not a gate.
    """
    gates = {}
    for text in texts:
        name, _, number = text.partition(":")
        try:
            least = float(number)
        except ValueError:
            least = -1.0
        if name not in (*NORMS, "clean") or not 0.0 <= least <= 1.0:
            raise ValueError(
                f"Expected NORM:SHARE with a norm of {', '.join(NORMS)} or `clean` and a share in [0, 1], as in linf:0.5. "
                f"Received: {text!r}."
            )
        gates[name] = least
    return gates


def check_gates(gates: dict[str, float], suite: Any, evaluation: Any) -> None:
    """Checks before the attacks that the suite will give a result for each gate.

    Raises:
        ValueError: the suite does not attack the norm of a gate.
    """
    wanted = {name: least for name, least in gates.items() if name != "clean"}
    members = suite.members(evaluation) if wanted else ()
    attacked = {member.attack.norm for member in members if isinstance(member, Member)}
    for name, least in wanted.items():
        if name not in attacked:
            raise _no_attack(name, least, suite.name)


def failures(summaries: list[Any], gates: dict[str, float]) -> list[str]:
    """Returns a sentence for each failed gate of each model: the lower end of the 95 % interval is below what is required.

    Raises:
        ValueError: the suite does not attack the norm of a gate.
    """
    return [text for summary in summaries for name, least in gates.items() if (text := _failure(summary, name, least))]


def _failure(summary: Any, name: str, least: float) -> str:
    if name == "clean":
        samples, low = summary.clean_samples, metrics.wilson_interval(summary.correct, summary.clean_samples)[0]
        what = "clean accuracy"
    else:
        union = summary.union(name)
        if union is None:
            raise _no_attack(name, least, summary.suite)
        samples, low = union.samples, union.interval[0]
        what = f"robust accuracy in {NORM_NAMES[name]} at {union.epsilon:.4g}"
    if low >= least:
        return ""
    found = f"at least {100 * low:.1f} % (95 % interval, {samples:,} images)"
    return f"{summary.name}: {what} is {found}; {100 * least:.1f} % is required."


def _no_attack(name: str, least: float, suite: str) -> ValueError:
    return ValueError(
        f"Expected a suite that attacks {NORM_NAMES[name]}, for --fail_under={name}:{least:g}. Received: {suite}."
    )
