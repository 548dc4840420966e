"""Our attacks against CleverHans' own functions, on the same SavedModels in one run.

  python -m benchmarks.attack_throughput                          PGD-40 on 1,000 images, C&W on 128
  python -m benchmarks.attack_throughput --attack=pgd --rounds=5
  python -m benchmarks.attack_throughput --attack=cw --cw_images=1000 --patient

Each repetition runs CleverHans and then our attack on the same correctly classified test images, so that a change in the
machine's speed affects both. The table has the median ratio of the pairs. Distances are measured in the same way for both,
on final images that are classified again: in Linf for PGD at one epsilon, in L2 for C&W.

The share of the limit is what 40 forward passes and 40 gradients in the image, each as many operations as a forward pass,
would take at the speed of a large matrix product. Samples that leave early make it larger, above 1 even. In `ours, every
step` no sample leaves: that is the share of the floating-point limit at which the loop runs.

CleverHans 4.0.0's C&W does not run with Keras 3. Here it gets an optimiser with the interface that it expects; nothing else
is changed. Its image-shaped constant still mixes the samples of a batch. That constant grows with the square of the batch
size, so CleverHans always takes 128 images at a time, its default. C&W is therefore compared on one such batch, which takes
a quarter of an hour; more batches would only repeat it. `--patient` adds our own attack with CleverHans' schedule, in which
every sample takes every step. It shows how much of the ratio comes from stopping samples early.
"""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from cleverhans.tf2.attacks import carlini_wagner_l2 as stock_carlini_wagner
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent
from keras.optimizers import Adam

from benchmarks.arithmetic import forward_flops, matmul_flops
from benchmarks.report import publish
from cortexzoo import catalog, datasets
from cortexzoo.evaluation.attacks import Batch, CarliniWagnerL2, ProjectedGradientDescent
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.evaluation.results.metrics import median_distance

_MODELS = flags.DEFINE_list("models", ["mnist/cnn", "mnist/dim"], "Ids in the catalogue.")
_ATTACK = flags.DEFINE_enum("attack", "both", ["pgd", "cw", "both"], "The attacks to time.")
_IMAGES = flags.DEFINE_integer("images", 1000, "Images for PGD, one batch.")
_CW_IMAGES = flags.DEFINE_integer("cw_images", 128, "Images for C&W; CleverHans takes 128 at a time.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Repetitions of PGD; C&W runs once.")
_SEARCH_STEPS = flags.DEFINE_integer("search_steps", 5, "Constants that C&W tries (CleverHans' default is 5).")
_STEPS = flags.DEFINE_integer("steps", 1000, "Most steps of C&W for one constant (CleverHans' default is 1000).")
_PATIENT = flags.DEFINE_bool("patient", False, "Also time our C&W without early stopping.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `attack throughput` is updated.")
# CleverHans' default learning rate.
_RATE = 5e-3
_EPSILON, _STEPS_OF_PGD = 0.3, 40


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    header = ["model", "attack", "images", "implementation", "seconds", "images / s", "ratio", "share of the limit"]
    header += ["success", "median distance"]
    rows, limit = [], matmul_flops()
    for model_id in _MODELS.value:
        classifier, batch = _correct_batch(model_id, max(_IMAGES.value, _CW_IMAGES.value))
        if _ATTACK.value in ("pgd", "both"):
            part, ideal = batch.take(np.arange(_IMAGES.value)), _pgd_flops(classifier, batch) * _IMAGES.value / limit
            rows += _rows(model_id, "PGD-40 Linf", classifier, part, _pgd(), "linf", _ROUNDS.value, ideal)
        if _ATTACK.value in ("cw", "both"):
            rows += _rows(
                model_id, "C&W L2", classifier, batch.take(np.arange(_CW_IMAGES.value)), _carlini_wagner(), "l2", 1
            )
    search = f"{_SEARCH_STEPS.value} constants of at most {_STEPS.value} steps"
    rates = f"learning rate {_RATE:g}, CleverHans' default, and {CarliniWagnerL2().learning_rate:g}, ours"
    remark = f"PGD-40: medians of {_ROUNDS.value} pairs; C&W: one pair, {search}, {rates}. Limit: {limit / 1e9:.0f} GFLOP/s."
    publish("attack throughput", header, rows, remark, _PAGE.value)


def _correct_batch(model_id: str, count: int) -> tuple[Classifier, Batch]:
    split = datasets.load("mnist", "test")
    classifier = Classifier(catalog.verified_saved_model(model_id), datasets.info("mnist"), split.images[:16])
    chosen = np.flatnonzero(classifier.predict(split.images) == split.labels)[:count]
    return classifier, Batch(split.images[chosen], split.labels[chosen], split.ids[chosen], seed=0)


