"""One evaluation: a model, images, thresholds and a store. Both Python and the shell run it."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from types import NoneType

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

# Number of images on which a classifier is checked before it is attacked.
_PROBE = 16
# The names of facts in the store, see `input_threshold` and `reconstructions`.
INPUT_THRESHOLD = "input threshold"
RECONSTRUCTS = "reconstructs"
Thresholds = Mapping[str, tuple[float, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on images, judged at thresholds. Attacks, shifts and tables take it as their argument.

    Attributes:
        model: the model.
        images: the images.
        store: holds the results.
        thresholds: the epsilons at which accuracy is reported, by norm, at least one each; a table with room for only one
            shows the first.
        samples: the number of first images to attack; None for the suite's number.
        seed: seed of the attacks and shifts.
        workers: the number of processes that share the attacks. The results do not depend on it.
        sources: models whose adversarial images and gradients are transferred.
        preprocessing: applied to an image before the model sees it.
        batch_limit: the most images to differentiate at once; None for no limit.
        keeps_images: whether to keep all adversarial images, not just those of the first few samples.
        norms: the norms to attack.
        targets: the class that each image should be assigned to, int64, (n,); None if any class but the label will do.
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

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("batch_limit", 1), ("workers", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer, NoneType)) or (value is not None and not least <= value < 2**31):
                raise ValueError(f"`{name}` must be a whole number from {least} on. Received: {name}={value!r}.")

    @property
    def digest(self) -> str:
        """The model's identity in the store."""
        return self.preprocessing.digest(self.model.digest)

    @property
    def info(self) -> DatasetInfo:
        """The data set, with the first threshold of each norm instead of its own."""
        return self.threat_models[0]

    @functools.cached_property
    def threat_models(self) -> tuple[DatasetInfo, ...]:
        """The data set with the first thresholds, with the second ones, and so on to the end of the longest list."""
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
        """The norms in which images without thresholds of their own are judged at CIFAR-10's."""
        if self.images.info.thresholds:
            return ()
        return tuple(norm for norm, values in self.thresholds.items() if values == (BY_CONVENTION[norm],))

    @functools.cached_property
    def split(self) -> Split:
        """All test images."""
        return self.images.load("test")

    @functools.cached_property
    def classifier(self) -> Classifier:
        """The model, loaded and checked on a few images."""
        probe = self.split.first(_PROBE).images.astype(np.float32)
        # The folder of a model in memory has a name that tells nobody anything.
        name = self.model.name if self.model.folder else ""
        how = (self.preprocessing, self.batch_limit, name)
        return _load(self.model.saved_model(), self.digest, self.images.info, probe.tobytes(), *how)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints of the model that can be attacked, from the store.

        Raises:
            ValueError: the store has no results of the model.
        """
        kept = self.store.check(self.digest, self.images.info.name, "endpoints")
        if kept is None:
            raise ValueError(self.nothing_stored())
        return tuple(kept)

    @property
    def input_threshold(self) -> float | None:
        """The value at which the model thresholds its input, from the store; None if it does not, or was not examined."""
        kept = self.store.check(self.digest, self.images.info.name, INPUT_THRESHOLD)
        return kept and kept["value"]

    @property
    def reconstructs(self) -> bool:
        """Whether the model offers a reconstruction by each class, from the store; False if it was not examined."""
        kept = self.store.check(self.digest, self.images.info.name, RECONSTRUCTS)
        return bool(kept and kept["value"])

    def count(self, default: int) -> int:
        """Returns the number of first images to attack."""
        return min(self.samples or default, len(self.split))

    def first(self, count: int) -> Batch:
        """Returns the first images, both correctly classified and misclassified ones."""
        split = self.split.first(count)
        return Batch(split.images, split.labels, split.ids, self.seed)

    def attackable(self) -> np.ndarray:
        """Returns which images to attack, bool, (n,), from the stored predictions.

        These are the correctly classified ones or, in a targeted attack, those not assigned to the wanted class.
        """
        _, labels, predictions = self.store.clean(self.digest, self.images.info.name)
        return labels == predictions if self.targets is None else predictions != self.targets

    def nothing_stored(self, which: str = "") -> str:
        """Returns the error message for a model without stored results."""
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
