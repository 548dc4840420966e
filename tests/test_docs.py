"""What the pages show runs: the Python of README and two pages of docs, the files and the clients of docs/serving.md."""

import ast
import http.server
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

import cortexzoo as cz
from cortexzoo import datasets
from cortexzoo.evaluation.results.metrics import TOLERANCE
from cortexzoo.loading import create_model
from tests.conftest import load_split

ROOT = Path(__file__).parents[1]


def python_of(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg")
def test_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    digits = load_split("mnist", "test").first(20)
    names: dict[str, Any] = {"images": digits.images, "labels": digits.labels}
    for block in python_of("README.md"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["found"].images.shape == digits.images.shape
    assert names["result"].robust_accuracy("linf") == pytest.approx(
        np.mean(names["result"].distances("linf") > 0.1 * (1 + TOLERANCE))
    )
    assert "PGD L∞" in capsys.readouterr().out
    assert (tmp_path / "my_model" / "1" / "saved_model.pb").is_file()


def test_evaluating_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block, in its order, on a small model and a few images."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    images = np.random.default_rng(0).random((6, 5, 5, 1), np.float32)
    labels = model.predict(images, verbose=0).argmax(axis=1)
    names: dict[str, Any] = {"model": model, "images": images, "labels": labels, "wanted": (labels + 1) % 3}
    for block in python_of("docs/evaluating.md"):
        exec(compile(block, "docs/evaluating.md", "exec"), names)
    assert names["towards"].norm == "linf"
    assert np.isin(names["towards"].predictions[names["towards"].success], names["wanted"]).all()
    assert names["nearest"].success.all()
    assert (tmp_path / "results.sqlite").is_file()


def test_adversarial_training_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block, in its order, on a small model and a few images."""
    monkeypatch.chdir(tmp_path)
    model = create_model("MultilayerPerceptron", {"hidden_units": (), "image_shape": (5, 5, 1), "num_classes": 3})
    model.build()
    images = np.random.default_rng(0).random((12, 5, 5, 1), np.float32)
    names: dict[str, Any] = {"model": model, "images": images, "labels": np.arange(12) % 3}
    for block in python_of("docs/adversarial-training.md"):
        exec(compile(block, "docs/adversarial-training.md", "exec"), names)
    assert len(names["history"].history["val_robust_accuracy"]) == 2
    assert (tmp_path / "robust" / "1" / "saved_model.pb").is_file()


PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def block(language: str, containing: str) -> str:
    """The one code block of the page with this text."""
    (found,) = (text for kind, text in BLOCKS if kind == language and containing in text)
    return found


def test_models_config_parses() -> None:
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(block("proto", "model_config_list"), config)
    dim, fashion = config.model_config_list.config
    assert (dim.name, dim.base_path, dim.model_platform) == ("dim", "/models/mnist/dim", "tensorflow")
    assert dim.model_version_policy.latest.num_versions == 1
    assert list(fashion.model_version_policy.specific.versions) == [1, 2]
    assert dict(fashion.version_labels) == {"stable": 1, "canary": 2}


def batching_parameters() -> type:
    """The server's BatchingParameters, which the Python package leaves out: the fields that the page uses."""
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", syntax="proto3", dependency=["wrappers.proto"])
    message = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, start=1):
        message.field.add(name=name, number=number, type=11, label=1, type_name=".google.protobuf.Int64Value")
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    wrappers.name = "wrappers.proto"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(wrappers)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))


def test_batching_parameters_parse() -> None:
    parameters = text_format.Parse(block("proto", "max_batch_size"), batching_parameters()())
    assert all(field.message_type.name == "Int64Value" for field, _ in parameters.ListFields())
    # Less, and the warm-up fails and with it the load.
    assert parameters.max_batch_size.value >= 32


def test_json_example_is_a_response() -> None:
    for prediction in json.loads(block("json", "predictions"))["predictions"]:
        assert prediction["label"] == int(np.argmax(prediction["logits"]))
        softmax = np.exp(prediction["logits"]) / np.exp(prediction["logits"]).sum()
        np.testing.assert_allclose(prediction["probabilities"], softmax, atol=1e-4)


def test_shell_blocks_are_shell() -> None:
    """Their words are checked with those of the other pages, in test_pages.py."""
    for text in (text for kind, text in BLOCKS if kind == "shell"):
        assert shlex.split(text, comments=True)


def test_python_blocks_use_real_names() -> None:
    code = [text for kind, text in BLOCKS if kind == "python"]
    assert len(code) == 3
    for text in code:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = {"cz": cz, "datasets": datasets}.get(node.value.id)
                assert module is None or hasattr(module, node.attr)


@pytest.fixture(scope="module")
def predict(tmp_path_factory: pytest.TempPathFactory) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The signature of a small exported model, behind the stand-in servers."""
    model = create_model("DenoisedInternalModels", {"denoiser_widths": [8], "internal_widths": [8, 4]})
    saved = tf.saved_model.load(cz.export_model(model, tmp_path_factory.mktemp("docs") / "dim" / "1"))

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        outputs = saved.signatures["serving_default"](image=tf.constant(image, tf.float32))
        return {name: value.numpy() for name, value in outputs.items()}

    return run


@pytest.fixture
def rest_port(predict: Callable) -> Iterator[int]:
    """Answers /v1/models/dim:predict with TF Serving's JSON mapping."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/models/dim:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            outputs = predict(np.array(body["instances"]))
            rows = [{name: value[i].tolist() for name, value in outputs.items()} for i in range(len(body["instances"]))]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": rows}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def grpc_port(predict: Callable) -> Iterator[int]:
    """Answers PredictionService.Predict."""

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: predict_pb2.PredictRequest, context: object) -> predict_pb2.PredictResponse:
            assert request.model_spec.name == "dim"
            assert request.model_spec.signature_name == "serving_default"
            outputs = predict(tf.make_ndarray(request.inputs["image"]))
            chosen = request.output_filter or outputs
            return predict_pb2.PredictResponse(outputs={name: tf.make_tensor_proto(outputs[name]) for name in chosen})

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(grace=None).wait()


@pytest.mark.parametrize(("protocol", "address"), [("rest", "localhost:8501"), ("grpc", "localhost:8500")])
def test_clients(
    protocol: str, address: str, predict: Callable, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python clients of the page, word for word but for the port, against a stand-in for the server."""
    # A proxy of the machine's knows nothing of a port on loopback.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    code = block("python", address).replace(address, f"127.0.0.1:{request.getfixturevalue(f'{protocol}_port')}")
    names: dict[str, object] = {}
    exec(compile(code, "docs/serving.md", "exec"), names)
    expected = predict(load_split("mnist", "test").images[:2])
    np.testing.assert_array_equal(names["labels"], expected["label"])
    if protocol == "grpc":
        np.testing.assert_array_equal(names["probabilities"], expected["probabilities"])
        assert set(names["response"].outputs) == {"label", "probabilities"}
