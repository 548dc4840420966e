"""Signs of gradient masking: reasons to distrust a high robust accuracy."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Batch
from cortexzoo.evaluation.attacks.batching import at_most
from cortexzoo.evaluation.attacks.tensors import loss_values
from cortexzoo.evaluation.classifier import DIFFERENTIABLE_ENDPOINTS, Classifier
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.norms import NORM_NAMES

PROBES = 200
_BEATEN = "Other attacks beat APGD"
# One attack beats another on a sample if its distance is below this part of the other's: smaller gaps are rounding and luck.
_MARGIN = 0.95
# ... and if the gap is at least this part of the threshold: a search that starts there ends with a bracket about as wide.
_RESOLUTION = 0.02
_SHARE = 0.05
# Factors on the loss under which a float64 gradient is looked for. It becomes float32 somewhere on its way to the image: in
# front of the last layer or behind the first one. What is too small for that needs a factor, which may be too large for what
# is not: infinity minus infinity is NaN.
_MAGNIFICATIONS = (1.0, 1e30, 1e60, 1e100, 1e200)
# The gradients that attacks on saturating networks follow: the loss, and the endpoints. The first available one is used.
GRADIENTS = {
    "probabilities": ("clipped_probabilities", ("logits",)),
    "logits": ("cross_entropy", ("logits",)),
    "float64": ("margin", ("logits_float64", "logits")),
    "stable": ("margin", ("logits_stable", "logits_float64", "logits")),
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One sign of masking.

    Attributes:
        name: what is checked.
        finding: the result in words.
        value: the measured share, in [0, 1].
        warning: whether it is a reason for distrust.
        threshold: the value above which it is one; None if any value above 0 is.
    """

    name: str
    finding: str
    value: float
    warning: bool
    threshold: float | None = None

    def as_json(self) -> dict:
        """Returns the check as plain JSON values, without a threshold where it has none."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def zero_gradient_share(classifier: Classifier, endpoint: str, batch: Batch, loss: str = "cross_entropy") -> float:
    """Returns the share of images on which `has_no_gradient`."""
    return float(np.mean(has_no_gradient(classifier, endpoint, batch, loss)))


def has_no_gradient(classifier: Classifier, endpoint: str, batch: Batch, loss: str = "cross_entropy") -> np.ndarray:
    """Returns the images on which the gradient of the loss is zero in every pixel or NaN in any, bool, (n,).

    Args:
        classifier: the model.
        endpoint: the endpoint to differentiate. A float64 gradient is magnified before it is cast to float32, the dtype of
            the image, and counts as zero if it is so under every factor.
        batch: the samples.
        loss: one of `tensors.LOSSES`.
    """
    gradient_of = classifier.compiled(("probe", endpoint, loss), lambda: _build(classifier, endpoint, loss))
    missing, size = np.arange(len(batch)), at_most(classifier, PROBES)
    for factor in _MAGNIFICATIONS:
        parts = [batch.take(missing[first : first + size]) for first in range(0, len(missing), size)]
        unseen = [_is_nothing(gradient_of(part.images, part.labels, factor).numpy()) for part in parts]
        missing = missing[np.concatenate(unseen)] if unseen else missing
    return np.isin(np.arange(len(batch)), missing)


def _is_nothing(gradient: np.ndarray) -> np.ndarray:
    # A value magnified beyond float32 is infinite, hence not zero.
    return np.all(gradient == 0.0, axis=(1, 2, 3)) | np.any(np.isnan(gradient), axis=(1, 2, 3))


def _build(classifier: Classifier, endpoint: str, loss: str) -> Callable[[np.ndarray, np.ndarray, float], tf.Tensor]:
    logits_of = classifier.endpoint(endpoint)
    image, label = tf.TensorSpec((None, *classifier.image_shape), tf.float32), tf.TensorSpec((None,), tf.int64)

    @tf.function(input_signature=[image, label, tf.TensorSpec((), tf.float64)], autograph=False)
    def gradient_of(images: tf.Tensor, labels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            values = loss_values(logits_of(images), labels, loss)
        # In a smaller dtype the factor would be infinite.
        factor = tf.cast(factor if values.dtype == tf.float64 else 1.0, values.dtype)
        return tape.gradient(
            values,
            images,
            output_gradients=tf.fill(tf.shape(values), factor),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    return gradient_of


def measure(evaluation: Evaluation) -> None:
    """Runs the checks that need the model itself, on the first images, and keeps the results in the store."""
    batch = evaluation.first(PROBES)
    for endpoint in (name for name in evaluation.endpoints if name in DIFFERENTIABLE_ENDPOINTS):
        _keep(evaluation, f"zero gradient ({endpoint})", endpoint, batch)


def measure_gradients(evaluation: Evaluation, samples: int) -> None:
    """Measures on which share of the first images each of `GRADIENTS` is zero everywhere, and keeps it in the store."""
    batch = evaluation.first(samples)
    for name, (loss, preferred) in GRADIENTS.items():
        endpoint = next(endpoint for endpoint in preferred if endpoint in evaluation.endpoints)
        _keep(evaluation, f"zero gradient of {name}", endpoint, batch, loss)


def _keep(evaluation: Evaluation, name: str, endpoint: str, batch: Batch, loss: str = "cross_entropy") -> None:
    store, dataset = evaluation.store, evaluation.info.name
    kept = store.check(evaluation.digest, dataset, name)
    if kept is None or kept["samples"] < len(batch):
        share = zero_gradient_share(evaluation.classifier, endpoint, batch, loss)
        value = {"value": share, "samples": len(batch), "endpoint": endpoint}
        store.set_check(evaluation.digest, dataset, name, value)


def zero_gradients(evaluation: Evaluation) -> dict[str, dict]:
    """Returns the results of `measure_gradients` by name: value, samples and endpoint; empty if not measured."""
    store, where = evaluation.store, (evaluation.digest, evaluation.info.name)
    kept = {name: store.check(*where, f"zero gradient of {name}") for name in GRADIENTS}
    return {name: value for name, value in kept.items() if value is not None}


def from_store(evaluation: Evaluation) -> list[Check]:
    """Returns the checks that `measure` kept, and the signs found in the model's outputs before any attack."""
    checks, where = [], (evaluation.digest, evaluation.info.name)
    for endpoint in DIFFERENTIABLE_ENDPOINTS:
        kept = evaluation.store.check(*where, f"zero gradient ({endpoint})")
        if kept is not None:
            finding = f"{_percent(kept['value'])} of {kept['samples']:,} images"
            checks.append(Check(f"All-zero gradient of `{endpoint}`", finding, kept["value"], kept["value"] > _SHARE))
    signs = evaluation.store.check(*where, "signs") or {}
    return checks + [Check(name, finding, 1.0, True) for name, finding in signs.items()]


