"""One evaluation: a model, images, thresholds, and the store that the results go to. What Python and the shell both run."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.conversion import Preprocessing
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.thresholds import BY_CONVENTION
from cortexzoo.images import ImageSource
from cortexzoo.norms import NORMS

# Images on which a classifier is tried before it is attacked.
_PROBE = 16
Thresholds = Mapping[str, tuple[float, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on images, judged at thresholds; attacks, shifts and tables take it whole.

    Attributes:
        model: the model.
        images: the images.
        store: where results are and go.
        thresholds: the sizes at which accuracy is told, by norm, each at least one; the first is the one of a table with
            room for one.
        samples: how many of the first images are attacked; None for the suite's own number.
        seed: seed of the attacks and shifts.
        workers: processes that share the attacks. The results do not depend on it.
        sources: models whose adversarials and gradients are transferred.
        preprocessing: what is done to an image before the model sees it.
        batch_limit: the most images to differentiate at once; None for any number.
        keeps_images: whether the adversarial of every image is kept, not just those of the first few.
        norms: those to attack.
        targets: the class that each image is to be taken for, int64, (n,); None for any but its label.
    """

    model: Model
    images: ImageSource
    store: Store
    thresholds: Thresholds
    samples: int | None = None
    seed: int = 0
    workers: int = 1
    sources: tuple[Model, ...] = ()
    preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    batch_limit: int | None = None
    keeps_images: bool = False
    norms: tuple[str, ...] = NORMS
    targets: np.ndarray | None = None

    @property
    def digest(self) -> str:
        """The model's identity in the store."""
        return self.preprocessing.digest(self.model.digest)

    @property
    def info(self) -> DatasetInfo:
        """The data set, with the first threshold of each norm in the place of its own."""
        return self.threat_models[0]

    @functools.cached_property
    def threat_models(self) -> tuple[DatasetInfo, ...]:
        """The data set with the first thresholds, with the second ones, and so on, until the longest list ends."""
        count = max(map(len, self.thresholds.values()))
        return tuple(
            dataclasses.replace(
                self.images.info,
                thresholds={norm: values[min(i, len(values) - 1)] for norm, values in self.thresholds.items()},
            )
            for i in range(count)
        )

    @property
    def conventional(self) -> tuple[str, ...]:
        """The norms in which the threshold is CIFAR-10's, for images that have none of their own."""
        if self.images.info.thresholds:
            return ()
        return tuple(norm for norm, values in self.thresholds.items() if values == (BY_CONVENTION[norm],))

    @functools.cached_property
    def split(self) -> Split:
        """The images to attack, all of them."""
        return self.images.load("test")

    @functools.cached_property
    def classifier(self) -> Classifier:
        """The model, loaded and tried on a few images."""
        probe = self.split.first(_PROBE).images.astype(np.float32)
        # The folder of a model in memory has a name that tells nobody anything.
        name = self.model.name if self.model.folder else ""
        how = (self.preprocessing, self.batch_limit, name)
        return _load(self.model.saved_model(), self.digest, self.images.info, probe.tobytes(), *how)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints of the model that can be attacked, as the store knows them.

        Raises:
            ValueError: the store has no results of the model.
        """
        kept = self.store.check(self.digest, self.images.info.name, "endpoints")
        if kept is None:
            raise ValueError(self.nothing_stored())
        return tuple(kept)

    def count(self, default: int) -> int:
        """Returns how many of the first images are attacked."""
        return min(self.samples or default, len(self.split))

    def first(self, count: int) -> Batch:
        """Returns the first images, whether the model is right or wrong on them."""
        split = self.split.first(count)
        return Batch(split.images, split.labels, split.ids, self.seed)

    def attackable(self) -> np.ndarray:
        """Returns of which images there is something to attack, bool, (n,).

        Those that the model classifies correctly, as the store knows it; under a targeted attack those that it does not take
        for the wanted class.
        """
        _, labels, predictions = self.store.clean(self.digest, self.images.info.name)
        return labels == predictions if self.targets is None else predictions != self.targets

    def nothing_stored(self, which: str = "") -> str:
        """Returns the sentence that the store lacks results of the model."""
        return (
            f"Expected results of {self.model.name}{which} in {self.store.path}. Received: none. "
            "Run without --report_only first."
        )


# Attacks on a model one after the other, as in a notebook, share what is loaded and compiled.
@functools.lru_cache(maxsize=1)
def _load(
    path: Path,
    digest: str,
    info: DatasetInfo,
    probe: bytes,
    preprocessing: Preprocessing,
    batch_limit: int | None,
    name: str,
) -> Classifier:
    images = np.frombuffer(probe, np.float32).reshape(-1, *info.image_shape)
    return Classifier(path, info, images, preprocessing=preprocessing, batch_limit=batch_limit, name=name)
