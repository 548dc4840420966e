"""Keras model -> SavedModel that TF Serving and `evaluation` take, and weights back from it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_WARMUP_BATCHES = (1, 32)


def export_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    image_shape: tuple[int, int, int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a SavedModel with named endpoints and warm-up records.

    The signature `serving_default(image)` gives `logits`, `probabilities` and `label`. The functions of
    `model.endpoints()` (for other Keras models just `logits`) are attributes of the loaded object, each differentiable with
    respect to the image. Each weight is stored once, in the order of `model.weights`.

    Args:
        model: a Keras model from float32 images in [0, 1], (batch, height, width, channels), to logits. It runs on the
            TensorFlow backend.
        path: where to write; the last part is the version, an integer, as TF Serving wants it: "my_model/1".
        image_shape: (height, width, channels). Defaults to the model's own.
        overwrite: bool. Replace a version that exists. Defaults to False.

    Returns:
        `path`.

    Raises:
        ValueError: the backend is not TensorFlow, the version is no integer, the shape of the images is unknown, or the
            model does not return logits, (batch, classes).
        FileExistsError: the version exists.
    """
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
    module = _serving_module(model, image_shape or _image_shape(model))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.serving_default})
    # The name of the folder in which it stood is not reproducible and no reader uses it.
    (temporary / "fingerprint.pb").unlink(missing_ok=True)
    _write_warmup_requests(temporary / WARMUP_FILE, module.image_shape, path.parent.name)
    _replace_version(temporary, path)
    return path


def _replace_version(new: Path, path: Path) -> None:
    """Puts a folder in the place of another, which stands aside until then: its name there is no version."""
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


def _serving_module(model: keras.Model, image_shape: tuple[int, int, int]) -> tf.Module:
    """A plain module: Keras' own ExportArchive stores each weight twice and random-seed states besides."""
    module = tf.Module()
    module.model_weights = [weight.value for weight in model.weights]
    module.image_shape = image_shape
    specification = [tf.TensorSpec((None, *image_shape), tf.float32, name="image")]
    if hasattr(model, "endpoints"):
        functions: dict[str, Callable] = model.endpoints()
    else:
        functions = {"logits": lambda image: model(image, training=False)}
    for name, function in functions.items():
        setattr(module, name, tf.function(function, input_signature=specification, autograph=False))

    logits = functions["logits"](tf.zeros((1, *image_shape)))
    if not tf.is_tensor(logits) or len(logits.shape) != 2:
        received = f"shape {tuple(logits.shape)}" if tf.is_tensor(logits) else type(logits).__name__
        raise ValueError(f"Expected a model that returns logits, (batch, classes). Received: {received}.")

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = functions["logits"](image)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.argmax(logits, axis=-1, output_type=tf.int64),
        }

    module.serving_default = tf.function(serve, input_signature=specification, autograph=False)
    return module


def _image_shape(model: keras.Model) -> tuple[int, int, int]:
    shape = getattr(model, "image_shape", None) or (getattr(model, "input_shape", None) or ())[1:]
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"Expected images of known (height, width, channels). Received: shape {tuple(shape)}. Pass `image_shape`."
        )
    return tuple(shape)


def _write_warmup_requests(path: Path, image_shape: tuple[int, int, int], model_name: str) -> None:
    """TF Serving replays these when it loads the model, so that the first real request is fast."""
    # Imported late: nothing but an export needs the protos of the server.
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in _WARMUP_BATCHES:
            # One value for all of them: a black image need not fill the repository.
            image = tf.make_tensor_proto(0.0, np.float32, (batch, *image_shape))
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=model_name, signature_name="serving_default"), inputs={"image": image}
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString(deterministic=True))
