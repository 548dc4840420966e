"""Inference of ABS against loops over classes and images, and what a shorter search costs.

  python -m benchmarks.analysis_by_synthesis --model=mnist/abs
  python -m benchmarks.analysis_by_synthesis --model=runs/catalogue/mnist/abs --images=2 --samples=200

The first table compares the published inference (8,000 latents, 50 steps of Adam) as it is written down, one class and one
image after the other in eager TensorFlow, with ours in a compiled function. Both decode each shared latent once per call.
The second table varies the search: accuracy on the first validation images, the share of predictions that are those of the
longest search of the table, and seconds at batch sizes 1 and 100. Validation images, so that no setting is chosen on those
that a robust accuracy is measured on.
"""

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import cortexzoo as cz
from benchmarks.report import publish
from cortexzoo import datasets
from cortexzoo.models import AnalysisBySynthesis
from cortexzoo.models.latent_search import RADIUS

_MODEL = flags.DEFINE_string("model", "mnist/abs", "An id in the catalogue, or the folder of a model.")
_IMAGES = flags.DEFINE_integer("images", 2, "Images for the loops.")
_LATENTS = flags.DEFINE_integer("latents", 8000, "Shared latents of the published inference.")
_STEPS = flags.DEFINE_integer("steps", 50, "Its steps of Adam.")
_SAMPLES = flags.DEFINE_integer("samples", 200, "Images for the accuracies.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed calls; the fastest counts.")
_TABLES = flags.DEFINE_multi_enum("table", ["loops", "search"], ["loops", "search"], "Which tables to make.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose sections are updated.")
# Latents, whether the encoder gives a start, and steps.
_SEARCHES = (
    (0, True, 0),
    (0, True, 5),
    (0, True, 10),
    (0, True, 20),
    (32, True, 0),
    (32, True, 10),
    (32, True, 50),
    (500, False, 20),
)
_CHUNK = 500


def straightforward_logits(model: AnalysisBySynthesis, decoders: list[Callable], images: np.ndarray) -> np.ndarray:
    """The inference of the paper without anything to make it fast, (n, classes)."""
    latents = model.shared_latents.numpy()
    logits = np.zeros((len(images), model.num_classes))
    for label in range(model.num_classes):
        decoder, scale = decoders[label], 1.0 if model.class_scales is None else model.class_scales[label]
        known = np.concatenate([decoder(latents[i : i + _CHUNK]).numpy() for i in range(0, len(latents), _CHUNK)])
        for row, image in enumerate(images.reshape(len(images), -1)):
            energies = np.sum((known - image) ** 2, axis=1) + np.sum(latents**2, axis=1) / 2
            start = latents[np.argmin(energies)]
            least = _descend(decoder, image, start, model.descent_steps, model.descent_rate)
            logits[row, label] = -model.logit_scale * scale * least / image.size
    return logits


def _decoder_of_class(model: AnalysisBySynthesis, label: int) -> Callable[[np.ndarray], tf.Tensor]:
    """One class' decoder, as Keras layers of its own."""
    single = AnalysisBySynthesis.from_config(
        {**model.get_config(), "num_classes": 1, "class_scales": None, "latents": 0, "encoder_start": True}
    )
    single.build()
    for new, old in zip(single.class_layers, model.class_layers, strict=True):
        new.set_weights([weight[label : label + 1] for weight in old.get_weights()])
    return lambda latents: single.decode(tf.convert_to_tensor(latents)[None])[0]


def _descend(decoder: Callable, image: np.ndarray, start: np.ndarray, steps: int, rate: float) -> float:
    """The least energy that Keras' Adam meets."""
    latent, least = tf.Variable(start[None]), np.inf
    optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
    for _ in range(steps + 1):
        with tf.GradientTape() as tape:
            energy = tf.reduce_sum((decoder(latent)[0] - image) ** 2) + tf.reduce_sum(latent**2) / 2
        least = min(least, float(energy))
        optimizer.apply([tape.gradient(energy, latent)], [latent])
        latent.assign(tf.clip_by_norm(latent, RADIUS))
    return least


def _compiled(model: AnalysisBySynthesis) -> Callable[[np.ndarray], np.ndarray]:
    function = tf.function(lambda images: model(images), autograph=False, reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


def _seconds(program: Callable[[], object], repeats: int) -> float:
    program()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        program()
        times.append(time.perf_counter() - started)
    return min(times)


def compare_loops(model: AnalysisBySynthesis, images: np.ndarray) -> None:
    """Publishes the first table."""
    published = model.with_inference(_LATENTS.value, _STEPS.value)
    ours, decoders = _compiled(published), [_decoder_of_class(published, label) for label in range(published.num_classes)]
    started = time.perf_counter()
    expected = straightforward_logits(published, decoders, images)
    slow = time.perf_counter() - started
    fast = _seconds(lambda: ours(images), _REPEATS.value)
    received = ours(images)
    same = float(np.mean(received.argmax(axis=1) == expected.argmax(axis=1)))
    row = [
        f"{slow:.1f}",
        f"{fast:.2f}",
        f"{slow / fast:.1f}",
        f"{100 * same:.0f} %",
        f"{np.abs(received - expected).max():.2g}",
    ]
    header = ["loops, s", "ours, s", "ratio", "same prediction", "largest difference of a logit"]
    remark = f"{_LATENTS.value} latents, {_STEPS.value} steps, {len(images)} images, fastest of {_REPEATS.value}."
    publish("ABS against loops", header, [row], remark, _PAGE.value)


def compare_searches(model: AnalysisBySynthesis, images: np.ndarray, labels: np.ndarray) -> None:
    """Publishes the second table."""
    found = []
    for latents, encoder_start, steps in _SEARCHES:
        logits_of = _compiled(model.with_inference(latents, steps, encoder_start))
        predictions = np.concatenate([logits_of(images[i : i + 100]).argmax(axis=1) for i in range(0, len(images), 100)])
        seconds = [_seconds(lambda f=logits_of, n=n: f(images[:n]), _REPEATS.value) for n in (1, 100)]
        found.append(((latents, encoder_start, steps), predictions, seconds))
    longest = max(found, key=lambda row: row[0][2])[1]
    rows = [
        [
            str(latents),
            "yes" if encoder_start else "no",
            str(steps),
            f"{100 * np.mean(predictions == labels):.1f} %",
            f"{100 * np.mean(predictions == longest):.1f} %",
            *(f"{value:.3f}" for value in seconds),
        ]
        for (latents, encoder_start, steps), predictions, seconds in found
    ]
    header = ["latents", "encoder", "steps", "accuracy", "as the longest", "s, batch 1", "s, batch 100"]
    remark = f"{len(images)} validation images; fastest of {_REPEATS.value} calls."
    publish("ABS searches", header, rows, remark, _PAGE.value)


def main(_: list[str]) -> None:
    """Makes the tables."""
    logging.set_verbosity(logging.ERROR)
    model = cz.load_model(_MODEL.value)
    split = datasets.load("mnist", "validation").first(max(_SAMPLES.value, _IMAGES.value))
    images = split.images if model.binarize is None else (split.images >= 0.5).astype(np.float32)
    if "loops" in _TABLES.value:
        compare_loops(model, images[: _IMAGES.value])
    if "search" in _TABLES.value:
        compare_searches(model, images[: _SAMPLES.value], split.labels[: _SAMPLES.value])


if __name__ == "__main__":
    app.run(main)
