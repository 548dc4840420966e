"""Load time of pretrained models, and inference time per image at batch sizes 1 and 256.

  python -m benchmarks.latency --models=mnist/cnn,mnist/dim

Loading is timed with warm file caches, after one uncounted load; `cz.load_model` includes the check of every file's
SHA-256. Inference runs `serving_default` of the SavedModel. The share of the floating-point limit is its rate of operations,
as counted by TensorFlow's profiler, relative to that of a large float32 matrix product in the same run.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import cortexzoo as cz
from benchmarks.arithmetic import forward_flops, matmul_flops, median_seconds
from benchmarks.report import publish
from cortexzoo import catalog

_MODELS = flags.DEFINE_list("models", ["mnist/cnn", "mnist/dim"], "Ids in the catalogue.")
_REPEATS = flags.DEFINE_integer("repeats", 20, "Timed calls; the median counts.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `latency` is updated.")
_BATCHES = (1, 256)


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    limit = matmul_flops()
    columns = [f"{text} {batch}" for batch in _BATCHES for text in ("ms / image, batch", "share of the limit, batch")]
    header, rows = ["model", "cz.load_model, s", "saved_model.load, s", *columns], []
    for model_id in _MODELS.value:
        path = catalog.verified_saved_model(model_id)
        loads = [median_seconds(lambda i=model_id: cz.load_model(i), 5), median_seconds(lambda p=path: _load(p), 5)]
        loaded = _load(path)
        serve = loaded.signatures["serving_default"]
        cells = []
        for batch in _BATCHES:
            shape = (batch, *serve.structured_input_signature[1]["image"].shape[1:])
            image = tf.constant(np.random.default_rng(0).random(shape, np.float32))
            seconds = median_seconds(lambda x=image, f=serve: f(image=x)["label"].numpy(), _REPEATS.value)
            share = forward_flops(serve, image) / seconds / limit
            cells += [f"{1e3 * seconds / batch:.3f}", f"{100 * share:.0f} %"]
        rows.append([model_id, *(f"{seconds:.2f}" for seconds in loads), *cells])
    remark = f"Medians of {_REPEATS.value} calls (loading: 5); the limit is {limit / 1e9:.0f} GFLOP/s."
    publish("latency", header, rows, remark, _PAGE.value)


def _load(path: os.PathLike[str]) -> object:
    return tf.saved_model.load(str(path))


if __name__ == "__main__":
    app.run(main)
