"""A SavedModel as the classifier under attack: its serving path decides, its endpoints are differentiated."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cortexzoo.catalog import file_digest
from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation import probing
from cortexzoo.evaluation.conversion import LOGITS, Preprocessing, in_batches, to_logits
from cortexzoo.evaluation.memory import images_at_once
from cortexzoo.evaluation.probing import ClassifierError

_AS_IT_IS = Preprocessing()
SIGNATURE = "serving_default"
DIFFERENTIABLE_ENDPOINTS = ("logits", "attack_logits")
# The logits computed so that less of their gradient is lost, for suites that ask for them and for white-box shifts.
STABILIZED_ENDPOINTS = ("logits_float64", "logits_stable", "logits_softened")
# The activations of a small convolutional network for this many images fit into the processor's cache.
_PREDICTION_BATCH = 100
# A class must win by this share of the largest logit, as float32 rounds differently in a batch of another size.
CLEARLY = 1e-5
# The number of answers over which a random model is attacked and judged.
REPEATS = 20


class Classifier:
    """The model under attack, known only as a SavedModel directory.

    Attributes:
        path: the directory.
        dataset: the data set.
        preprocessing: applied to an image before the model sees it.
        digest: the model's identity in the store: SHA-256 over its files and its preprocessing, if any.
        image_shape: (height, width, channels).
        num_classes: number of logits.
        endpoints: names of the functions to attack: "logits" and, if the model has them, "attack_logits" and the stabilised
            endpoints.
        batch_limit: the most images to differentiate at once, given or measured; None if any number fits.
        repeats: the number of answers whose mean counts: 1, and `REPEATS` if the model answers differently when asked again.
            Gradients are those of the mean, too: expectation over transformations (Athalye et al. 2018,
            https://arxiv.org/abs/1707.07397).
        noise: by how much another class must win until a random model is wrong for good, in logits; 0 for other models.
        signs: reasons to distrust a robust accuracy, found in the outputs for the probe, as sentences by name.

    Args:
        path: a SavedModel directory whose signature `serving_default` maps float images to logits.
        dataset: the data set whose images it classifies.
        probe: a few of its images, float32, (n, height, width, channels), in [0, 1], on which the outputs are checked.
        preprocessing: see above.
        batch_limit: see above.
        name: its name in errors; defaults to the path.

    Raises:
        ClassifierError: there is no SavedModel or no usable signature, a shape is wrong, or outputs are NaN, infinite,
            integers or fewer than the data set's classes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        dataset: DatasetInfo,
        probe: np.ndarray,
        *,
        preprocessing: Preprocessing = _AS_IT_IS,
        batch_limit: int | None = None,
        name: str = "",
    ) -> None:
        self.path, self._name = Path(path), name or str(path)
        self.dataset, self.preprocessing, self.batch_limit = dataset, preprocessing, batch_limit
        preprocessing.check(dataset.image_shape[2])
        self.digest = preprocessing.digest(saved_model_digest(self.path))
        self._loaded = self._load()
        self._signature = self._find_signature()
        self._input, self._dtype = self._find_input(dataset)
        self._output = self._find_output()
        self.image_shape = dataset.image_shape
        self.endpoints = tuple(
            name
            for name in DIFFERENTIABLE_ENDPOINTS + STABILIZED_ENDPOINTS
            if name == "logits" or callable(getattr(self._loaded, name, None))
        )
        self._compiled: dict[Any, Callable] = {}
        where = f"{self._name} on {len(probe)} images of {dataset.name}"
        self._size = probing.batch_size(self._raw, self._signature_batch(), probe, where)
        self._kind, self.signs = probing.examine(self._fed(self._raw), dataset.num_classes, probe, where)
        self.repeats = REPEATS if probing.RANDOM in self.signs else 1
        self.noise = 0.0
        self._precision = probing.precision(self._fed(self._raw), probe)
        self._serve = self._answering(self._raw)
        if self.repeats > 1:
            self.noise = probing.noise(self._answering_once(self._fed(self._raw)), probe, self.repeats)
        self.num_classes = self._check_outputs(dataset, probe)
        self.batch_limit = batch_limit or images_at_once(self.endpoint("logits"), self.image_shape)

    def endpoint(self, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns a differentiable function from images in [0, 1] to logits: the Python endpoint or else the signature."""
        function = getattr(self._loaded, name, None)
        if callable(function):
            # A named endpoint returns logits, whatever the signature returns.
            return self._answering(lambda images: function(tf.cast(images, self._dtype)), name)
        if name == "logits":
            return self._serve
        raise ClassifierError(f"{self.path} has no endpoint {name!r}. It has: {', '.join(self.endpoints)}.")

    def raw_endpoint(self, name: str) -> Callable[[tf.Tensor], Any]:
        """Returns an endpoint whose outputs are not logits, such as `features`, as a function of images in [0, 1].

        Raises:
            ClassifierError: there is no endpoint of this name.
        """
        function = getattr(self._loaded, name, None)
        if not callable(function):
            raise ClassifierError(f"{self.path} has no endpoint {name!r}. It has: {', '.join(self.endpoints)}.")
        return lambda images: function(self.preprocessing(images))

    def _raw(self, images: tf.Tensor) -> tf.Tensor:
        """The signature's output for preprocessed images."""
        # If the signature has no shape, neither has the gradient; a reshape restores it.
        images = tf.reshape(images, tf.shape(images)) if self._signature_shape().rank is None else images
        return self._signature(**{self._input: tf.cast(images, self._dtype)})[self._output]

    def _fed(self, function: Callable) -> Callable:
        """Adds preprocessing to a function, and splits images into batches that it takes."""
        prepared = function if self.preprocessing == _AS_IT_IS else (lambda images: function(self.preprocessing(images)))
        return prepared if self._size is None else in_batches(prepared, self._size)

    def _answering(self, function: Callable, name: str = "logits") -> Callable:
        """Turns an endpoint into a function from images in [0, 1] to logits."""
        fed = self._fed(function)
        if name in STABILIZED_ENDPOINTS:
            # These must stay float64.
            return fed
        once = self._answering_once(fed, name)
        if self.repeats == 1:
            return once
        return lambda images: tf.add_n([once(images) for _ in range(self.repeats)]) / self.repeats

    def _answering_once(self, fed: Callable, name: str = "logits") -> Callable:
        kind = self._kind if name == "logits" else LOGITS
        # A graph may not know the rank of a signature's output.
        return lambda images: tf.cast(to_logits(tf.ensure_shape(fed(images), (None, None)), kind), tf.float32)

    def _signature_batch(self) -> int | None:
        """The batch size that the signature declares; None if it is free."""
        shape = self._signature_shape()
        return shape[0] if shape.rank else None

    def _signature_shape(self) -> tf.TensorShape:
        return self._signature.structured_input_signature[1][self._input].shape

    def serving_logits(self, images: np.ndarray) -> np.ndarray:
        """Returns the logits of the serving path, float32, (n, num_classes)."""
        return self._in_parts(self._serve, images)

    def _in_parts(self, function: Callable, images: np.ndarray) -> np.ndarray:
        size = min(_PREDICTION_BATCH, self.batch_limit or _PREDICTION_BATCH)
        parts = [images[i : i + size] for i in range(0, len(images), size)]
        outputs = [function(tf.constant(part)).numpy() for part in parts]
        return np.concatenate(outputs) if outputs else np.zeros((0, self.num_classes), np.float32)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Returns the labels predicted on the serving path, int64, (n,); `num_classes` where logits are NaN or infinite."""
        logits = self.serving_logits(images)
        return np.where(_finite(logits), np.argmax(logits, axis=-1), self.num_classes)

    def misclassifies(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns where another class clearly beats the label, or logits are NaN or infinite, bool, (n,).

        Clearly means by more than rounding. Attacks that end right on the boundary use this and not `predict`: in a batch of
        another size, rounding could undo their success.
        """
        logits = self.serving_logits(images)
        greatest = np.max(np.abs(logits), axis=1, where=np.isfinite(logits), initial=0.0)
        least = np.maximum(CLEARLY * greatest, self._precision * np.maximum(greatest, 1.0))
        return _loses_by(logits, labels) > np.maximum(least, self.noise)

    def loses_by(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns the largest other logit minus the label's on the serving path, float32, (n,): positive if the label loses.

        It is infinite where logits are NaN or infinite.
        """
        return _loses_by(self.serving_logits(images), labels)

    def answers(self, images: np.ndarray) -> np.ndarray:
        """Returns the labels that a random model gives when it is asked several times, int64, (repeats, n)."""
        once = self._answering_once(self._fed(self._raw))
        return np.stack([np.argmax(self._in_parts(once, images), axis=-1) for _ in range(self.repeats)])

    def compiled(self, key: Any, build: Callable[[], Callable]) -> Callable:
        """Returns the function made by `build`, which is called once per key, so that chunks share one trace."""
        if key not in self._compiled:
            function = self._compiled[key] = build()
            # TensorFlow's warning of frequent tracing is not meant for one trace per model.
            function._omit_frequent_tracing_warning = True
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

    def _find_input(self, dataset: DatasetInfo) -> tuple[str, tf.DType]:
        inputs = self._signature.structured_input_signature[1]
        if len(inputs) != 1:
            raise ClassifierError(
                f"Expected one input, the image, in {self.path}. Received: {', '.join(inputs) or 'none'}. "
                "Export a model that takes only the image, with the other inputs fixed inside."
            )
        ((name, specification),) = inputs.items()
        if not specification.dtype.is_floating:
            raise ClassifierError(
                f"Expected an input of float images in {self.path}. Received: {specification.dtype.name}. Integers have no "
                "gradient: export the model with a float input, and cast inside."
            )
        wanted, received = tf.TensorShape((None, *dataset.image_shape)), specification.shape
        if not received.is_compatible_with(tf.TensorShape([received[0] if received.rank else None, *wanted[1:]])):
            raise ClassifierError(
                f"Expected an input of float32 images of {dataset.name}, {wanted}, in {self._name}. "
                f"Received: {specification.dtype.name}, {received}.{_shape_hint(received, dataset.image_shape)}"
            )
        return name, specification.dtype

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
        where = f"of {self._name} on {len(probe)} images of {dataset.name}"
        if bad := int(np.sum(~_finite(logits))):
            raise ClassifierError(
                f"Expected finite logits {where}. Received: NaN or infinity for {bad} images. Look for NaN among its "
                "weights, and for what it divides by or takes the logarithm of."
            )
        if logits.shape[1] < dataset.num_classes:
            raise ClassifierError(
                f"Expected at least {dataset.num_classes} classes {where}. Received: {logits.shape[1]}. The labels go up to "
                f"{dataset.num_classes - 1}: correct them, or evaluate a model of these classes."
            )
        if not self.signs:
            self._check_endpoint(logits, probe)
        for name in self.endpoints[1:]:
            self._check_surrogate(name, logits.shape, probe)
        return logits.shape[1]

    def _check_surrogate(self, name: str, shape: tuple[int, ...], probe: np.ndarray) -> None:
        """A surrogate may return other values, but for the same classes."""
        try:
            received = tuple(self.endpoint(name)(tf.constant(probe)).shape)
        except (TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
            received = f"{type(error).__name__}: {error}"
        if received != shape:
            raise ClassifierError(
                f"Expected the endpoint `{name}` of {self.path} to return as many values as `logits`, shape {shape}. "
                f"Received: {received}. Correct it, or export the model without it."
            )

    def _check_endpoint(self, served: np.ndarray, probe: np.ndarray) -> None:
        """An attack differentiates the endpoint while the signature decides, so both must be the same function."""
        try:
            given = self.endpoint("logits")(tf.constant(probe)).numpy()
            same = given.shape == served.shape and np.allclose(given, served, rtol=1e-3, atol=1e-3 * np.max(np.abs(served)))
        except (TypeError, ValueError, AttributeError, tf.errors.OpError):
            same = False
        if not same:
            raise ClassifierError(
                f"Expected the endpoint `logits` to return the logits of the signature {SIGNATURE!r} in {self.path}. "
                f"Received: other values on {len(probe)} images. Correct the endpoint, or export the model without it."
            )


def _shape_hint(received: tf.TensorShape, image_shape: tuple[int, int, int]) -> str:
    """What to do about a model whose input has another shape than the images."""
    height, width, channels = image_shape
    if received.rank == 4 and received[1:] == (channels, height, width):
        return " It takes channels first: transpose inside the model (keras.layers.Permute((3, 1, 2))) and export it again."
    if received.rank == 2 and received[1] == height * width * channels:
        return " It takes flat images: flatten inside the model (keras.layers.Flatten()) and export it again."
    hint = ""
    if received.rank == 4 and not received[1:3].is_compatible_with((height, width)):
        hint += f" Resize the images: tf.image.resize(images, {tuple(received[1:3])})."
    if received.rank == 4 and received[3] not in (None, channels) and channels == 1:
        hint += f" Repeat the channel: np.repeat(images, {received[3]}, axis=-1)."
    return hint or " Pass images of that shape."


def saved_model_digest(path: str | os.PathLike[str]) -> str:
    """Returns one SHA-256 over the names and contents of all files that define the model.

    Raises:
        ClassifierError: there is no SavedModel.
    """
    path = Path(path)
    if not (path / "saved_model.pb").is_file():
        newest = newest_version(path)
        hint = f". Did you mean {newest}?" if newest != path else ""
        raise ClassifierError(f"Expected a SavedModel directory, one that holds saved_model.pb. Received: {path}{hint}")
    digest = hashlib.sha256()
    for file in sorted([path / "saved_model.pb", *(path / "variables").glob("*"), *(path / "assets").glob("**/*")]):
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()} {file_digest(file)}\n".encode())
    return digest.hexdigest()


def newest_version(path: Path) -> Path:
    """Returns the version that TF Serving would serve from a folder of versions; any other path unchanged."""
    versions = [child for child in path.glob("*/") if (child / "saved_model.pb").is_file()] if path.is_dir() else []
    if (path / "saved_model.pb").is_file() or not versions:
        return path
    # By number, as in TF Serving: 10 is newer than 9.
    return max(versions, key=lambda path: (path.name.isdigit(), int(path.name) if path.name.isdigit() else 0, path.name))


def _finite(logits: np.ndarray) -> np.ndarray:
    return np.all(np.isfinite(logits), axis=-1)


def _loses_by(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    true = np.arange(logits.shape[1]) == labels[:, None]
    finite = np.where(_finite(logits)[:, None], logits, 0.0)
    margin = np.max(finite, axis=1, where=~true, initial=-np.inf) - np.max(finite, axis=1, where=true, initial=-np.inf)
    return np.where(_finite(logits), margin, np.inf)
