"""What the signs mean together: one or two sentences, and the cause if it is known."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from cortexzoo.evaluation.diagnosis.sign import Measurement
from cortexzoo.evaluation.results.diagnostics import Check

_Measurements = Mapping[str, Measurement]
# Of the images that a search for pixels breaks and pixels ranked by the gradient do not, a share worth a word.
SPARSE_GAP = 0.5
NO_SIGN = "No sign of masking: gradients lead the attacks."
UNKNOWN = "unknown"
_UNKNOWN = (
    "Gradients mislead the attacks for a reason that no sign names ({}). Trust no accuracy under attacks that follow the "
    "gradient alone; judge it by black-box and transferred attacks."
)


@dataclasses.dataclass(frozen=True)
class Cause:
    """A cause of masking.

    Attributes:
        name: identifies it.
        applies: whether it is present, from the measurements by sign and the signs that warn.
        verdict: what it does, and what can be trusted.
    """

    name: str
    applies: Callable[[_Measurements, frozenset[str]], bool]
    verdict: str


def _value(found: _Measurements, sign: str, name: str = "value") -> float:
    return found[sign][name] if sign in found else 0.0


def _has_no_gradient_anywhere(found: _Measurements) -> bool:
    return _value(found, "zero_gradient") > 0.5 and _value(found, "zero_gradient", "in_noise") > 0.5


# In L-infinity, gradients lose to something else.
_BEATEN = frozenset({"gradient_free", "precision", "random_noise", "single_step", "transfer", "unbounded"})


def _is_lost_in_float32(found: _Measurements, warned: frozenset[str]) -> bool:
    """Whether an endpoint of higher precision has a gradient, or a better one."""
    if "zero_gradient" in warned and _value(found, "zero_gradient", "elsewhere") > 0.0:
        return True
    without = _value(found, "gradient_direction")
    return "gradient_direction" in warned and _value(found, "gradient_direction", "stabilized") < without / 2


# The gradient at the image, whatever attacks make of it.
_LOCAL = frozenset({"finite_differences", "gradient_direction"})

# In the order in which they are looked for: of a random model the other signs say nothing, and a rounding of the logits
# looks like a threshold on the pixels but for the logits' values.
CAUSES = (
    Cause(
        "randomness",
        lambda found, warned: "randomness" in warned,
        "The model answers differently when asked again, so one gradient and one answer are draws of chance. Trust only "
        "accuracies under averaged gradients (expectation over transformations) that are judged over repeated answers.",
    ),
    Cause(
        "batch_statistics",
        lambda found, warned: "batch_statistics" in warned,
        "The logits of an image depend on the other images of its batch, as with batch statistics at inference. No accuracy "
        "can be trusted: export the model in inference mode and evaluate it again.",
    ),
    Cause(
        "rounded_logits",
        lambda found, warned: "rounded_logits" in warned and _has_no_gradient_anywhere(found),
        "The logits are rounded, and rounding has no gradient. Trust only black-box and transferred attacks, or export the "
        "logits before they are rounded.",
    ),
    Cause(
        "hard_threshold_with_surrogate",
        lambda found, warned: _has_no_gradient_anywhere(found) and _value(found, "zero_gradient", "elsewhere") > 0.5,
        "The gradient of the logits is zero everywhere, as behind a hard threshold, but the model has a surrogate gradient. "
        "Trust only attacks that follow the surrogate.",
    ),
    Cause(
        "hard_threshold",
        lambda found, warned: _has_no_gradient_anywhere(found),
        "The gradient is zero everywhere, as behind a hard threshold, and there is no surrogate. Trust only black-box and "
        "transferred attacks, or export the model with a surrogate, `attack_logits`.",
    ),
    Cause(
        "half_precision",
        lambda found, warned: "half_precision" in warned,
        "The logits are in half precision, in which the gradient of a confident cross-entropy underflows to zero. Trust "
        "only attacks on the margin, or export float32 logits.",
    ),
    Cause(
        "saturated_loss",
        lambda found, warned: "saturated_loss" in warned,
        "The logits are so large that the cross-entropy is flat in float32. Trust only attacks on the margin or with "
        "rescaled logits.",
    ),
    Cause(
        "underflow",
        _is_lost_in_float32,
        "The gradient vanishes in float32, as in saturated units, and is there in higher precision. Trust only attacks with "
        "rescaled or float64 gradients.",
    ),
    Cause(
        "dead_zone",
        lambda found, warned: "dead_zone" in warned,
        "Pixels near black and white have no gradient, and still matter once they move farther: the input has a dead zone. "
        "Trust only black-box and transferred attacks, and gradients taken beyond the dead zone.",
    ),
    Cause(
        "sparse_masking",
        lambda found, warned: "sparse_search" in warned and not warned & _BEATEN,
        "The gradient points to the wrong pixels, as in a network trained against a sparse attack that follows it. In L0 "
        "and L1 trust only attacks that search pixels without the gradient.",
    ),
    Cause(
        "misleading_loss",
        lambda found, warned: "misleading_loss" in warned,
        "The cross-entropy misleads the attacks, and the margin does not. Trust only attacks on the margin.",
    ),
    Cause(
        "unfaithful_gradient",
        lambda found, warned: bool(warned & _LOCAL) and not warned & _BEATEN,
        "The gradient is not what small steps change, as of a surrogate behind a hard threshold or of units so steep that "
        "it holds for tiny steps only. Trust attacks that follow it together with black-box ones.",
    ),
)


def verdict_of(found: _Measurements, checks: Mapping[str, Check], beyond: Sequence[str] = ()) -> tuple[tuple[str, ...], str]:
    """Returns the names of the causes and the verdict in words.

    Args:
        found: the measurements by sign.
        checks: their checks by sign.
        beyond: titles of the norms in which a suite's other attacks broke much that APGD had left.
    """
    causes, verdict = _verdict_at_image(found, checks)
    return causes, verdict + _beyond(beyond)


def _beyond(norms: Sequence[str]) -> str:
    if not norms:
        return ""
    named = " and ".join(filter(None, [", ".join(norms[:-1]), norms[-1]]))
    return f" In {named} APGD leaves many images that other attacks break: believe the whole suite, and no ascent alone."


def _verdict_at_image(found: _Measurements, checks: Mapping[str, Check]) -> tuple[tuple[str, ...], str]:
    """What the signs say, which are measured in L-infinity and L0."""
    warned = frozenset(sign for sign, check in checks.items() if check.warning)
    causes = [cause for cause in CAUSES if cause.applies(found, warned)][:1]
    if causes:
        return tuple(cause.name for cause in causes), causes[0].verdict
    if warned:
        titles = ", ".join(_uncapitalized(checks[sign].name) for sign in sorted(warned))
        return (UNKNOWN,), _UNKNOWN.format(titles)
    return (), NO_SIGN + _note(found)


def _uncapitalized(title: str) -> str:
    return title[:1].lower() + title[1:]


def _note(found: _Measurements) -> str:
    kind = found["half_precision"]["type"] if "half_precision" in found else ""
    notes = [f"The logits are {kind}: what is smaller than its rounding, no attack sees."] if kind else []
    if _value(found, "sparse_search", "hidden") > SPARSE_GAP:
        notes.append("Only in L0 they do not: judge it by attacks that search pixels without the gradient.")
    return "".join(f" {note}" for note in notes)