def _pgd() -> dict[str, Callable[[Classifier, Batch], np.ndarray]]:
    attack = ProjectedGradientDescent(norm="linf", epsilon=_EPSILON, steps=_STEPS_OF_PGD, rounds=1)

    def stock(classifier: Classifier, batch: Batch) -> np.ndarray:
        step = attack.relative_step * _EPSILON
        options = {"clip_min": 0.0, "clip_max": 1.0, "y": batch.labels, "rand_init": True}
        images = tf.constant(batch.images)
        logits = classifier.compiled("stock logits", lambda: classifier.endpoint("logits"))
        return projected_gradient_descent(logits, images, _EPSILON, step, attack.steps, np.inf, **options).numpy()

    def every_step(classifier: Classifier, batch: Batch) -> np.ndarray:
        return attack.maximize(classifier, "logits", batch, np.full(len(batch), _EPSILON, np.float32))

    ours = {"ours": lambda classifier, batch: attack.run(classifier, "logits", batch), "ours, every step": every_step}
    return {"CleverHans": stock, **ours}


def _pgd_flops(classifier: Classifier, batch: Batch) -> int:
    """Operations for one image: the gradient in the image takes as many as the forward pass."""
    logits = classifier.endpoint("logits")
    return 2 * _STEPS_OF_PGD * forward_flops(lambda image: logits(image), tf.constant(batch.images[:1]))


def _carlini_wagner() -> dict[str, Callable[[Classifier, Batch], np.ndarray]]:
    ours = CarliniWagnerL2(search_steps=_SEARCH_STEPS.value, steps=_STEPS.value)
    patient = dataclasses.replace(ours, improvement=-math.inf)

    def stock(classifier: Classifier, batch: Batch) -> np.ndarray:
        with _keras3_optimizer():
            attack = stock_carlini_wagner.CarliniWagnerL2(
                classifier.endpoint("logits"),
                binary_search_steps=_SEARCH_STEPS.value,
                max_iterations=_STEPS.value,
                learning_rate=_RATE,
            )
            return attack.attack(batch.images)

    rivals = {
        "CleverHans (optimiser replaced)": stock,
        "ours": lambda classifier, batch: ours.run(classifier, "logits", batch),
    }
    if _PATIENT.value:
        rivals["ours, patient"] = lambda classifier, batch: patient.run(classifier, "logits", batch)
    return rivals


class _ResettableAdam:
    """Adam with a method `variables()`, which CleverHans sets to zero between search steps; without the learning rate."""

    def __init__(self, learning_rate: float) -> None:
        self._adam = Adam(learning_rate)

    def variables(self) -> list:
        rate = self._adam.learning_rate
        return [variable for variable in self._adam.variables if variable is not rate]

    def apply_gradients(self, pairs: list) -> None:
        self._adam.apply_gradients(pairs)


@contextlib.contextmanager
def _keras3_optimizer() -> Iterator[None]:
    with mock.patch.object(tf.keras.optimizers, "Adam", _ResettableAdam):
        yield


def _rows(
    model_id: str,
    label: str,
    classifier: Classifier,
    batch: Batch,
    rivals: dict,
    norm: str,
    rounds: int,
    ideal: float | None = None,
) -> list[list[str]]:
    """One row per implementation; `ideal` is the number of seconds at the limit."""
    seconds, found = {name: [] for name in rivals}, {}
    for attack in rivals.values() if rounds > 1 else ():
        attack(classifier, batch)  # Functions are traced before timing.
    for _ in range(rounds):
        for name, attack in rivals.items():
            started = time.perf_counter()
            images = attack(classifier, batch)
            seconds[name].append(time.perf_counter() - started)
            wrong = classifier.predict(images) != batch.labels
            found[name] = np.where(wrong, distances(batch.images, images, norm), np.inf)
    reference, rows = next(iter(rivals)), []
    for name in rivals:
        ratio = float(np.median(np.array(seconds[reference]) / np.array(seconds[name])))
        middle = float(np.median(seconds[name]))
        success = f"{100 * np.mean(np.isfinite(found[name])):.1f} %"
        cells = [
            f"{middle:.1f}",
            f"{len(batch) / middle:.1f}",
            f"{ratio:.2f}",
            "—" if ideal is None else f"{ideal / middle:.0%}",
            success,
            f"{median_distance(found[name]):.4f}",
        ]
        rows.append([model_id, label, str(len(batch)), name, *cells])
    return rows


if __name__ == "__main__":
    app.run(main)
