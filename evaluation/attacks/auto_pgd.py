"""AutoPGD: projected gradient descent that finds its step size itself."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.active_set import advance_until_done
from cortexzoo.evaluation.attacks.auto_pgd_steps import MomentumSteps, Seen, SparseSteps
from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, other_classes, random_directions, sample_generator
from cortexzoo.evaluation.attacks.logit_losses import TARGETED, UNTARGETED, logit_loss
from cortexzoo.evaluation.attacks.magnified_gradient import evaluation, usable
from cortexzoo.evaluation.attacks.projections import nearest_within_l1, unit_l2
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, wide
from cortexzoo.evaluation.classifier import Classifier

# Steps between two checks for samples that are broken.
_BLOCK = 5
# More than anybody's restarts, so that the random numbers of a target do not depend on them.
_STREAMS = 2**12
# With large radii: (multiple of epsilon, share of the steps).
_PHASES = ((3, 0.3), (2, 0.3), (1, 0.4))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoPGD(Attack):
    """AutoPGD of Croce and Hein, in Linf and L2 (2020, https://arxiv.org/abs/2003.01690) and L1 (2021,
    https://arxiv.org/abs/2103.01208).

    The step size starts large and falls where the loss no longer rises, for each sample on its own; see `auto_pgd_steps`. A
    sample leaves at its first adversarial image, and the next restart or target is for those that are left. One forward and
    one backward pass make a step.

    Where it differs from the authors' code:

    - The cross-entropy is increased through log sum_{j != y} exp(z_j) - z_y, which grows with it and has a gradient of the
      same direction, but does not vanish where the softmax is confident. All steps depend on the direction alone.
    - Tiny gradients of saturated networks are magnified; see `magnified_gradient`.
    - Noise at the start can put out every unit of a ReLU network. Where the gradient at a random start is zero in every
      pixel, the first step leads to the image itself; where it is zero later, the step is random.
    - In L1 the coordinates of a step are chosen among those that can move in the direction of the gradient.

    Attributes:
        norm: "linf", "l2" or "l1".
        epsilon: float. The size of a perturbation.
        steps: int. In each run.
        restarts: int. Runs from different random starts, for each target class.
        loss: "cross_entropy", "dlr", "margin", "targeted_dlr" or "targeted_margin"; see `logit_losses.logit_loss`.
        logit_scale: float. Factor on the logits inside the cross-entropy, an inverse temperature.
        target_classes: int. Of a targeted loss: it aims at so many classes, one after the other, the likeliest others of the
            clean image first.
        averages: int. For a model with random outputs, over how many evaluations loss, gradient and logits are averaged
            (expectation over transformations, Athalye et al. 2018, https://arxiv.org/abs/1707.07397).
        large_radii: bool. Runs in L1 begin with 30 % of the steps within 3 epsilon and 30 % within 2 epsilon.
    """

    name: ClassVar[str] = "auto_pgd"
    choices: ClassVar[Choices] = {"norm": ("linf", "l2", "l1"), "loss": UNTARGETED + TARGETED}

    norm: str
    epsilon: float
    steps: int = 100
    restarts: int = 1
    loss: str = "cross_entropy"
    logit_scale: float = 1.0
    target_classes: int = 9
    averages: int = 1
    large_radii: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "restarts", "target_classes", "averages"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` of AutoPGD must be 1 or more. Received: {getattr(self, name)!r}.")
        if self.large_radii and self.norm != "l1":
            raise ValueError(f"`large_radii` is for L1. Received: norm={self.norm!r}.")

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        results = batch.images.copy()
        left = np.flatnonzero(~self._is_broken(classifier, results, batch.labels))
        for targets, stream in self._runs(classifier, batch):
            if len(left) == 0:
                break
            part = batch.take(left)
            results[left] = self._ascend(classifier, endpoint, part, targets[left], stream)
            left = left[~self._is_broken(classifier, results[left], part.labels)]
        return results

    def _is_broken(self, classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Whether most answers are wrong, of as many as are averaged."""
        wrong = [classifier.misclassifies(images, labels) for _ in range(self.averages)]
        return np.mean(wrong, axis=0) > 0.5

    def _runs(self, classifier: Classifier, batch: Batch) -> Iterator[tuple[np.ndarray, int]]:
        """The target class of each sample, and the number of the stream of random numbers, in each run."""
        targets = batch.labels[:, None]
        if self.loss in TARGETED:
            targets = other_classes(classifier, batch)[:, : self.target_classes]
        for column, restart in np.ndindex(targets.shape[1], self.restarts):
            yield targets[:, column], column * _STREAMS + restart

    def _ascend(self, classifier: Classifier, endpoint: str, batch: Batch, targets: np.ndarray, stream: int) -> np.ndarray:
        """One run: the first adversarial image of each sample, or else the last one."""
        rule = self._rule()
        advance = classifier.compiled(
            (AutoPGD, self.norm, self.loss, self.averages, endpoint), lambda: self._build(classifier, endpoint, rule)
        )
        start = self._start(batch, stream)
        for phase, (radius, steps) in enumerate(self._phases()):
            epsilon, is_last = np.float32(radius * self.epsilon), radius == 1
            if phase:
                start = nearest_within_l1(batch.images, start, epsilon).numpy()
            numbers = (rule.windows(steps), epsilon, np.float32(self.logit_scale), batch.seed, is_last)
            state = (
                *(batch.images, batch.labels, targets, start, start, start, np.zeros_like(start)),
                np.ones(len(batch)),
                np.full(len(batch), -np.inf),
                np.full(len(batch), rule.first_size, np.float32),
                *rule.memory(batch.images, start, self.large_radii),
            )
            # The start counts as well.
            found = advance_until_done(functools.partial(advance, *numbers), state, steps + 1, _BLOCK)
            start = found[3] if is_last else found[5]
        return start

    def _phases(self) -> list[tuple[int, int]]:
        """Multiples of epsilon, and the number of steps within each."""
        if not self.large_radii:
            return [(1, self.steps)]
        steps = [math.ceil(share * self.steps) for _, share in _PHASES[:-1]]
        counts = [*steps, max(self.steps - sum(steps), 0)]
        return [(radius, count) for (radius, _), count in zip(_PHASES, counts, strict=True)]

    def _rule(self) -> MomentumSteps | SparseSteps:
        return SparseSteps() if self.norm == "l1" else MomentumSteps(self.norm)

    def _start(self, batch: Batch, stream: int) -> np.ndarray:
        """A random point at the border of the ball, clipped to the box; in L1 noise that is projected."""
        if self.norm == "l1":
            noise = [sample_generator(batch, i, stream).standard_normal(batch.images[i].shape) for i in range(len(batch))]
            radius = np.float32(self.epsilon * self._phases()[0][0])
            return nearest_within_l1(batch.images, batch.images + np.array(noise, np.float32), radius).numpy()
        noise = random_directions(batch, self.norm, stream)
        if self.norm == "l2":
            noise = unit_l2(tf.constant(noise)).numpy()
        else:
            noise /= np.max(np.abs(noise), axis=(1, 2, 3), keepdims=True)
        return np.clip(batch.images + np.float32(self.epsilon) * noise, 0.0, 1.0)

    def _build(self, classifier: Classifier, endpoint: str, rule: MomentumSteps | SparseSteps) -> Callable:
        # A surrogate endpoint may decide otherwise; the model's own decision counts.
        decisive = None if endpoint == "logits" else classifier.endpoint("logits")
        loss = logit_loss(self.loss, classifier.num_classes)
        evaluate = evaluation(classifier.endpoint(endpoint), decisive, loss, self.averages)

        def step(i, is_last, window, epsilon, scale, seed, leaves, images, labels, targets, done, state):
            """Evaluates the current images, adapts what is to be adapted, and moves on."""
            current, previous, best, best_gradient, magnification, best_value, size, *memory = state
            value, gradient, decision = evaluate(current, labels, targets, scale, magnification)
            gradient, nothing, magnification = usable(gradient, magnification, value.dtype)
            value = tf.cast(value, tf.float64)
            done = tf.logical_and(leaves, tf.logical_or(done, clearly_wrong(decision, labels, classifier.noise)))
            # On a plateau, as of a saturated network, the later image counts: nothing is gained by going back.
            better = value >= best_value
            best_value = tf.where(better, value, best_value)
            best, best_gradient = tf.where(wide(better), current, best), tf.where(wide(better), gradient, best_gradient)
            restarts, size, memory = rule.adapt(window, Seen(images, best, value, best_value), size, tuple(memory))
            origin = tf.where(wide(restarts), best, current)
            gradient = tf.where(wide(restarts), best_gradient, gradient)
            nothing = wide(tf.logical_and(nothing, tf.logical_not(restarts)))
            # Keyed by the step alone: a sample's walk does not depend on its batch.
            noise = tf.random.stateless_normal(classifier.image_shape, tf.stack([seed, i]))
            direction = tf.where(nothing, noise, gradient)
            moved = rule.move(tf.equal(i, 0), images, origin, previous, direction, size, memory, epsilon)
            back = tf.logical_and(nothing, tf.equal(i, 0))
            moved, previous = tf.where(back, images, moved), tf.where(back, images, current)
            following = tf.where(tf.logical_or(wide(done), is_last), current, moved)
            return done, (following, previous, best, best_gradient, magnification, best_value, size, *memory)

        @tf.function(input_signature=_signature(classifier.image_shape, rule), autograph=False)
        def advance(windows, epsilon, scale, seed, leaves, first, count, images, labels, targets, *state):
            """Takes a block of steps, beginning with the number `first`."""

            def body(i, done, state):
                is_last = tf.equal(i + 1, tf.size(windows))
                rest = step(i, is_last, windows[i], epsilon, scale, seed, leaves, images, labels, targets, done, state)
                return i + 1, *rest

            start = (first, tf.zeros_like(labels, tf.bool), state)
            loop = tf.while_loop(lambda i, *_: i < first + count, body, start, parallel_iterations=1)
            return loop[1], images, labels, targets, *loop[2]

        return advance


def _signature(image_shape: tuple[int, int, int], rule: MomentumSteps | SparseSteps) -> list[tf.TensorSpec]:
    """Of `advance`: numbers that all samples share, then the state."""
    image = tf.TensorSpec((None, *image_shape), tf.float32)
    number, whole = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)
    shared = [tf.TensorSpec((None,), tf.int32), number, number, whole, tf.TensorSpec((), tf.bool), whole, whole]
    vectors = [
        tf.TensorSpec((None,), dtype) for dtype in (tf.int64, tf.int64, tf.float64, tf.float64, tf.float32, *rule.types)
    ]
    return [*shared, image, *vectors[:2], *[image] * 4, *vectors[2:]]
