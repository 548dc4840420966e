"""What TensorFlow Serving does with one version of a model, done here: load, run the signature, replay the warm-up."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from cortexzoo.export import WARMUP_FILE

# The server has no Python interpreter to run these.
_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction")
_INPUT, _LOGITS, _SIGNATURE = "image", "logits", "serving_default"
_ANY_SIZE = 32
# What a broken artefact makes TensorFlow raise.
_ERRORS = (tf.errors.OpError, OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)
Check = tuple[str, bool, str]


def check_version(version: Path) -> Iterator[Check]:
    """Yields check, verdict and finding, until a check fails that the others rest on.

    Args:
        version: the folder of one version, with saved_model.pb in it.
    """
    yield (found := _check_operations(version))
    if not found[1]:
        return
    try:
        loaded = tf.saved_model.load(str(version))
    except _ERRORS as error:
        yield "loads", False, f"TensorFlow cannot load {version}: {_first_line(error)}"
        return
    yield "loads", True, f"{version}, with TensorFlow {tf.__version__}"
    signature = loaded.signatures.get(_SIGNATURE)
    yield (found := _check_input(signature, list(loaded.signatures)))
    if found[1]:
        yield _check_logits(signature)
        yield _check_warmup(version / WARMUP_FILE, signature)


def _check_operations(version: Path) -> Check:
    path = version / "saved_model.pb"
    try:
        graphs = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs
    except (OSError, DecodeError) as error:
        return "graph", False, f"{path} is no SavedModel: {_first_line(error)}"
    if not any("serve" in graph.meta_info_def.tags for graph in graphs):
        return "graph", False, f"{path} has no graph with the tag `serve`"
    nodes = [node for graph in graphs for node in graph.graph_def.node]
    nodes += [node for graph in graphs for function in graph.graph_def.library.function for node in function.node_def]
    if python := sorted({node.op for node in nodes if node.op in _PYTHON}):
        return "graph", False, f"it calls Python ({', '.join(python)}), which the server does not have"
    return "graph", True, f"{len(nodes):,} operations, none in Python"


def _check_input(signature: Callable | None, names: list[str]) -> Check:
    if signature is None:
        return "signature", False, f"no {_SIGNATURE!r} among {', '.join(names) or 'none'}. Export with cz.export_model."
    inputs = signature.structured_input_signature[1]
    found = ", ".join(f"{name}: {spec.dtype.name} {spec.shape}" for name, spec in sorted(inputs.items()))
    if list(inputs) != [_INPUT]:
        return "signature", False, f"expected one input `{_INPUT}`, received {found or 'none'}"
    spec = inputs[_INPUT]
    if not spec.dtype.is_floating or spec.shape.rank != 4 or None in spec.shape[1:]:
        return "signature", False, f"expected float images of a fixed height, width and channels, received {found}"
    batch = "any batch" if spec.shape[0] is None else f"batches of {spec.shape[0]} only"
    return "signature", spec.shape[0] is None, f"{_SIGNATURE}({found}), {batch}"


def _check_logits(signature: Callable) -> Check:
    spec = signature.structured_input_signature[1][_INPUT]
    try:
        outputs = [signature(**{_INPUT: tf.zeros((n, *spec.shape[1:]), spec.dtype)}) for n in (1, _ANY_SIZE)]
    except _ERRORS as error:
        return "logits", False, f"the signature fails on black images: {_first_line(error)}"
    names = ", ".join(sorted(outputs[0]))
    if _LOGITS not in outputs[0]:
        return "logits", False, f"no output `{_LOGITS}` among {names}"
    logits = [output[_LOGITS] for output in outputs]
    good = all(values.shape.rank == 2 and len(values) == n for values, n in zip(logits, (1, _ANY_SIZE), strict=True))
    if not good or not all(np.isfinite(values).all() for values in logits):
        return "logits", False, f"expected finite logits of shape (batch, classes), received shape {logits[1].shape}"
    return "logits", True, f"{logits[0].shape[1]} classes; outputs {names}"


def _check_warmup(path: Path, signature: Callable) -> Check:
    if not path.is_file():
        return "warm-up", False, f"no {path}: the first requests would be slow. Export with cz.export_model."
    try:
        batches = [_replay(record, signature) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    except _ERRORS as error:
        return "warm-up", False, f"{path} cannot be replayed, and the server would not load the model: {_first_line(error)}"
    if not 1 <= len(batches) <= 1000:
        return "warm-up", False, f"expected 1 to 1,000 records, received {len(batches):,}"
    return "warm-up", True, f"{len(batches)} requests, with {', '.join(map(str, batches))} images"


def _replay(record: bytes, signature: Callable) -> int:
    """Runs one recorded request and returns how many images it has."""
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
    signature(**inputs)
    return len(inputs[_INPUT])


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
