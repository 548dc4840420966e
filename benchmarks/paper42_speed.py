"""The 42 attacks of the suite paper42 against stock Foolbox, attack by attack in one run, each side in its own process.

  python -m benchmarks.paper42_speed                                    all attacks on 50 images, DIM and CNN
  python -m benchmarks.paper42_speed --images=500 --attacks="C&W L2,EAD L1"
  python -m benchmarks.paper42_speed --models=mnist/dim --attacks="Boundary L2"
  python -m benchmarks.paper42_speed --keep=runs/speed.json             resumes if killed

Both sides attack the same correctly classified test images with the same settings, starting points and endpoint. They are
timed alternately, so that a change in the machine's speed affects both. Short attacks are timed five times, and each side's
median counts. C&W and EAD take 5 constants of at most 1,000 steps on both sides. Attacks with a fixed epsilon run at one
epsilon, the threshold. Images that stock Foolbox calls a success are classified again, and its black images are failures.
Attacks of Foolbox that crash are listed but not counted. Compilation (numba, traces) happens on a few images before timing.

Both sides run with oneDNN, as `python -m cortexzoo.evaluation` does, although TensorFlow disables it by default on many
CPUs. The ratio thus compares only the attacks. TF_ENABLE_ONEDNN_OPTS=0 disables it on both sides.

The share of the floating-point limit is the rate of operations in our model passes relative to a large float32 matrix
product. Passes are counted in the timed run, a gradient as two. Work between the passes, such as the solver of
Brendel-Bethge, counts as no operations.
"""

import dataclasses
import inspect
import json
import multiprocessing
import os
import resource
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from cortexzoo.startup import configure_tensorflow

_MODELS = flags.DEFINE_list("models", ["mnist/dim", "mnist/cnn"], "Ids in the catalogue.")
_IMAGES = flags.DEFINE_integer("images", 50, "Images, one batch.")
_ATTACKS = flags.DEFINE_list("attacks", [], "Labels of the attacks to time; defaults to all.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section with the table's name is updated.")
_KEEP = flags.DEFINE_string("keep", None, "File that keeps the times of finished attacks, so that a killed run resumes.")
# Two batch sizes, so that functions are traced for any size.
_WARM_UP = (3, 4)
_SHORT, _REPEATS = 5.0, 5
_HEADER = ("model", "attack", "ours, s", "Foolbox, s", "ratio", "our median", "Foolbox's", "success, %", "limit, %")


def stock_attacks() -> dict[str, tuple[str, dict[str, Any], float | None]]:
    """Returns Foolbox's class, its options and its epsilon for each of our labels."""
    found: dict[str, tuple[str, dict[str, Any], float | None]] = {}
    for name, prefix, epsilon, steps, relative in (("L∞", "Linf", 0.3, 40, 0.01 / 0.3), ("L2", "L2", 1.5, 50, 0.025)):
        pgd = {"steps": steps, "rel_stepsize": relative}
        found[f"PGD {name}"] = (f"{prefix}ProjectedGradientDescentAttack", pgd, epsilon)
        found[f"BIM {name}"] = (f"{prefix}BasicIterativeAttack", {"steps": 10, "rel_stepsize": 0.2}, epsilon)
        found[f"FGM {name}"] = (f"{prefix}FastGradientAttack", {}, epsilon)
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
    from cortexzoo import datasets
    from cortexzoo.evaluation import suites
    from cortexzoo.evaluation.attacks import CarliniWagnerL2, ElasticNet

    members = suites.find("paper42_l1").build(datasets.info("mnist"))
    (attack,) = (member.attack for member in members if member.label == label)
    short = isinstance(attack, CarliniWagnerL2 | ElasticNet)
    return dataclasses.replace(attack, search_steps=5, steps=1000) if short else attack


