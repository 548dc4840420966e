"""Turns the arguments of a command line into evaluations: opens models, images, sources and thresholds."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cortexzoo.evaluation.conversion import Preprocessing
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model, catalogued, remembered
from cortexzoo.evaluation.opening import is_path, open_model, open_scaled
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites.base import Suite
from cortexzoo.evaluation.targeted import check_targets
from cortexzoo.evaluation.thresholds import thresholds_for
from cortexzoo.images import ImageSource, open_images
from cortexzoo.norms import NORMS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """The arguments of a command line. Invalid models and images are refused on construction.

    Attributes:
        suite: the attacks or shifts.
        models: ids, paths, or "all".
        data: name or path of the images; None for each model's own data set.
        epsilons, norms, samples, seed, batch_limit, workers, keeps_images: see `Evaluation`.
        sources: ids of models whose adversarial images are transferred.
        target: the class that all attacks aim at; None if any class but the label will do.
        scale, mean, std: see `Preprocessing`.
        report_only: whether stored results are enough, without the model itself.
    """

    suite: Suite
    models: tuple[str, ...]
    data: str | None = None
    epsilons: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    norms: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    target: int | None = None
    samples: int | None = None
    seed: int = 0
    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    batch_limit: int | None = None
    workers: int = 1
    keeps_images: bool = False
    report_only: bool = False

    def __post_init__(self) -> None:
        if not self.report_only:
            for model in self._opened:
                self._images_for(model)

    def __call__(self, store: Store) -> Iterator[Evaluation]:
        """Yields the evaluation of each model.

        Raises:
            ValueError: an id is in neither the catalogue nor the store; or "all" is given and the suite has no results.
        """
        models = self._remembered(store) if self.report_only else self._opened
        evaluations = [self._evaluation(model, store) for model in models]
        if self.report_only and "all" in self.models:
            evaluations = [evaluation for evaluation in evaluations if self.suite.has_results(evaluation)]
            if not evaluations:
                raise ValueError(f"Expected results of the suite {self.suite.name} in {store.path}. Received: none.")
        yield from evaluations

    @functools.cached_property
    def _opened(self) -> list[Model]:
        opened = []
        for text in self.models:
            opened += catalogued(["all"]) if text == "all" else [self._open(text)]
        # Without duplicates, in the given order.
        return list({model.digest: model for model in opened}.values())

    def _remembered(self, store: Store) -> list[Model]:
        """First the models by id, whose files may be gone; then those by path."""
        paths = [text for text in self.models if text != "all" and is_path(text)]
        ids = [text for text in self.models if text not in paths]
        return [*remembered(ids, store), *map(self._open, paths)]

    def _open(self, text: str) -> Model:
        return open_model(text, self._own_images.info.image_shape if self.data else None)

    @functools.cached_property
    def _own_images(self) -> ImageSource:
        return open_scaled(self.data, None, self.scale)

    def _images_for(self, model: Model) -> ImageSource:
        if self.data:
            return self._own_images
        if not model.dataset:
            raise ValueError(
                f"Expected --data with --model={model.name}, which is not in the catalogue: a data set's name, an .npz "
                "file or a folder of class folders. Received: none."
            )
        return _catalogued_images(model.dataset)

    def _evaluation(self, model: Model, store: Store) -> Evaluation:
        images = self._images_for(model)
        return Evaluation(
            model=model,
            images=images,
            store=store,
            thresholds=thresholds_for(images.info, self.epsilons),
            samples=self.samples,
            seed=self.seed,
            workers=self.workers,
            sources=self._sources_for(model, store),
            preprocessing=Preprocessing(1.0 if self.scale is None else self.scale, self.mean, self.std),
            batch_limit=self.batch_limit,
            keeps_images=self.keeps_images,
            norms=self.norms or NORMS,
            targets=self._targets_of(images),
        )

    def _targets_of(self, images: ImageSource) -> np.ndarray | None:
        if self.target is None:
            return None
        return check_targets(self.target, images.load("test").labels, images.info.num_classes)

    def _sources_for(self, model: Model, store: Store) -> tuple[Model, ...]:
        """The models from which adversarial images are transferred to this one, without duplicates.

        Models for other data sets are left out, and so is the model itself, since its own gradient is no transfer. Sorted by
        name, so that the given order does not change the attack's identity.
        """
        always = self.suite.sources_of(model)
        if always is None:
            return ()
        names = [*always, *self.sources]
        candidates = remembered(names, store) if self.report_only else catalogued(names)
        others = (one for one in candidates if one.dataset == model.dataset and one.digest != model.digest)
        return tuple(sorted({one.name: one for one in others}.values(), key=lambda source: source.name))


@functools.lru_cache(maxsize=8)
def _catalogued_images(name: str) -> ImageSource:
    return open_images(name)
