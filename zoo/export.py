"""Keras model -> SavedModel that TF Serving and `cortexzoo.evaluation` take, and weights back from it."""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cortexzoo.calling import call_model
from cortexzoo.export_checks import check_model, check_outputs
from cortexzoo.heads import Head, find_head, model_batch, model_image_shape

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_WARMUP_BATCHES = (1, 32)
_Function = Callable[[tf.Tensor], Any]


def export_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    image_shape: tuple[int, int, int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a SavedModel with named endpoints and warm-up records.

    The signature `serving_default(image)` gives `logits`, `probabilities` (their softmax) and `label`. The functions of
    `model.endpoints()` (for other Keras models just `logits`) are attributes of the loaded object, each differentiable with
    respect to the image. Logits are float32, whatever the dtype policy. Each weight is stored once, in the order of
    `model.weights`; seed states are stored where the model draws random numbers in inference too.

    A model that ends in an activation is exported without it, so that its logits are logits:

    - softmax: the values before it.
    - one sigmoid for each class: the values before them.
    - a single unit z, with or without a sigmoid: the two logits [0, z], whose softmax is [1 - sigmoid(z), sigmoid(z)].

    Args:
        model: a Keras classifier of float32 images in [0, 1], (batch, height, width, channels). It runs on the TensorFlow
            backend.
        path: where to write; the last part is the version, an integer, as TF Serving wants it: "my_model/1".
        image_shape: (height, width, channels). Defaults to the model's own.
        overwrite: bool. Replace a version that exists. Defaults to False.

    Returns:
        `path`.

    Raises:
        ValueError: the backend is not TensorFlow; the version is no integer; the shape of the images is unknown; the model
            takes more than one input, integers or channels first; it returns something other than (batch, classes), or
            probabilities whose activation was not found.
        FileExistsError: the version exists.
    """
    return _export(_checked_path(path, overwrite), model, image_shape, takes_probabilities=False)


def export_as_it_answers(
    model: keras.Model, path: str | os.PathLike[str], *, image_shape: tuple[int, int, int] | None = None
) -> Path:
    """Writes a SavedModel as `export_model` does, for an evaluation, which takes probabilities too.

    Where the model ends in an activation that cannot be cut, such as a mean of several softmaxes or `tf.nn.softmax` in its
    `call`, the output `logits` holds what it gives: probabilities.
    """
    return _export(_checked_path(path, False), model, image_shape, takes_probabilities=True)


def _export(path: Path, model: keras.Model, image_shape: tuple[int, int, int] | None, *, takes_probabilities: bool) -> Path:
    check_model(model, image_shape)
    height, width, channels = image_shape or model_image_shape(model)
    shape = (height, width, channels)
    head = find_head(model, shape)
    check_outputs(model, shape, head, takes_probabilities=takes_probabilities)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    with head.removed(), _without_notes():
        module = _serving_module(model, shape, head)
        tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.serving_default})
    # It holds the name of the folder in which it was written, which differs from run to run; no reader uses it.
    (temporary / "fingerprint.pb").unlink(missing_ok=True)
    _write_warmup_requests(temporary / WARMUP_FILE, shape, path.parent.name, model_batch(model))
    _replace_version(temporary, path)
    return path


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """In a notebook TensorFlow tells what it writes, and the folder is one that nobody knows."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def _checked_path(path: str | os.PathLike[str], overwrite: bool) -> Path:
    path = Path(path)
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A SavedModel needs the TensorFlow backend. Received: backend={keras.backend.backend()!r}. "
            "Save the weights there, and export under KERAS_BACKEND=tensorflow."
        )
    if not path.name.isdecimal():
        raise ValueError(f"`path` must end in an integer version, such as {path / '1'}. Received: path={str(path)!r}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Choose the next version number or pass overwrite=True.")
    return path


