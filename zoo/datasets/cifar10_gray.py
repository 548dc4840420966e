"""CIFAR-10 converted to luma."""

import dataclasses

from cortexzoo.datasets import cifar10

DATASET = dataclasses.replace(
    cifar10.DATASET,
    name="cifar10_gray",
    image_shape=(32, 32, 1),
    grayscale=True,
    thresholds_source="those of CIFAR-10 in colour, a convention of this project",
)
