"""A SavedModel as a classifier: its serving path decides, its endpoints are differentiated."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from cortexzoo.catalog import file_digest
from cortexzoo.datasets import DatasetInfo

SIGNATURE = "serving_default"
DIFFERENTIABLE_ENDPOINTS = ("logits", "attack_logits")
# The values of `logits`, computed so that less of the gradient is lost: for suites that ask for them, and white-box shifts.
STABILIZED_ENDPOINTS = ("logits_float64", "logits_stable", "logits_softened")
# What a convolutional network makes of so many images stays in the cache.
_PREDICTION_BATCH = 100
# Share of the greatest logit by which a class must win: in a batch of another size float32 rounds differently.
CLEARLY = 1e-5


class ClassifierError(ValueError):
    """A SavedModel that cannot be attacked as it is; the message says what to change."""


class Classifier:
    """A classifier that is known only as a SavedModel directory.

    Attributes:
        path: the directory.
        dataset: the data set.
        digest: SHA-256 over its files, the identity of the model in the store.
        image_shape: (height, width, channels).
        num_classes: width of the logits.
        endpoints: names of the functions to attack: "logits", and those of "attack_logits" and the stabilised ones that the
            model has.

    Args:
        path: a SavedModel directory whose signature `serving_default` maps float images in [0, 1] to logits.
        dataset: the data set whose images it is to classify.
        probe: a few of these images, float32, (n, height, width, channels), on which the outputs are checked.

    Raises:
        ClassifierError: no SavedModel, no usable signature, a wrong shape, outputs that are NaN, infinite, probabilities, or
            fewer than the data set's classes.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: DatasetInfo, probe: np.ndarray) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self.digest = saved_model_digest(self.path)
        self._loaded = self._load()
        self._signature = self._find_signature()
        self._input = self._find_input(dataset)
        self._output = self._find_output()
        self.image_shape = dataset.image_shape
        self.endpoints = tuple(
            name
            for name in DIFFERENTIABLE_ENDPOINTS + STABILIZED_ENDPOINTS
            if name == "logits" or callable(getattr(self._loaded, name, None))
        )
        self._compiled: dict[Any, Callable] = {}
        self.num_classes = self._check_outputs(dataset, probe)

    def endpoint(self, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns a differentiable function from images to logits: the Python endpoint, else the signature itself."""
        function = getattr(self._loaded, name, None)
        if callable(function):
            return function
        if name == "logits":
            return lambda images: self._signature(**{self._input: images})[self._output]
        raise ClassifierError(f"{self.path} has no endpoint {name!r}. It has: {', '.join(self.endpoints)}.")

    def serving_logits(self, images: np.ndarray) -> np.ndarray:
        """Returns the logits of the serving path, float32, (n, num_classes)."""
        parts = [images[i : i + _PREDICTION_BATCH] for i in range(0, len(images), _PREDICTION_BATCH)]
        outputs = [self._signature(**{self._input: tf.constant(part)})[self._output].numpy() for part in parts]
        return np.concatenate(outputs) if outputs else np.zeros((0, self.num_classes), np.float32)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Returns the labels of the serving path, int64, (n,); `num_classes` where logits are NaN or infinite."""
        logits = self.serving_logits(images)
        return np.where(_finite(logits), np.argmax(logits, axis=-1), self.num_classes)

    def misclassifies(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns where another class than the label wins by more than rounding, or logits are NaN or infinite, bool, (n,).

        An attack that ends on the boundary itself asks this and not `predict`: its adversarial would be none in a batch of
        another size, and count as a failure.
        """
        logits = self.serving_logits(images)
        greatest = np.max(np.abs(logits), axis=1, where=np.isfinite(logits), initial=0.0)
        return _loses_by(logits, labels) > CLEARLY * greatest

    def loses_by(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns the serving path's best other logit minus the label's, float32, (n,): positive where the label loses.

        Where logits are NaN or infinite, infinity.
        """
        return _loses_by(self.serving_logits(images), labels)

    def compiled(self, key: Any, build: Callable[[], Callable]) -> Callable:
        """Returns the function that `build` makes, built once for each key, so that chunks share one trace."""
        if key not in self._compiled:
            self._compiled[key] = build()
        return self._compiled[key]

    def _load(self) -> Any:
        try:
            return tf.saved_model.load(str(self.path))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ClassifierError(
                f"Expected a SavedModel that TensorFlow can load in {self.path}. Received: {error}"
            ) from error

    def _find_signature(self) -> Any:
        signatures = dict(self._loaded.signatures)
        if SIGNATURE not in signatures:
            raise ClassifierError(
                f"Expected the signature {SIGNATURE!r} in {self.path}. Received: {', '.join(signatures) or 'no signature'}. "
                "Export with tf.saved_model.save(..., signatures={'serving_default': ...}) or cz.export_model."
            )
        return signatures[SIGNATURE]

    def _find_input(self, dataset: DatasetInfo) -> str:
        inputs = self._signature.structured_input_signature[1]
        if len(inputs) != 1:
            raise ClassifierError(f"Expected one input, the image, in {self.path}. Received: {', '.join(inputs) or 'none'}.")
        ((name, specification),) = inputs.items()
        wanted = tf.TensorShape((None, *dataset.image_shape))
        if specification.dtype != tf.float32 or not specification.shape.is_compatible_with(wanted):
            raise ClassifierError(
                f"Expected an input of float32 images of {dataset.name}, {wanted}, in {self.path}. "
                f"Received: {specification.dtype.name}, {specification.shape}."
            )
        if specification.shape.rank and specification.shape[0] is not None:
            raise ClassifierError(
                f"Expected an input with a free batch size in {self.path}. Received: {specification.shape}. "
                "Export with a batch dimension of None."
            )
        return name

    def _find_output(self) -> str:
        outputs = self._signature.structured_outputs
        if "logits" in outputs:
            return "logits"
        if len(outputs) == 1:
            return next(iter(outputs))
        raise ClassifierError(
            f"Expected an output named 'logits', or a single output, in {self.path}. Received: {', '.join(outputs)}."
        )

    def _check_outputs(self, dataset: DatasetInfo, probe: np.ndarray) -> int:
        logits = self.serving_logits(probe)
        where = f"of {self.path} on {len(probe)} images of {dataset.name}"
        if logits.ndim != 2:
            raise ClassifierError(f"Expected logits of shape (batch, classes) {where}. Received: shape {logits.shape}.")
        if bad := int(np.sum(~_finite(logits))):
            raise ClassifierError(f"Expected finite logits {where}. Received: NaN or infinity for {bad} images.")
        if logits.shape[1] < dataset.num_classes:
            raise ClassifierError(f"Expected at least {dataset.num_classes} classes {where}. Received: {logits.shape[1]}.")
        if np.all((logits >= 0) & (logits <= 1)) and np.allclose(logits.sum(axis=1), 1.0, atol=1e-3):
            raise ClassifierError(
                f"Expected logits {where}. Received: what looks like probabilities (in [0, 1], summing to 1). "
                "A softmax hides gradients from attacks: export the values before it, as output 'logits'."
            )
        self._check_endpoint(logits, probe)
        return logits.shape[1]

    def _check_endpoint(self, served: np.ndarray, probe: np.ndarray) -> None:
        """An attack follows the endpoint and the signature decides: they have to be the same function."""
        try:
            given = self.endpoint("logits")(tf.constant(probe)).numpy()
            same = given.shape == served.shape and np.allclose(given, served, rtol=1e-3, atol=1e-3 * np.max(np.abs(served)))
        except (TypeError, ValueError, AttributeError, tf.errors.OpError):
            same = False
        if not same:
            raise ClassifierError(
                f"Expected the endpoint `logits` to give the logits of the signature {SIGNATURE!r} in {self.path}. "
                f"Received: other values on {len(probe)} images. Correct the attribute `logits`, or export without it."
            )


def saved_model_digest(path: str | os.PathLike[str]) -> str:
    """Returns one SHA-256 over names and contents of all files that define the model.

    Raises:
        ClassifierError: there is no SavedModel.
    """
    path = Path(path)
    if not (path / "saved_model.pb").is_file():
        hint = _version_hint(path)
        raise ClassifierError(f"Expected a SavedModel directory, one that holds saved_model.pb. Received: {path}{hint}")
    digest = hashlib.sha256()
    for file in sorted([path / "saved_model.pb", *(path / "variables").glob("*"), *(path / "assets").glob("**/*")]):
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()} {file_digest(file)}\n".encode())
    return digest.hexdigest()


def _version_hint(path: Path) -> str:
    versions = [child.name for child in path.glob("*/") if (child / "saved_model.pb").is_file()] if path.is_dir() else []
    # By number, as TF Serving: 10 is newer than 9.
    newest = max(versions, key=lambda name: (name.isdigit(), int(name) if name.isdigit() else 0, name), default=None)
    return f". Did you mean {path / newest}?" if newest else ""


def _finite(logits: np.ndarray) -> np.ndarray:
    return np.all(np.isfinite(logits), axis=-1)


def _loses_by(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    true = np.arange(logits.shape[1]) == labels[:, None]
    finite = np.where(_finite(logits)[:, None], logits, 0.0)
    margin = np.max(finite, axis=1, where=~true, initial=-np.inf) - np.max(finite, axis=1, where=true, initial=-np.inf)
    return np.where(_finite(logits), margin, np.inf)