class _Side:
    """One side, in its own process.

    Attributes:
        batch: the images to attack.
        floats: floating-point operations of all counted model passes so far; Foolbox's are not counted.
    """

    def __init__(self, model_id: str, images: int) -> None:
        import tensorflow as tf

        from benchmarks.arithmetic import forward_flops
        from cortexzoo import catalog, datasets
        from cortexzoo.evaluation.attacks import Batch
        from cortexzoo.evaluation.attacks.starting_points import StartingPoints
        from cortexzoo.evaluation.classifier import Classifier

        path, split = catalog.verified_saved_model(model_id), datasets.load("mnist", "test")
        self.classifier = Classifier(path, datasets.info("mnist"), split.images[:16])
        first = split.first(2 * images + 20)
        chosen = np.flatnonzero(self.classifier.predict(first.images) == first.labels)[:images]
        starts = StartingPoints(self.classifier, datasets.load("mnist", "train"))
        images, labels = split.images[chosen], split.labels[chosen]
        batch = Batch(images, labels, split.ids[chosen], 0)
        self.batch = dataclasses.replace(batch, starts=starts.of(batch))
        loaded = tf.saved_model.load(str(path))
        self._flops = forward_flops(loaded.signatures["serving_default"], tf.constant(images[:1]))
        self._passes = tf.Variable(0, dtype=tf.int64)

    def count_passes(self) -> None:
        """Starts counting model passes."""
        import tensorflow as tf

        endpoint, serving_logits, passes = self.classifier.endpoint, self.classifier.serving_logits, self._passes

        @tf.custom_gradient
        def count_gradient(logits: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                passes.assign_add(tf.shape(upstream, tf.int64)[0])
                return upstream

            return tf.identity(logits), gradient

        def counted(images: tf.Tensor) -> tf.Tensor:
            passes.assign_add(tf.shape(images, tf.int64)[0])
            return count_gradient(logits_of(images))

        def serving(images: np.ndarray) -> np.ndarray:
            passes.assign_add(len(images))
            return serving_logits(images)

        logits_of = endpoint("logits")
        self.classifier.endpoint, self.classifier.serving_logits = lambda name: counted, serving

    @property
    def floats(self) -> int:
        """Floating-point operations of all counted passes so far."""
        return int(self._passes.numpy()) * self._flops

    def ours(self, label: str, batch: Any, warm_up: bool) -> np.ndarray:
        """Runs our attack and classifies the result; an attack with a fixed epsilon runs at that only, as Foolbox's does."""
        from cortexzoo.evaluation.attacks import EpsilonSearch

        attack = our_attack(label)
        if isinstance(attack, EpsilonSearch):
            epsilon = np.full(len(batch), attack.epsilon, np.float32)
            found = attack.perturb(self.classifier, "logits", batch, epsilon, 0)
        else:
            found = attack.run(self.classifier, "logits", batch)
        self.classifier.predict(found)
        return found

    def stock(self, label: str, batch: Any, warm_up: bool) -> np.ndarray:
        """Runs Foolbox's attack, which classifies its result. Only numba has to warm up, which a few steps do."""
        import foolbox
        import tensorflow as tf

        name, options, epsilon = stock_attacks()[label]
        attack_class = getattr(foolbox.attacks, name)
        if "distance" in inspect.signature(attack_class).parameters:
            options = {**options, "distance": foolbox.distances.l2}
        if warm_up and any(word in name for word in ("BrendelBethge", "Boundary", "Carlini", "EAD")):
            options = {**options, "steps": 12}
        model = foolbox.TensorFlowModel(self.classifier.endpoint("logits"), bounds=(0, 1), device="/CPU:0")
        arguments: dict[str, Any] = {"epsilons": epsilon}
        if any(word in name for word in ("BrendelBethge", "Boundary", "Pointwise")):
            arguments["starting_points"] = tf.constant(batch.starts[:, 0])
        criterion = foolbox.criteria.Misclassification(tf.constant(batch.labels))
        attack = attack_class(**options)
        _, found, _ = attack(model, tf.constant(batch.images), criterion, **arguments)
        found = found.numpy()
        # C&W and EAD return black images where they fail.
        failed = ~found.any(axis=(1, 2, 3))
        found[failed] = batch.images[failed]
        return found


@dataclasses.dataclass(frozen=True)
class _Timed:
    """The result of one timed call on one side, or Foolbox's error.

    Attributes:
        seconds: duration of the call.
        floats: floating-point operations of the model passes in it.
        median: median distance; infinite if the attack failed on most images.
        success: share of images on which the attack succeeded, in [0, 1].
        memory: peak memory of the process so far, MiB.
        error: the error that stock Foolbox raised.
    """

    seconds: float = 0.0
    floats: int = 0
    median: float = 0.0
    success: float = 0.0
    memory: float = 0.0
    error: str = ""


def _serve(connection: Any, kind: str, model_id: str, images: int) -> None:
    import warnings

    import tensorflow as tf

    warnings.simplefilter("ignore")
    tf.get_logger().setLevel("ERROR")
    side = _Side(model_id, images)
    if kind == "ours":
        side.count_passes()
    work, warm = getattr(side, kind), set()
    connection.send(None)
    while (label := connection.recv()) is not None:
        try:
            if label not in warm:
                for count in _WARM_UP:
                    work(label, side.batch.take(np.arange(count)), True)
                warm.add(label)
            connection.send(_timed(side, work, label))
        except Exception as error:
            # Foolbox may raise anything; an error on our side is a bug.
            if kind == "ours":
                raise
            traceback.print_exc()
            connection.send(_Timed(error=f"{type(error).__name__}: {error}"[:60]))


def _timed(side: _Side, work: Any, label: str) -> _Timed:
    from cortexzoo.evaluation.norms import distances
    from cortexzoo.evaluation.results.metrics import median_distance

    before, started = side.floats, time.perf_counter()
    found = np.clip(work(label, side.batch, False), 0, 1)
    seconds, floats = time.perf_counter() - started, side.floats - before
    wrong = side.classifier.predict(found) != side.batch.labels
    norm = {"L∞": "linf", "L2": "l2", "L1": "l1", "L0": "l0"}[label.split()[-1]]
    reached = np.where(wrong, distances(side.batch.images, found, norm), np.inf)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return _Timed(seconds, floats, median_distance(reached), float(wrong.mean()), memory)


def main(_: list[str]) -> None:
    """Times the attacks one by one and prints one table."""
    configure_tensorflow()
    from benchmarks.arithmetic import matmul_flops
    from benchmarks.report import publish

    limit, kept = matmul_flops(), _Kept()
    rows, remarks = [], [f"{_IMAGES.value} images; the limit is {limit / 1e9:.0f} GFLOP/s."]
    remarks.append(f"Both sides ran with TF_ENABLE_ONEDNN_OPTS={os.environ['TF_ENABLE_ONEDNN_OPTS']}.")
    for model_id in _MODELS.value:
        sides: dict[str, Any] = {}
        pairs = []
        for label in _ATTACKS.value or list(stock_attacks()):
            pair = kept.find(model_id, label)
            if pair is None:
                sides = sides or {kind: _start(kind, model_id) for kind in ("ours", "stock")}
                pair = _pair(sides, label)
                kept.add(model_id, label, pair)
            pairs.append(pair)
            rows.append(_row(model_id, label, *pair, limit))
            print(*rows[-1], sep=" | ", flush=True)
        for connection in sides.values():
            connection.send(None)
        rows.append(_total_row(model_id, [pair for pair in pairs if not pair[1].error], limit))
        ours, stock = (max(timed.memory for timed in side) for side in zip(*pairs, strict=True))
        remarks.append(f"{model_id}: peak memory {ours:.0f} MiB, Foolbox {stock:.0f} MiB.")
    publish(f"battery speed, {_IMAGES.value} images", list(_HEADER), rows, " ".join(remarks), _PAGE.value)


class _Kept:
    """The times of finished attacks, in a JSON file; without --keep they are not saved.

    They are identified by the model's files and by the attack's settings and version.
    """

    def __init__(self) -> None:
        self._path = Path(_KEEP.value) if _KEEP.value else None
        self._found = json.loads(self._path.read_text()) if self._path and self._path.exists() else {}

    def find(self, model_id: str, label: str) -> tuple[_Timed, _Timed] | None:
        """Returns the results of both sides; None if they are not known."""
        pair = self._found.get(self._key(model_id, label))
        return pair and tuple(_Timed(**timed) for timed in pair)

    def add(self, model_id: str, label: str, pair: tuple[_Timed, _Timed]) -> None:
        """Adds the results of both sides."""
        from cortexzoo.files import write_text

        self._found[self._key(model_id, label)] = [dataclasses.asdict(timed) for timed in pair]
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self._found, indent=1))

    @staticmethod
    def _key(model_id: str, label: str) -> str:
        from cortexzoo import catalog
        from cortexzoo.evaluation.attacks.base import settings

        files = catalog.model_card(model_id).files
        of_run = [_IMAGES.value, os.environ["TF_ENABLE_ONEDNN_OPTS"]]
        return json.dumps([model_id, files, label, settings(our_attack(label)), *of_run], sort_keys=True)