def from_scores(scores: list[Score]) -> list[Check]:
    """Returns the checks that compare attacks with each other, norm by norm."""
    checks = []
    for norm, title in NORM_NAMES.items():
        # What is left after several attacks tells nothing about one of them.
        members = [s for s in scores if s.norm == norm and np.isfinite(s.epsilon) and not s.cumulative]
        gradient = [score for score in members if score.uses_gradients]
        single = [score for score in gradient if _is_single_step(score)]
        white = [score for score in gradient if not _is_single_step(score)]
        black = [score for score in members if not score.uses_gradients]
        checks += _weak(title, single) if len(single) == len(members) else []
        checks += _compare(f"Single step beats every iterative attack ({title})", single, white)
        checks += _compare(f"Gradient-free beats every gradient attack ({title})", black, single + white)
        checks += _unbounded(title, white)
        checks += _left_by_ascent(title, [score for score in scores if score.norm == norm and score.cumulative])
    return checks


def _left_by_ascent(title: str, row: list[Score]) -> list[Check]:
    """Compares what AutoPGD left, which comes first where broken images leave, with what all attacks left."""
    ascents = list(itertools.takewhile(lambda score: score.settings.get("attack") == "auto_pgd", row))
    if not ascents or len(ascents) == len(row):
        return []
    ids, least = _least([ascents[-1], row[-1]])
    broken = ~metrics.survivors(least, row[-1].epsilon)
    after = metrics.survivors(ascents[-1].distances[np.isin(ascents[-1].ids, ids)], row[-1].epsilon)
    share = float(np.mean(broken & after))
    finding = f"on {_percent(share)} of {len(ids):,} images others succeed where it fails"
    return [Check(f"{_BEATEN} ({title})", finding, share, share > _SHARE)]


