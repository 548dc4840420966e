"""Reads a model's weights, activations and Jacobian from its SavedModel, without its class."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.attacks.tensors import GRADIENT_SCALE
from cortexzoo.evaluation.classifier import Classifier, ClassifierError
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.opening import open_model
from cortexzoo.evaluation.thresholds import thresholds_for
from cortexzoo.images import open_images

# Endpoints in float64: with derivatives by a formula that does not round to zero, and with TensorFlow's derivatives.
PRECISE = ("logits_stable", "logits_float64")
_BATCH = 500
_WEIGHT = re.compile(r"model_weights/(\d+)/\.ATTRIBUTES/VARIABLE_VALUE")


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A model to look into.

    Attributes:
        name: the name in figures and tables.
        classifier: the loaded model.
        model: the opened model. A Keras file is exported, and the export exists as long as this object.
    """

    name: str
    classifier: Classifier
    model: Model | None = None


def load(models: Sequence[str], samples: int, data: str | None = None) -> tuple[list[Network], Split]:
    """Returns the models, and the first test images of their data set.

    Args:
        models: ids, SavedModels or Keras files, see `cortexzoo.evaluation.opening.open_model`.
        samples: number of images.
        data: images, see `cortexzoo.images.open_images`; defaults to the data set of the catalogued models.

    Raises:
        ValueError: there are no such models or images, or the models are for different data sets.
    """
    opened = [open_model(model) for model in models]
    source = open_images(data or _common_dataset(opened))
    split = source.load("test").first(samples)
    probe = split.images[:4]
    return [Network(model.name, Classifier(model.saved_model(), source.info, probe), model) for model in opened], split


def thresholds(info: DatasetInfo) -> dict[str, float]:
    """Returns the threshold in each norm."""
    return {norm: values[0] for norm, values in thresholds_for(info, {}).items()}


def _common_dataset(models: Sequence[Model]) -> str:
    found = sorted({model.dataset for model in models} - {""})
    if not found:
        raise ValueError("Expected --data=NAME for models that are not in the catalogue. Received: none.")
    if len(found) > 1:
        raise ValueError(f"Expected models for one data set. Received: models for {', '.join(found)}.")
    return found[0]


def weights_of(saved_model: os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the weight tensors of rank 2 or more in the model's order, by layer number and shape.

    Raises:
        ValueError: the SavedModel has no list `model_weights`, see the SavedModel contract.
    """
    reader = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    places = {int(match[1]): name for name in shapes if (match := _WEIGHT.fullmatch(name))}
    chosen = [places[i] for i in sorted(places) if len(shapes[places[i]]) >= 2]
    if not chosen:
        raise ValueError(
            f"Expected weights named model_weights/<i> in {saved_model}. Received: {', '.join(sorted(shapes)) or 'none'}. "
            "Export the model with cz.export_model."
        )
    return {f"layer {i}: {' x '.join(map(str, shapes[name]))}": reader.get_tensor(name) for i, name in enumerate(chosen, 1)}


def features_of(classifier: Classifier, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the activations from the endpoint `features` by name, float32, (n, units) each.

    Raises:
        ClassifierError: the model has no such endpoint.
    """
    function = classifier.raw_endpoint("features")
    parts = [function(tf.constant(images[i : i + _BATCH])) for i in range(0, len(images), _BATCH)]
    # In the order of the forward pass, as far as the names show it: a SavedModel sorts "block_10" before "block_2".
    names = sorted(parts[0], key=lambda name: (name == "logits", [int(n) for n in re.findall(r"\d+", name)], name))
    return {
        name: np.concatenate([part[name].numpy().reshape(len(part[name]), -1) for part in parts]).astype(np.float32)
        for name in names
    }


def best_endpoint(classifier: Classifier, names: Sequence[str] = PRECISE) -> str:
    """Returns the first of these endpoints that the model has, or "logits" if it has none."""
    for name in names:
        with contextlib.suppress(ClassifierError):
            classifier.endpoint(name)
            return name
    return "logits"


def logits_and_jacobian(classifier: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the most precise logits and their derivatives with respect to the pixels.

    Args:
        classifier: the model.
        images: float32, (n, height, width, channels), in [0, 1].

    Returns:
        Logits, float64, (n, classes), and the Jacobian, float64, (n, classes, pixels).
    """
    name = best_endpoint(classifier)
    slope_of = classifier.compiled(("slope", name), lambda: _build_slope(classifier, name))
    parts = [_logits_and_jacobian(slope_of, classifier, images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
    return tuple(np.concatenate(values) for values in zip(*parts, strict=True))


def _logits_and_jacobian(slope_of: Callable, classifier: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = []
    for k in range(classifier.num_classes):
        logits, gradient = slope_of(images, k)
        rows.append(gradient.numpy().astype(np.float64).reshape(len(images), -1) / GRADIENT_SCALE)
    return logits.numpy().astype(np.float64), np.stack(rows, axis=1)


def _build_slope(classifier: Classifier, name: str) -> Callable[[np.ndarray, int], tuple[tf.Tensor, tf.Tensor]]:
    """A function of images and a class: the logits, and `GRADIENT_SCALE` times the gradient of that class's logit."""
    logits_of = classifier.endpoint(name)

    @tf.function(
        input_signature=[tf.TensorSpec((None, *classifier.image_shape), tf.float32), tf.TensorSpec((), tf.int32)],
        autograph=False,
    )
    def slope_of(images: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = logits_of(images)
        own = tf.one_hot(tf.fill(tf.shape(logits)[:1], label), classifier.num_classes, dtype=logits.dtype)
        gradient = tape.gradient(logits, images, GRADIENT_SCALE * own, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return logits, gradient

    return slope_of
