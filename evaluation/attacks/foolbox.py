"""Any attack of Foolbox 3 behind our protocol, with the traps of the library closed."""

import dataclasses
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances

_GRADIENT_FREE = (
    *("Blended", "Blur", "Boundary", "Contrast", "Dataset", "GenAttack", "HopSkipJump", "Inversion", "Noise", "Pointwise"),
    "Spatial",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoolboxAttack(Attack):
    """An attack of Foolbox by its class name. Foolbox is an extra: `pip install "cortexzoo[foolbox]"`.

    - Every result is classified again. Foolbox's C&W and EAD return black images for failures; these count as failures.
    - Attacks that need a start get the first of `Batch.starts`. A sample without one is left out and does not stop the rest.
    - Attacks of a fixed size try several sizes; the smallest that works counts.

    Foolbox draws its random numbers for the whole batch: with the same seed they repeat for the same chunk only.

    Attributes:
        algorithm: class name in `foolbox.attacks`, such as "L2DeepFoolAttack".
        norm: of the distances.
        options: arguments of the class, (name, value) pairs.
        epsilons: sizes to try, for attacks of a fixed size; empty for the others.
    """

    name: ClassVar[str] = "foolbox"
    chunk_size: ClassVar[int] = 100

    algorithm: str
    norm: str
    options: tuple[tuple[str, Any], ...] = ()
    epsilons: tuple[float, ...] = ()

    @property
    def needs_starts(self) -> bool:
        """Whether the attack walks along the boundary from an adversarial."""
        return any(word in self.algorithm for word in ("BrendelBethge", "Boundary", "HopSkipJump", "Pointwise"))

    @property
    def uses_gradients(self) -> bool:
        """Whether the attack differentiates the model."""
        return not any(word in self.algorithm for word in _GRADIENT_FREE)

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        if importlib.util.find_spec("foolbox") is None:
            raise ValueError(
                'Expected Foolbox for this attack. Received: no such package. `pip install "cortexzoo[foolbox]"`.'
            )
        import foolbox

        # Foolbox differentiates eagerly: a compiled function keeps the loaded one out of its sight.
        logits_of = classifier.compiled(("foolbox", endpoint), lambda: _compile(classifier, endpoint))
        model = foolbox.TensorFlowModel(logits_of, bounds=(0, 1), device="/CPU:0")
        attack = self._build(foolbox)
        chosen = np.arange(len(batch))
        options: dict[str, Any] = {}
        if self.needs_starts:
            nearest = batch.starts[:, 0]
            chosen = np.flatnonzero(classifier.misclassifies(nearest, batch.labels))
            options["starting_points"] = tf.constant(nearest[chosen])
        results = batch.images.copy()
        if len(chosen) == 0:
            return results
        tf.random.set_seed(batch.seed)
        part = batch.take(chosen)
        criterion = foolbox.criteria.Misclassification(tf.constant(part.labels))
        images = tf.constant(part.images)
        sizes = [{"epsilon": size} for size in sorted(self.epsilons)] or [{}]
        nearest = np.full(len(part), np.inf)
        for size in sizes:
            found = np.clip(attack.run(model, images, criterion, **options, **size).numpy(), 0.0, 1.0)
            # A failed sample is black, and black may be of another class. Some attacks end on the boundary itself.
            works = found.any(axis=(1, 2, 3)) & (classifier.predict(found) != part.labels)
            reached = np.where(works, distances(part.images, found, self.norm), np.inf)
            better = reached < nearest
            results[chosen[better]], nearest[better] = found[better], reached[better]
        return results

    def _build(self, foolbox: Any) -> Any:
        attack_class = getattr(foolbox.attacks, self.algorithm, None)
        if attack_class is None:
            raise ValueError(f"Expected the name of a class in foolbox.attacks. Received: {self.algorithm!r}.")
        options = dict(self.options)
        if "distance" in inspect.signature(attack_class).parameters:
            options["distance"] = getattr(foolbox.distances, self.norm)
        return attack_class(**options)


def _compile(classifier: Classifier, endpoint: str) -> Callable[[tf.Tensor], tf.Tensor]:
    image = tf.TensorSpec((None, *classifier.image_shape), tf.float32)
    return tf.function(classifier.endpoint(endpoint), input_signature=[image], autograph=False)
