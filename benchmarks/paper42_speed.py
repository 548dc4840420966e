"""The battery of 42 attacks against stock Foolbox, attack by attack in one run, each side in a process of its own.

  python -m benchmarks.paper42_speed                                    all attacks on 50 images, DIM and CNN
  python -m benchmarks.paper42_speed --images=500 --attacks="C&W L2,EAD L1"
  python -m benchmarks.paper42_speed --models=mnist/dim --attacks="Boundary L2"

Both sides attack the same correctly classified test images with the same settings, from the same starting points, through
the same endpoint, and are timed in turn: a drifting machine slows both. C&W and EAD take 5 constants of at most 1,000 steps
on both sides. Attacks of a given size take one size, the table's. What stock Foolbox calls a success is classified anew; its
attacks that crash are listed and not counted. Compilation (numba, traces) happens before the clock runs, on four images.
"""

import dataclasses
import multiprocessing
import os
import resource
import time
import traceback
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags

from benchmarks.report import publish

_MODELS = flags.DEFINE_list("models", ["mnist/dim", "mnist/cnn"], "Models of the catalogue.")
_IMAGES = flags.DEFINE_integer("images", 50, "Images, one batch.")
_ATTACKS = flags.DEFINE_list("attacks", [], "Labels of the attacks to time; all where none is named.")
_README = flags.DEFINE_string("readme", None, "Markdown page whose section `battery speed` is made anew.")
_WARM_UP = 4


def stock_attacks() -> dict[str, tuple[str, dict[str, Any], float | None]]:
    """Returns Foolbox's class, its options and its size for each label of ours."""
    found: dict[str, tuple[str, dict[str, Any], float | None]] = {}
    for name, prefix, epsilon, steps, relative in (("L∞", "Linf", 0.3, 40, 0.01 / 0.3), ("L2", "L2", 1.5, 50, 0.025)):
        found[f"PGD {name}"] = (
            f"{prefix}ProjectedGradientDescentAttack",
            {"steps": steps, "rel_stepsize": relative},
            epsilon,
        )
        found[f"BIM {name}"] = (f"{prefix}BasicIterativeAttack", {"steps": 10, "rel_stepsize": 0.2}, epsilon)
        found[f"FGM {name}"] = ("LinfFastGradientAttack" if prefix == "Linf" else "L2FastGradientAttack", {}, epsilon)
        found[f"DeepFool {name}"] = (f"{prefix}DeepFoolAttack", {}, None)
    for name, prefix in (("L∞", "Linfinity"), ("L2", "L2"), ("L1", "L1"), ("L0", "L0")):
        found[f"Brendel-Bethge {name}"] = (f"{prefix}BrendelBethgeAttack", {}, None)
    for name in ("L∞", "L2", "L1"):
        found[f"Inversion {name}"] = ("InversionAttack", {}, None)
        found[f"Binary contrast {name}"] = ("BinarySearchContrastReductionAttack", {}, None)
        found[f"Linear contrast {name}"] = ("LinearSearchContrastReductionAttack", {}, None)
        found[f"Blur {name}"] = ("GaussianBlurAttack", {"channel_axis": 3}, None)
        found[f"Blended noise {name}"] = ("LinearSearchBlendedUniformNoiseAttack", {}, None)
    for repeated in (False, True):
        for aware in (False, True):
            for noise in ("gaussian", "uniform"):
                label = " ".join(["repeated"] * repeated + ["clipping-aware"] * aware + [noise, "noise L2"])
                name = f"L2{'ClippingAware' * aware}{'Repeated' * repeated}Additive{noise.capitalize()}NoiseAttack"
                found[label[0].upper() + label[1:]] = (name, {}, 1.5)
        label = "Repeated uniform noise L∞" if repeated else "Uniform noise L∞"
        found[label] = (f"Linf{'Repeated' * repeated}AdditiveUniformNoiseAttack", {}, 0.3)
    found["DDN L2"] = ("DDNAttack", {}, None)
    found["L2 contrast L2"] = ("L2ContrastReductionAttack", {}, 1.5)
    found["Boundary L2"] = ("BoundaryAttack", {}, None)
    found["Pointwise x 10 L0"] = ("PointwiseAttack", {"l2_binary_search": False}, None)
    short = {"binary_search_steps": 5, "steps": 1000}
    found["C&W L2"] = ("L2CarliniWagnerAttack", {**short, "stepsize": 1e-2, "initial_const": 1e-3}, None)
    found["EAD L1"] = ("EADAttack", short, None)
    return found


def our_attack(label: str) -> Any:
    """Returns our attack with stock Foolbox's settings."""
    from evaluation.suites import SUITES

    (attack,) = (member.attack for member in SUITES["paper42_l1"].members if member.label == label)
    names = {field.name for field in dataclasses.fields(attack)}
    if "search_steps" in names:
        return dataclasses.replace(attack, search_steps=5, steps=1000)
    return dataclasses.replace(attack, rounds=1) if "rounds" in names else attack


