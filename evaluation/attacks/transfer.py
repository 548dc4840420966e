"""Adversarials made on other networks, without any gradient of the model."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from cortexzoo import catalog
from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks.base import Attack, Batch
from cortexzoo.evaluation.attacks.cleverhans import GradientAttack
from cortexzoo.evaluation.attacks.epsilon_grid import check_epsilons
from cortexzoo.evaluation.classifier import Classifier, saved_model_digest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfer(Attack):
    """Attacks source networks with their own gradients and shows the result to the classifier.

    At each epsilon, smallest first, every attack is run to its last step on every source, with the true labels; a sample
    ends at the first image that the classifier misclassifies. The classifier's gradient is not used: an accuracy below that
    of the attacks which use it is a sign of masking (Athalye et al. 2018, https://arxiv.org/abs/1802.00420).

    Attributes:
        attacks: run on the sources, all of one norm; their own `epsilon` and search are not used.
        epsilons: ascending.
        sources: ids in the catalogue. A suite has none and takes those of the evaluation.
        digests: of the sources' SavedModels; see `from_sources`.
    """

    name: ClassVar[str] = "transfer"
    uses_gradients: ClassVar[bool] = False

    attacks: tuple[GradientAttack, ...]
    epsilons: tuple[float, ...]
    sources: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_epsilons(self.epsilons)
        if len({attack.norm for attack in self.attacks}) != 1:
            raise ValueError(f"Expected attacks of one norm. Received: {[attack.norm for attack in self.attacks]}")
        if len(self.sources) != len(self.digests):
            raise ValueError(
                f"Expected a digest for each source. Received: {len(self.sources)} sources, {len(self.digests)} digests. "
                "Use `from_sources`."
            )

    @property
    def norm(self) -> str:
        """That of the attacks."""
        return self.attacks[0].norm

    def from_sources(self, sources: tuple[str, ...]) -> "Transfer":
        """Returns the attack with these models of the catalogue as its sources.

        Raises:
            ValueError: an id is unknown.
            IntegrityError: a file differs from its card.
        """
        digests = tuple(saved_model_digest(catalog.verified_saved_model(source)) for source in sources)
        return dataclasses.replace(self, sources=sources, digests=digests)

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`.

        Raises:
            ValueError: a source is not the model any more that it was in `from_sources`.
        """
        results, active = batch.images.copy(), np.arange(len(batch))
        known = zip(self.sources, self.digests, strict=True)
        sources = [_source(source, digest, classifier.dataset) for source, digest in known]
        for epsilon in self.epsilons:
            for source in sources:
                for attack in self.attacks:
                    part = batch.take(active)
                    images = attack.maximize(source, "logits", part, np.full(len(part), epsilon, np.float32))
                    found = classifier.misclassifies(images, part.labels)
                    results[active[found]] = images[found]
                    active = active[~found]
                    if len(active) == 0:
                        return results
        return results


@functools.lru_cache(maxsize=8)
def _source(model_id: str, digest: str, dataset: DatasetInfo) -> Classifier:
    source = Classifier(catalog.verified_saved_model(model_id), dataset, np.zeros((1, *dataset.image_shape), np.float32))
    if source.digest != digest:
        raise ValueError(f"Expected {model_id} with the digest {digest}. Received: {source.digest}. Run anew.")
    return source