def _start(kind: str, model_id: str) -> Any:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there, kind, model_id, _IMAGES.value), daemon=True).start()
    # Closed here, so that the run ends if a side dies.
    there.close()
    here.recv()
    return here


def _pair(sides: dict[str, Any], label: str) -> tuple[_Timed, _Timed]:
    """Runs both sides alternately, several times if they are fast; returns each side with its median time."""
    found: dict[str, list[_Timed]] = {kind: [] for kind in sides}
    for _ in range(_REPEATS):
        for kind, connection in sides.items():
            connection.send(label)
            found[kind].append(connection.recv())
        last = [results[-1] for results in found.values()]
        if found["stock"][-1].error or max(timed.seconds for timed in last) > _SHORT:
            break
    ours, stock = (
        dataclasses.replace(results[0], seconds=float(np.median([timed.seconds for timed in results])))
        for results in found.values()
    )
    return ours, stock


def _row(model_id: str, label: str, ours: _Timed, stock: _Timed, limit: float) -> list[str]:
    if stock.error:
        return [model_id, label, f"{ours.seconds:.2f}", stock.error, "", f"{ours.median:.4g}", "", "", ""]
    return [
        model_id,
        label,
        f"{ours.seconds:.2f}",
        f"{stock.seconds:.2f}",
        f"{stock.seconds / ours.seconds:.2f}",
        f"{ours.median:.4g}",
        f"{stock.median:.4g}",
        f"{100 * ours.success:.0f} / {100 * stock.success:.0f}",
        f"{100 * ours.floats / ours.seconds / limit:.0f}",
    ]


def _total_row(model_id: str, pairs: list[tuple[_Timed, _Timed]], limit: float) -> list[str]:
    if not pairs:
        return [model_id, "**all**", "none ran", "", "", "", "", "", ""]
    ours, stock = (sum(timed.seconds for timed in side) for side in zip(*pairs, strict=True))
    share = f"{100 * sum(timed.floats for timed, _ in pairs) / ours / limit:.0f}"
    return [model_id, "**all**", f"{ours:.0f}", f"{stock:.0f}", f"{stock / ours:.2f}", "", "", "", share]


if __name__ == "__main__":
    app.run(main)
