"""Similarity in the eyes of another network: the features of a catalogued model."""

import numpy as np
from cortexzoo import catalog, datasets
from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget, check_images

_BATCH = 500


def build(images: np.ndarray, seed: int, *, model: str, layer: str) -> SimilarityTarget:
    """Returns the cosine of the images' features minus their mean over the images.

    Args:
        images: the regularisation set, float, (n, height, width, channels), in [0, 1].
        seed: not used; nothing is random.
        model: id in the catalogue. Its files are verified.
        layer: name of one of the model's `features`.

    Raises:
        ValueError: there is no such model, it takes other images, or it has no such feature.
        IntegrityError: a file of the model is not that of its card.
    """
    images = check_images(images)
    wanted = datasets.info(catalog.model_card(model).dataset).image_shape
    if images.shape[1:] != wanted:
        raise ValueError(f"Expected images of shape {wanted} for {model}. Received: {images.shape[1:]}.")
    return CosineSimilarity(images, [_features(images, model, layer)])


def _features(images: np.ndarray, model: str, layer: str) -> np.ndarray:
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
