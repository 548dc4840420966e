"""Pixel similarity (Attias, Pehlevan & Obeid 2024, https://arxiv.org/abs/2410.03952)."""

import numpy as np

from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget, check_images
from cortexzoo.training.targets.specification import Setting, TargetSpecification


def build(images: np.ndarray, seed: int, *, average_channels: bool = False) -> SimilarityTarget:
    """Returns the cosine of the images minus the mean image of the regularisation set.

    Args:
        images: the regularisation set, float, (n, height, width, channels), in [0, 1].
        seed: not used; nothing is random.
        average_channels: bool. Compare the mean over the channels, as the authors' code does with colour images; by default
            all channels count.
    """
    images = check_images(images)
    return CosineSimilarity(images, [images.mean(axis=-1) if average_channels else images])


AVERAGE_CHANNELS = Setting("average_channels", False, colour_only=True)
TARGET = TargetSpecification(
    name="pixel",
    title="pixel similarities",
    description=(
        "Trained so that pairs of images are as similar in the features as in the pixels, after subtracting the mean image."
    ),
    build=build,
    settings=(AVERAGE_CHANNELS,),
)
