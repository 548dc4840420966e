"""The Brendel-Bethge attack: follows the boundary to the adversarial that is nearest in L0, L1, L2 or Linf."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, nearest_of, shrink
from cortexzoo.evaluation.attacks.nearest_on_boundary import nearest_on_boundary
from cortexzoo.evaluation.attacks.starting_points import STARTS, to_boundary
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, input_gradient, wide, wrong_by
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import largest_distance


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrendelBethge(Attack):
    """Brendel et al. 2019, https://arxiv.org/abs/1907.01003, with the defaults of Foolbox 3.

    There are four differences:

    - It starts from `Batch.starts`.
    - The trust region does not depend on the batch. In Foolbox its radius is 0.001 times the number of values in the whole
      batch, which for a few dozen images is as wide as the box.
    - The problem of a step is solved by searches of bounded length (see `nearest_on_boundary`), not by BFGS and Nelder-Mead.
    - Every sample has its own schedule. Its region shrinks once it brings no progress, so that few samples take all steps.

    Attributes:
        norm: "linf", "l2", "l1" or "l0".
        steps: int. Most steps.
        overshoot: how far beyond the boundary a step aims.
        learning_rate: first radius of the trust region, a share of the greatest L2 distance between two images.
        decay: factor on the radius after `steps / decays` steps, or after a window without progress.
        decays: int. How often the radius falls.
        momentum: of the boundary's normal.
        window: steps in which the distance must fall.
        improvement: relative decrease that a window must bring; in L2, of the squared distance.
        restarts: int, at most `starting_points.STARTS`. Runs from different starts, the nearest result of which counts.
    """

    name: ClassVar[str] = "brendel_bethge"
    version: ClassVar[int] = 3
    chunk_size: ClassVar[int] = 200
    needs_starts: ClassVar[bool] = True

    norm: str
    steps: int = 1000
    overshoot: float = 1.1
    learning_rate: float = 0.5
    decay: float = 0.5
    decays: int = 20
    momentum: float = 0.8
    window: int = 15
    improvement: float = 1e-3
    restarts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.restarts <= STARTS:
            raise ValueError(f"`restarts` must be from 1 to {STARTS}. Received: {self.restarts}")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        walks = (self._run_from(classifier, endpoint, batch, batch.starts[:, k]) for k in range(self.restarts))
        return nearest_of(classifier, batch, self.norm, walks)

    def _run_from(self, classifier: Classifier, endpoint: str, batch: Batch, starts: np.ndarray) -> np.ndarray:
        best = starts.copy()
        found = np.flatnonzero(classifier.misclassifies(best, batch.labels))
        if len(found) == 0:
            return best
        part = batch.take(found)
        start = to_boundary(classifier, part, best[found], self.norm)
        images = self._follow(classifier, endpoint, part, start)
        wrong = classifier.misclassifies(images, part.labels)
        images[~wrong] = start[~wrong]
        best[found] = images if self.norm == "l0" else shrink(classifier, part, images)
        return best

    def _follow(self, classifier: Classifier, endpoint: str, batch: Batch, start: np.ndarray) -> np.ndarray:
        """Walks along the boundary from its points `start`, and returns the nearest adversarials on the way."""
        look = classifier.compiled((self, endpoint), lambda: self._build(classifier, endpoint))
        best, schedule = start.copy(), _Schedule(self, len(batch))
        active, state = np.arange(len(batch)), [start, np.zeros_like(start), start]
        least = np.full(len(batch), np.inf, np.float32)
        for i in range(self.steps):
            images, (current, normal, nearest) = batch.images[active], state
            momentum = np.float32(self.momentum if i else 0.0)
            outcome = look(images, batch.labels[active], current, momentum, normal, nearest, least[active])
            lead, normal, nearest, least[active] = (value.numpy() for value in outcome)
            # The label's margin is to become 0, or slightly negative, so that the point stays adversarial.
            wanted = np.where(lead < 0, -self.overshoot * lead, -(2 - self.overshoot) * lead)
            radius = largest_distance(classifier.image_shape, "l2") * schedule.rate(active)
            z, slopes, flat = (values.reshape(len(active), -1) for values in (images - current, normal, current))
            move = nearest_on_boundary(z, slopes, wanted, -flat, 1 - flat, radius.astype(np.float32), self.norm)
            current = np.clip(current + move.reshape(current.shape), 0.0, 1.0)
            kept = schedule.goes_on(active, least[active])
            best[active] = nearest
            active, state = active[kept], [values[kept] for values in (current, normal, nearest)]
            if len(active) == 0:
                break
        return best

    def _build(self, classifier: Classifier, endpoint: str) -> Callable:
        decisive, gradient_of = classifier.endpoint("logits"), input_gradient(classifier.endpoint(endpoint), "margin")
        image, number = tf.TensorSpec((None, *classifier.image_shape), tf.float32), tf.TensorSpec((None,), tf.float32)

        @tf.function(
            input_signature=[
                image,
                tf.TensorSpec((None,), tf.int64),
                image,
                tf.TensorSpec((), tf.float32),
                image,
                image,
                number,
            ],
            autograph=False,
        )
        def look(images, labels, current, momentum, normal, best, least):
            logits, slope = gradient_of(current, labels)
            adversarial = clearly_wrong(logits if endpoint == "logits" else decisive(current), labels, classifier.noise)
            distance = _distance(images - current, self.norm)
            better = tf.logical_and(adversarial, distance < least)
            best, least = tf.where(wide(better), current, best), tf.where(better, distance, least)
            return wrong_by(logits, labels), (1 - momentum) * slope + momentum * normal, best, least

        return look


def _distance(difference: tf.Tensor, norm: str) -> tf.Tensor:
    magnitude = tf.abs(difference)
    if norm == "linf":
        return tf.reduce_max(magnitude, axis=(1, 2, 3))
    if norm == "l2":
        return tf.reduce_sum(tf.square(magnitude), axis=(1, 2, 3))
    if norm == "l1":
        return tf.reduce_sum(magnitude, axis=(1, 2, 3))
    # Pixels first; among equal numbers the smaller change.
    changed = tf.reduce_any(magnitude > 1e-6, axis=-1)
    return tf.reduce_sum(tf.cast(changed, tf.float32), axis=(1, 2)) + 1e-4 * tf.reduce_sum(magnitude, axis=(1, 2, 3))


class _Schedule:
    """Each sample's learning rate: it falls after a number of steps, or after a window without progress."""

    def __init__(self, attack: BrendelBethge, count: int) -> None:
        self._attack, self._interval = attack, max(attack.window, attack.steps // attack.decays)
        self._decays, self._age, self._since = np.zeros((3, count), int)
        self._mark = np.full(count, np.inf)

    def rate(self, active: np.ndarray) -> np.ndarray:
        """Returns the learning rates, (n,)."""
        return self._attack.learning_rate * self._attack.decay ** self._decays[active]

    def goes_on(self, active: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Records the least distances after a step, and returns which samples go on, bool, (n,)."""
        progress = least < (1 - self._attack.improvement) * self._mark[active]
        self._mark[active[progress]] = least[progress]
        self._age[active] += 1
        self._since[active] = np.where(progress, 0, self._since[active] + 1)
        over = active[(self._since[active] >= self._attack.window) | (self._age[active] >= self._interval)]
        self._decays[over] += 1
        self._age[over] = self._since[over] = 0
        return self._decays[active] <= self._attack.decays