def norms_beyond_ascent(checks: Iterable[Check]) -> list[str]:
    """Returns the titles of the norms, such as "L2", in which a suite's later attacks broke much that APGD had left."""
    warned = {check.name for check in checks if check.warning}
    return [title for title in NORM_NAMES.values() if f"{_BEATEN} ({title})" in warned]


def has_iterative(scores: list[Score], norm: str) -> bool:
    """Returns whether any attack in a norm does more than a single gradient step."""
    return any(score.norm == norm and not (score.uses_gradients and _is_single_step(score)) for score in scores)


def _is_single_step(score: Score) -> bool:
    return all(part.get("steps") == 1 for part in _parts(score.settings))


def _parts(settings: dict) -> list[dict]:
    """The settings of the attacks inside an attack, or its own if there are none."""
    inside = settings.get("attacks") or [settings[name] for name in ("inner",) if name in settings]
    return [part for found in inside for part in _parts(found)] or [settings]


def _weak(title: str, single: list[Score]) -> list[Check]:
    """Warns of a norm with single-step attacks only: its accuracy is no evidence of robustness."""
    if not single:
        return []
    ids, least = _least(single)
    share = metrics.accuracy_at(least, single[0].epsilon)
    finding = f"{_percent(share)} of {len(ids):,} images withstand them"
    return [Check(f"Only single-step attacks ({title})", finding, share, True)]


def _compare(name: str, challengers: list[Score], defenders: list[Score]) -> list[Check]:
    if not challengers or not defenders:
        return []
    ids = sorted(set.intersection(*(set(map(int, score.ids)) for score in challengers + defenders)))
    least = [metrics.union([s.distances[np.isin(s.ids, ids)] for s in scores]) for scores in (challengers, defenders)]
    grids = [epsilons for score in challengers + defenders if (epsilons := _grid(score.settings)) is not None]
    if grids:
        # An attack that only tries given epsilons may have missed a smaller distance: round all distances up to these.
        least = [_next_of(distances, grids[0]) for distances in least]
    farthest = _MARGIN * least[1]
    finite = np.isfinite(farthest)
    farthest[finite] = np.minimum(farthest[finite], least[1][finite] - _RESOLUTION * challengers[0].epsilon)
    share = float(np.mean(least[0] < farthest))
    return [Check(name, f"on {_percent(share)} of {len(ids):,} images", share, share > _SHARE)]


def _grid(settings: dict) -> list[float] | None:
    """The given epsilons of an attack, or of one inside it."""
    return next((part["epsilons"] for part in (settings, *_parts(settings)) if "epsilons" in part), None)


def _next_of(distances: np.ndarray, epsilons: list[float]) -> np.ndarray:
    """The smallest of these epsilons at which each sample is broken; infinite if it survives them all."""
    return np.append(epsilons, np.inf)[np.searchsorted(np.array(epsilons) * (1 + metrics.TOLERANCE), distances)]


def _unbounded(title: str, scores: list[Score]) -> list[Check]:
    # An attack on given epsilons is bounded by the last one.
    unbounded = [score for score in scores if "epsilons" not in score.settings]
    iterative = [score for score in unbounded if any(part.get("random_start") for part in _parts(score.settings))]
    if not iterative:
        return []
    ids, least = _least(iterative)
    share = float(np.mean(np.isinf(least)))
    finding = f"{_percent(share)} of {len(ids):,} images withstand it"
    return [Check(f"Unbounded gradient attack fails ({title})", finding, share, share > 0.0)]


def _least(scores: list[Score]) -> tuple[list[int], np.ndarray]:
    """The images that all attacks saw, and the smallest distance of each."""
    ids = sorted(set.intersection(*(set(map(int, score.ids)) for score in scores)))
    return ids, metrics.union([score.distances[np.isin(score.ids, ids)] for score in scores])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
