"""Similarity to another network: the cosine of the features of a catalogued model."""

from collections.abc import Sequence

import numpy as np

from cortexzoo import catalog, datasets
from cortexzoo.catalog import StrPath
from cortexzoo.training.configuration import base_digest
from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget, check_images
from cortexzoo.training.targets.specification import Setting, TargetSpecification

_BATCH = 500


class FeatureSimilarity(CosineSimilarity):
    """Centred cosine of the features of one layer of a catalogued model.

    Args:
        images: the regularisation set, float, (n, height, width, channels), in [0, 1].
        model: id in the catalogue, or the directory of a catalogued model. Its files are verified.
        layer: name of one of the model's `features`.

    Raises:
        ValueError: there is no such model, it takes other images, or it has no such feature.
        IntegrityError: a file of the model is not the one of its card.
    """

    def __init__(self, images: np.ndarray, model: StrPath, layer: str) -> None:
        images = check_images(images)
        expected = datasets.info(catalog.model_card(model).dataset).image_shape
        if images.shape[1:] != expected:
            raise ValueError(f"Expected images of shape {expected} for {model}. Received: {images.shape[1:]}.")
        self._digest = base_digest(model)
        super().__init__(images, [_features(images, model, layer)])

    def sources(self) -> Sequence[str]:
        """See `SimilarityTarget.sources`."""
        return [self._digest]


def build(images: np.ndarray, seed: int, *, model: StrPath, layer: str) -> SimilarityTarget:
    """Returns a `FeatureSimilarity`; `seed` is not used."""
    return FeatureSimilarity(images, model, layer)


def _features(images: np.ndarray, model: StrPath, layer: str) -> np.ndarray:
    # Imported late: no other target needs a framework.
    import tensorflow as tf

    loaded = tf.saved_model.load(str(catalog.verified_saved_model(model)))
    if not hasattr(loaded, "features"):
        raise ValueError(f"Expected a model with the endpoint `features`. Received: {model}, which has none.")
    known = sorted(loaded.features(tf.constant(images[:1])))
    if layer not in known:
        raise ValueError(f"`layer` must be one of the features of {model}: {', '.join(known)}. Received: layer={layer!r}")
    parts = [loaded.features(tf.constant(images[i : i + _BATCH]))[layer].numpy() for i in range(0, len(images), _BATCH)]
    return np.concatenate(parts)


TARGET = TargetSpecification(
    name="features",
    title="similarities of another network",
    description=(
        "Trained so that pairs of images are as similar in the features as in the features of another, trained network."
    ),
    build=build,
    settings=(
        Setting("features_model", "", option="model", example="fashion_mnist/resnet", is_model=True),
        Setting("features_layer", "", option="layer", example="stage_4"),
    ),
)