def _replace_version(new: Path, path: Path) -> None:
    """Puts a folder in the place of another. That one keeps a name that is no version until the new one is there."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:
        if old.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def restore_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Sets the weights of a built model from a SavedModel that `export_model` wrote.

    Args:
        model: a built Keras model of the exported architecture.
        path: the SavedModel's directory.

    Raises:
        ValueError: number or shapes of the weights differ; the model is left unchanged.
    """
    reader = tf.train.load_checkpoint(str(Path(path) / "variables" / "variables"))
    stored = sum(name.startswith("model_weights/") for name in reader.get_variable_to_shape_map())
    if stored != len(model.weights):
        raise ValueError(f"Expected {len(model.weights)} weights in {path} for {type(model).__name__}. Received: {stored}.")
    values = [reader.get_tensor(f"model_weights/{i}/.ATTRIBUTES/VARIABLE_VALUE") for i in range(stored)]
    for weight, value in zip(model.weights, values, strict=True):
        if tuple(weight.shape) != value.shape:
            raise ValueError(f"Expected shape {tuple(weight.shape)} for {weight.path} in {path}. Received: {value.shape}.")
    model.set_weights(values)


def _serving_module(model: keras.Model, image_shape: tuple[int, int, int], head: Head) -> tf.Module:
    """A plain module. Keras' own ExportArchive stores each weight twice, and all random-seed states."""
    module = tf.Module()
    module.model_weights = [weight.value for weight in model.weights]
    specification = [tf.TensorSpec((model_batch(model), *image_shape), tf.float32, name="image")]
    functions = _endpoints(model, head)
    compiled = {name: tf.function(f, input_signature=specification, autograph=False) for name, f in functions.items()}
    for name, function in compiled.items():
        setattr(module, name, function)

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = functions["logits"](image)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.argmax(logits, axis=-1, output_type=tf.int64),
        }

    module.serving_default = tf.function(serve, input_signature=specification, autograph=False)
    # A SavedModel must hold every variable that its functions read: seed states of noise in inference, for one.
    if other := _other_variables([*compiled.values(), module.serving_default], module.model_weights):
        module.other_state = other
    return module


def _endpoints(model: keras.Model, head: Head) -> dict[str, _Function]:
    """The functions of an image batch by name, in the dtypes in which they are served."""
    if hasattr(model, "endpoints"):
        return {name: _in_served_dtypes(name, function) for name, function in model.endpoints().items()}

    def logits(image: tf.Tensor) -> tf.Tensor:
        values = call_model(model, image)
        return tf.concat([tf.zeros_like(values), values], axis=-1) if head.kind == "binary" else values

    return {"logits": _in_served_dtypes("logits", logits)}


def _in_served_dtypes(name: str, function: _Function) -> _Function:
    """Casts what attacks and servers read to float32; other endpoints may be float64, but not of half precision."""
    kept = (tf.float32,) if name in ("logits", "attack_logits") else (tf.float32, tf.float64)

    def cast(values: tf.Tensor) -> tf.Tensor:
        return tf.cast(values, tf.float32) if values.dtype.is_floating and values.dtype not in kept else values

    return lambda image: tf.nest.map_structure(cast, function(image))


def _other_variables(functions: list[Any], weights: list[tf.Variable]) -> list[tf.Variable]:
    """The variables that functions read beside the weights, each once."""
    known = {weight.ref() for weight in weights}
    read = (variable.ref() for function in functions for variable in function.get_concrete_function().variables)
    return [reference.deref() for reference in dict.fromkeys(read) if reference not in known]


def _write_warmup_requests(path: Path, image_shape: tuple[int, int, int], model_name: str, only_batch: int | None) -> None:
    """TF Serving replays these when it loads the model, so that the first real request is fast."""
    # Imported late: nothing but an export needs the protos of the server.
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in (only_batch,) if only_batch else _WARMUP_BATCHES:
            # One value for all of them: a black image need not fill the repository.
            image = tf.make_tensor_proto(0.0, np.float32, (batch, *image_shape))
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=model_name, signature_name="serving_default"), inputs={"image": image}
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString(deterministic=True))
