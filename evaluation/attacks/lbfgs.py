"""L-BFGS-B towards a class, the first adversarial attack published, with a record of why it stopped."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf
from scipy.optimize import Bounds, OptimizeResult, minimize

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, shrink
from cortexzoo.evaluation.attacks.tensors import GRADIENT_SCALE, at_least_float32
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances

# How often a descent may restart, and how far it must have moved for a restart to be worthwhile.
_BEGINNINGS, _MOVED = 10, 1e-3


@dataclasses.dataclass(frozen=True)
class Descent:
    """The result of attacking one image towards one class.

    Attributes:
        image: float32, (height, width, channels), in [0, 1]: the nearest adversarial, or the last image where there is none.
        distance: its L2 distance; infinite where the serving path does not give the wanted class.
        first_gradient: L2 norm of the loss' gradient at the clean image.
        constant: weight of the distance with which the image was found.
        iterations: of L-BFGS-B with this constant.
        reason: why these ended, in scipy's words.
    """

    image: np.ndarray
    distance: float
    first_gradient: float
    constant: float
    iterations: int
    reason: str

    @property
    def found(self) -> bool:
        """Whether the serving path gives the wanted class."""
        return bool(np.isfinite(self.distance))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LBFGS(Attack):
    """Minimises constant ||x' - x||^2 + cross-entropy(x', wanted class) over x' in [0, 1] by L-BFGS-B.

    Source: Szegedy et al. 2014, https://arxiv.org/abs/1312.6199, who search the constant; Nayebi and Ganguli 2017,
    https://arxiv.org/abs/1703.09202, run 1000 iterations. Untargeted, each image goes towards its most likely other classes,
    and the nearest adversarial counts. A descent never ends because its gradient is small, only where it is 0.

    Attributes:
        constant: the first weight of the distance.
        rounds: most weights tried: ten times as much after a success, a tenth after a failure, then bisection of the
            logarithm. 1 tries `constant` alone.
        iterations: most iterations of L-BFGS-B for one weight.
        rescale: whether the loss is divided by the norm of its gradient at the start, so that the tiny gradients of
            saturated units still give a first step; `constant` is then relative to that gradient. A descent that ends
            without an adversarial restarts with the gradient at its end. This is not in the papers.
        targets: how many other classes an untargeted attack tries, the most likely ones first.
    """

    name: ClassVar[str] = "lbfgs"
    chunk_size: ClassVar[int] = 20
    choices: ClassVar[Choices] = {"norm": ("l2",)}

    norm: str = "l2"
    constant: float = 0.1
    rounds: int = 6
    iterations: int = 1000
    rescale: bool = False
    targets: int = 9

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        best = batch.images.copy()
        order = np.argsort(-classifier.serving_logits(batch.images), axis=1, kind="stable")
        for row, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True)):
            others = order[row][order[row] != label][: self.targets]
            descents = [self.towards(classifier, endpoint, image, int(wanted)) for wanted in others]
            best[row] = min(descents, key=lambda descent: descent.distance).image
        wrong = classifier.misclassifies(best, batch.labels)
        best[wrong] = shrink(classifier, batch.take(wrong), best[wrong])
        return best

    def towards(self, classifier: Classifier, endpoint: str, image: np.ndarray, wanted: int) -> Descent:
        """Attacks one image towards one class.

        Args:
            classifier: the model.
            endpoint: which of the classifier's endpoints to differentiate.
            image: float32, (height, width, channels), in [0, 1].
            wanted: the class.

        Returns:
            The descent with the nearest adversarial, or the last one where none found any.
        """
        value = classifier.compiled((self.name, endpoint, self.rescale), lambda: self._compile(classifier, endpoint))
        best, constant, works, fails = None, self.constant, 0.0, np.inf
        for _ in range(self.rounds):
            descent = self._descend(classifier, value, image, wanted, constant)
            if best is None or descent.distance <= best.distance:
                best = descent
            if descent.iterations == 0:
                # The distance has no gradient at the image: if L-BFGS-B does not leave it, another constant will not help.
                break
            works, fails = (constant, fails) if descent.found else (works, constant)
            if works == 0.0:
                constant /= 10
            else:
                constant = 10 * constant if np.isinf(fails) else np.sqrt(works * fails)
        return best

    def _descend(self, classifier: Classifier, value: Callable, image: np.ndarray, wanted: int, constant: float) -> Descent:
        clean = image.astype(np.float64).ravel()
        point, left, distance = clean, self.iterations, np.inf
        first = norm = float(np.linalg.norm(value(clean, wanted)[1]))
        for _ in range(_BEGINNINGS if self.rescale else 1):
            scale = 1 / norm if self.rescale and norm else 1.0
            result = self._minimise(lambda x, scale=scale: _objective(value, x, wanted, clean, constant, scale), point, left)
            moved, point, left = np.linalg.norm(result.x - point), result.x, left - result.nit
            found = point.astype(np.float32).reshape(1, *image.shape)
            if classifier.predict(found)[0] == wanted:
                distance = float(distances(image[None], found, self.norm)[0])
            if distance < np.inf or moved < _MOVED or left <= 0:
                break
            norm = float(np.linalg.norm(value(point, wanted)[1]))
        return Descent(found[0], distance, first, constant, self.iterations - left, str(result.message))

    def _minimise(self, objective: Callable, start: np.ndarray, iterations: int) -> OptimizeResult:
        # A line search takes at most 20 evaluations. On a plateau the loss falls by less than any tolerance.
        options = {"maxiter": iterations, "maxfun": 20 * iterations + 1, "gtol": 0.0}
        if self.rescale:
            options["ftol"] = 0.0
        return minimize(objective, start, jac=True, method="L-BFGS-B", bounds=Bounds(0.0, 1.0), options=options)

    def _compile(self, classifier: Classifier, endpoint: str) -> Callable[[np.ndarray, int], tuple[float, np.ndarray]]:
        logits_of = classifier.endpoint(endpoint)

        @tf.function(
            input_signature=[
                tf.TensorSpec((1, *classifier.image_shape), tf.float32),
                tf.TensorSpec((1,), tf.int64),
                tf.TensorSpec((), tf.float32),
            ]
        )
        def loss_and_gradient(images: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(images)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, at_least_float32(logits_of(images)))
                loss *= tf.cast(scale, loss.dtype)
            return loss, tape.gradient(loss, images, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        def value(point: np.ndarray, wanted: int) -> tuple[float, np.ndarray]:
            images = point.astype(np.float32).reshape(1, *classifier.image_shape)
            # A network that computes in half precision overflows under the factor.
            for scale in (GRADIENT_SCALE, 1.0) if self.rescale else (1.0,):
                loss, gradient = loss_and_gradient(images, np.array([wanted]), scale)
                if np.all(np.isfinite(gradient)):
                    break
            return float(loss[0]) / scale, gradient.numpy().astype(np.float64).ravel() / scale

        return value


def _objective(
    value: Callable, point: np.ndarray, wanted: int, clean: np.ndarray, constant: float, scale: float
) -> tuple[float, np.ndarray]:
    loss, gradient = value(point, wanted)
    change = point - clean
    return constant * change @ change + scale * loss, 2 * constant * change + scale * gradient
