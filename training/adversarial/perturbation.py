"""What is done to the images of a batch before a classifier is trained on them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a perturbation may use.

    Attributes:
        images: float32, (batch, height, width, channels), in [0, 1].
        labels: int, (batch,). The true labels.
        logits: the classifier, from images to logits, (batch, classes), as it answers when it is not trained.
        scale: float32, (). Share of every epsilon, in [0, 1], which a curriculum raises.
        seed: of all that is random.
    """

    images: Any
    labels: Any
    logits: Callable[[Any], Any]
    scale: Any
    seed: keras.random.SeedGenerator


class Perturbation:
    """Base class. Subclasses are frozen dataclasses whose fields are the settings.

    Attributes:
        copies: how many perturbed images there are for each image.
    """

    copies: int = 1

    def __call__(self, batch: Batch) -> Any:
        """Returns the perturbed images, (copies * batch, height, width, channels), in [0, 1].

        All images of one copy come first, then those of the next. Nothing is differentiated through them.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `__call__`.")