class _Side:
    """One side, in a process of its own: receives labels, attacks, answers with seconds and images."""

    def __init__(self, model_id: str, images: int) -> None:
        from evaluation.attacks import Batch
        from evaluation.attacks.starting_points import StartingPoints
        from evaluation.target import Target
        from zoo import catalog, datasets

        split = datasets.load("mnist", "test")
        self.target = Target(catalog.verified_saved_model(model_id), datasets.info("mnist"), split.images[:16])
        chosen = np.flatnonzero(self.target.predict(split.images[: 2 * images + 20]) == split.labels[: 2 * images + 20])
        chosen = chosen[:images]
        starts = StartingPoints(self.target, datasets.load("mnist", "train")).nearest(
            split.images[chosen], split.labels[chosen]
        )
        self.batch = Batch(split.images[chosen], split.labels[chosen], split.ids[chosen], 0, starts)

    def ours(self, label: str, batch: Any) -> np.ndarray:
        return our_attack(label).run(self.target, "logits", batch)

    def stock(self, label: str, batch: Any) -> np.ndarray:
        import foolbox
        import tensorflow as tf

        name, options, epsilon = stock_attacks()[label]
        attack_class = getattr(foolbox.attacks, name)
        if issubclass(attack_class, foolbox.attacks.base.FlexibleDistanceMinimizationAttack):
            options = {**options, "distance": foolbox.distances.l2}
        model = foolbox.TensorFlowModel(self.target.endpoint("logits"), bounds=(0, 1), device="/CPU:0")
        arguments: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
        if any(word in name for word in ("BrendelBethge", "Boundary", "Pointwise")):
            arguments["starting_points"] = tf.constant(batch.starts)
        criterion = foolbox.criteria.Misclassification(tf.constant(batch.labels))
        repeats = 10 if "Pointwise" in name else 1
        found = [
            attack_class(**options).run(model, tf.constant(batch.images), criterion, **arguments) for _ in range(repeats)
        ]
        changed = [np.sum(image.numpy() != batch.images, axis=(1, 2, 3)) for image in found]
        best = np.argmin(changed, axis=0)
        return np.stack([image.numpy() for image in found])[best, np.arange(len(batch))]


def _serve(connection: Any, kind: str, model_id: str, images: int) -> None:
    import warnings

    warnings.simplefilter("ignore")
    side = _Side(model_id, images)
    work = side.ours if kind == "ours" else side.stock
    connection.send(None)
    while (label := connection.recv()) is not None:
        try:
            work(label, side.batch.take(np.arange(_WARM_UP)))
            started = time.perf_counter()
            found = work(label, side.batch)
            seconds = time.perf_counter() - started
            wrong = side.target.predict(found) != side.batch.labels
            connection.send((seconds, found, wrong, side.batch.images, None))
        except Exception:
            connection.send((0.0, None, None, None, traceback.format_exc(limit=-1).strip().splitlines()[-1]))
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(_: list[str]) -> None:
    """Times attack by attack and prints one table a model."""
    header = ["model", "attack", "ours, s", "Foolbox, s", "ratio", "ours, median", "Foolbox, median", "success, %"]
    labels = _ATTACKS.value or list(stock_attacks())
    rows, remarks = [], []
    for model_id in _MODELS.value:
        sides = {kind: _start(kind, model_id) for kind in ("ours", "stock")}
        totals = dict.fromkeys(sides, 0.0)
        for label in labels:
            results = {}
            for kind, connection in sides.items():
                connection.send(label)
                results[kind] = connection.recv()
            rows.append(_row(model_id, label, results))
            print(*rows[-1], sep=" | ", flush=True)
            if results["stock"][-1] is None and results["ours"][-1] is None:
                for kind in sides:
                    totals[kind] += results[kind][0]
        for connection in sides.values():
            connection.send(None)
        memory = {kind: connection.recv() for kind, connection in sides.items()}
        ratio = f"{totals['stock'] / max(totals['ours'], 1e-9):.1f}"
        rows.append([model_id, "**all that ran**", f"{totals['ours']:.0f}", f"{totals['stock']:.0f}", ratio, "", "", ""])
        remarks.append(f"{model_id}: peak memory {memory['ours']:.0f} MiB here, {memory['stock']:.0f} MiB Foolbox.")
    publish("battery speed", header, rows, f"{_IMAGES.value} images. " + " ".join(remarks), _README.value)


def _start(kind: str, model_id: str) -> Any:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there, kind, model_id, _IMAGES.value), daemon=True).start()
    here.recv()
    return here


def _row(model_id: str, label: str, results: dict[str, tuple]) -> list[str]:
    from evaluation.metrics import median_distance
    from evaluation.norms import distances

    norm = {"L∞": "linf", "L2": "l2", "L1": "l1", "L0": "l0"}[label.split()[-1]]
    medians, success, seconds = {}, {}, {}
    for kind, (taken, found, wrong, images, error) in results.items():
        if error:
            medians[kind] = success[kind] = "crashes"
            seconds[kind] = error[:40]
            continue
        reached = np.where(wrong, distances(images, np.clip(found, 0, 1), norm), np.inf)
        medians[kind], success[kind] = f"{median_distance(reached):.3f}", f"{100 * wrong.mean():.0f}"
        seconds[kind] = f"{taken:.1f}"
    failed = "crashes" in medians.values()
    ratio = "" if failed else f"{results['stock'][0] / results['ours'][0]:.2f}"
    both = f"{success['ours']} / {success['stock']}"
    return [model_id, label, seconds["ours"], seconds["stock"], ratio, medians["ours"], medians["stock"], both]


if __name__ == "__main__":
    app.run(main)
