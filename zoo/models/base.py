"""The base class of all models: what training, export and attacks rely on."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras


class ImageClassifier(keras.Model):
    """Base class: a Keras model from images in [0, 1] to logits.

    Subclasses implement `call(images, training)`, which returns logits of shape (batch, num_classes), `class_layers` and
    `hyperparameters`. They may implement `attack_logits(images)` (a differentiable surrogate where the forward pass has a
    step without a useful gradient) and `features(images)` (a dict of named activations).

    Args:
        image_shape: (height, width, channels) of one image.
        num_classes: int.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes

    @property
    def class_layers(self) -> Sequence[keras.layers.Layer]:
        """The layers whose weights belong to single classes: a new head for other classes replaces them."""
        raise NotImplementedError(f"{type(self).__name__} must implement `class_layers`.")

    def endpoints(self) -> dict[str, Callable[[Any], Any]]:
        """Returns the functions of an image batch that an exported SavedModel offers, by name."""
        functions = {"logits": lambda images: self(images, training=False)}
        for name in ("attack_logits", "features"):
            if hasattr(self, name):
                functions[name] = getattr(self, name)
        return functions

    def build(self, input_shape: tuple | None = None) -> None:
        """Creates the weights, so that they can be loaded or counted; by default for images of `image_shape`."""
        if not self.built:
            self.call(keras.ops.zeros((1, *(input_shape or (None, *self.image_shape))[1:])))
            self.built = True

    def export(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Keras' own export, also of a model that was never called; `cortexzoo.export_model` writes all endpoints."""
        self(keras.ops.zeros((1, *self.image_shape)))
        signature = [keras.InputSpec(shape=(None, *self.image_shape), dtype="float32")]
        super().export(filepath, *args, **{"input_signature": signature, **kwargs})

    def get_config(self) -> dict[str, Any]:
        base = {"image_shape": list(self.image_shape), "num_classes": self.num_classes, "name": self.name}
        if self.dtype_policy.name != "float32":
            base["dtype"] = self.dtype_policy.name
        return {**base, **self.hyperparameters()}

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the constructor arguments of the subclass, as plain JSON values."""
        raise NotImplementedError(f"{type(self).__name__} must implement `hyperparameters`.")
