"""What TF Serving's server does with an artefact, done here step by step: graph-mode load, run by tensor names, warm-up."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

import cortexzoo as cz
from cortexzoo.catalog import model_directory
from cortexzoo.export import WARMUP_FILE
from cortexzoo.loading import create_model

CATALOGUED = {card.id: card for card in cz.list_models()}
UNTRAINED = {
    "untrained CNN": ("ConvolutionalNetwork", {}),
    "untrained biDIM": ("DenoisedInternalModels", {"denoiser_widths": [16], "internal_widths": [8, 4], "binarize": True}),
}
Outputs = dict[str, np.ndarray]


@pytest.fixture(scope="module", params=[*CATALOGUED, *UNTRAINED])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel; its parent is the base path that the server is given."""
    if request.param in CATALOGUED:
        return model_directory(request.param) / str(CATALOGUED[request.param].version)
    return cz.export_model(create_model(*UNTRAINED[request.param]), tmp_path_factory.mktemp("served") / "model" / "1")


@pytest.fixture(scope="module")
def session(path: Path) -> Iterator[tuple[tf.compat.v1.Session, tf.compat.v1.MetaGraphDef]]:
    """The graph-mode session and the graph, loaded the way the server's SavedModelBundle does."""
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    # Left at once, so that the tests themselves run eagerly.
    with graph.as_default():
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(path))
    yield session, meta_graph
    session.close()


@pytest.fixture(scope="module")
def run(session: tuple) -> Callable[[np.ndarray], Outputs]:
    """Runs `serving_default` by the tensor names in its signature."""
    loaded, meta_graph = session
    signature = meta_graph.signature_def["serving_default"]
    fetches = {name: tensor.name for name, tensor in signature.outputs.items()}
    return lambda image: loaded.run(fetches, {signature.inputs["image"].name: image})


@pytest.fixture(scope="module")
def meta_graph(session: tuple) -> tf.compat.v1.MetaGraphDef:
    return session[1]


@pytest.fixture(scope="module")
def images(meta_graph: tf.compat.v1.MetaGraphDef) -> np.ndarray:
    dimensions = meta_graph.signature_def["serving_default"].inputs["image"].tensor_shape.dim
    return np.random.default_rng(0).random((5, *(dimension.size for dimension in dimensions[1:])), np.float32)


def test_signature(meta_graph: tf.compat.v1.MetaGraphDef) -> None:
    signature = meta_graph.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert list(signature.inputs) == ["image"]
    assert signature.inputs["image"].dtype == tf.float32.as_datatype_enum
    assert signature.inputs["image"].tensor_shape.dim[0].size == -1
    outputs = {name: (tensor.dtype, len(tensor.tensor_shape.dim)) for name, tensor in signature.outputs.items()}
    floats, integers = tf.float32.as_datatype_enum, tf.int64.as_datatype_enum
    assert outputs == {"logits": (floats, 2), "probabilities": (floats, 2), "label": (integers, 1)}
    # The server batches requests together where every tensor has the batch as its first dimension.
    assert all(tensor.tensor_shape.dim[0].size == -1 for tensor in signature.outputs.values())


def test_graph_mode_and_eager_mode_agree(path: Path, run: Callable, images: np.ndarray) -> None:
    saved = tf.saved_model.load(path)
    eager = saved.signatures["serving_default"](image=tf.constant(images))
    served = run(images)
    assert served.keys() == eager.keys()
    np.testing.assert_allclose(served["logits"], eager["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(served["probabilities"].sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(served["label"], served["logits"].argmax(axis=1))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batches_of_any_size(run: Callable, images: np.ndarray, batch: int) -> None:
    np.testing.assert_allclose(run(images[:batch])["logits"], run(images)["logits"][:batch], rtol=1e-4, atol=1e-4)


def test_warmup_requests_replay(path: Path, run: Callable, images: np.ndarray) -> None:
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path / WARMUP_FILE))]
    # The server refuses more than 1,000.
    assert 1 <= len(records) <= 1000
    batches = []
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.signature_name == "serving_default"
        assert list(request.inputs) == ["image"]
        image = tf.make_ndarray(request.inputs["image"])
        assert image.dtype == np.float32
        assert image.shape[1:] == images.shape[1:]
        assert np.isfinite(run(image)["logits"]).all()
        batches.append(len(image))
    assert batches == [1, 32]


def test_graph_needs_no_python(meta_graph: tf.compat.v1.MetaGraphDef) -> None:
    """The server has TensorFlow's own kernels and no Python interpreter."""
    graph = meta_graph.graph_def
    operations = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    functions = {function.signature.name for function in graph.library.function}
    assert {"MatMul", "Conv2D", "BatchMatMulV2"} & operations, "the network itself is not in the graph"
    assert not {name for name in operations if "Py" in name}
    # The registry of a plain TensorFlow: nothing that an add-on library would have to bring.
    assert {name for name in operations - functions if name not in tf.raw_ops.__dict__} <= {"_Arg", "_Retval"}


def test_rest_request_round_trip(run: Callable, images: np.ndarray) -> None:
    """{"instances": images} -> one object an image, as the server's JSON mapping does it."""
    request = json.loads(json.dumps({"instances": images.tolist()}))
    outputs = run(np.array(request["instances"], np.float32))
    predictions = [{name: values[i].tolist() for name, values in outputs.items()} for i in range(len(images))]
    # Strict JSON: a NaN or an infinity among the outputs would be an error here.
    response = json.loads(json.dumps({"predictions": predictions}, allow_nan=False))
    for i, prediction in enumerate(response["predictions"]):
        assert prediction["label"] == int(np.argmax(prediction["logits"]))
        np.testing.assert_array_equal(np.array(prediction["logits"], np.float32), outputs["logits"][i])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.skipif(shutil.which("tensorflow_model_server") is None, reason="tensorflow_model_server is not on PATH")
def test_model_server(
    path: Path, run: Callable, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real server, asked by REST on loopback."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rest, grpc = free_port(), free_port()
    command = ["tensorflow_model_server", "--model_name=model", f"--model_base_path={path.parent}"]
    with (tmp_path / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [*command, f"--rest_api_port={rest}", f"--port={grpc}"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{rest}/v1/models/model:predict"
        request = urllib.request.Request(url, json.dumps({"instances": images.tolist()}).encode())
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    predictions = json.load(response)["predictions"]
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log.txt").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
                time.sleep(0.5)
    finally:
        server.terminate()
        server.wait(timeout=30)
    logits = np.array([prediction["logits"] for prediction in predictions])
    np.testing.assert_allclose(logits, run(images)["logits"], rtol=1e-3, atol=1e-3)
    assert [prediction["label"] for prediction in predictions] == logits.argmax(axis=1).tolist()
