"""PGD-40 on a Keras model in memory: `cz.attack` against Foolbox and ART, on the same object, side by side in one run.

  python -m benchmarks.libraries                          300 images of MNIST, the catalogue's cnn
  python -m benchmarks.libraries --model=mnist/dim --images=200 --rounds=5

Each repetition runs all programs in turn on the same images, so that a drifting machine slows all of them; ratios are
medians over the repetitions. All have the same epsilon, number of steps and step size, and one random start. Foolbox and ART
carry every image through all steps; ours drops an image once it is misclassified. The bare attack is the one inside
`cz.attack`, called on a classifier that is loaded already: it classifies the images, attacks those that are classified
correctly, and classifies the results. The difference is the cost of the API, in seconds of the processors.

ART is no dependency: `pip install adversarial-robustness-toolbox`.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import cortexzoo as cz
from benchmarks.report import publish
from benchmarks.timing import seconds_in_turn
from cortexzoo import catalog, datasets
from cortexzoo.evaluation.attacks import Batch, ProjectedGradientDescent
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.opening import open_model

_MODEL = flags.DEFINE_string("model", "mnist/cnn", "Model of the catalogue; it is loaded as a Keras object.")
_IMAGES = flags.DEFINE_integer("images", 300, "Test images, one batch.")
_EPSILON = flags.DEFINE_float("epsilon", 0.1, "Size of the perturbation in L-infinity.")
_STEPS = flags.DEFINE_integer("steps", 40, "Steps of PGD.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Repetitions that are counted; one more comes first.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `attack libraries` is made anew.")
_API, _BARE = "cz.attack", "the bare attack"
_Program = Callable[[int], np.ndarray]


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    model, dataset = cz.load_model(_MODEL.value), catalog.model_card(_MODEL.value).dataset
    split = datasets.load(dataset, "test").first(_IMAGES.value)
    attack = ProjectedGradientDescent(norm="linf", epsilon=_EPSILON.value, rounds=1, steps=_STEPS.value)
    classifier = Classifier(open_model(model).saved_model(), datasets.info(dataset), split.images[:16])
    programs = {
        _API: _api(model, split, attack),
        _BARE: _bare(classifier, split, attack),
        "Foolbox": _foolbox(model, split, attack),
        "ART": _art(model, split, attack),
    }
    seconds = seconds_in_turn(list(programs.values()), _ROUNDS.value, uncounted=1)
    success = [np.mean(classifier.predict(program(0)) != split.labels) for program in programs.values()]
    header = ["model", "program", "images", "seconds", "times cz.attack", "misclassified"]
    rows = [
        [_MODEL.value, name, str(len(split)), f"{np.median(own):.2f}", f"{np.median(own / seconds[0]):.2f}", f"{share:.1%}"]
        for name, own, share in zip(programs, seconds, success, strict=True)
    ]
    busy = seconds_in_turn([programs[_API], programs[_BARE]], _ROUNDS.value, uncounted=0, clock=time.process_time)
    overhead = float(np.median(busy[0] / busy[1])) - 1
    remark = (
        f"PGD-{_STEPS.value}, L∞ {_EPSILON.value:g}, medians of {_ROUNDS.value} repetitions in turn. "
        f"In processor time `cz.attack` differs from the bare attack by {100 * overhead:+.1f} %."
    )
    publish("attack libraries", header, rows, remark, _PAGE.value)


def _api(model: keras.Model, split: datasets.Split, attack: ProjectedGradientDescent) -> _Program:
    epsilon, steps = attack.epsilon, attack.steps
    return lambda seed: cz.attack(model, split.images, split.labels, epsilon=epsilon, steps=steps, seed=seed).images


def _bare(classifier: Classifier, split: datasets.Split, attack: ProjectedGradientDescent) -> _Program:
    def run(seed: int) -> np.ndarray:
        images, right = split.images.copy(), np.flatnonzero(classifier.predict(split.images) == split.labels)
        for first in range(0, len(right), attack.chunk_size):
            part = right[first : first + attack.chunk_size]
            batch = Batch(split.images[part], split.labels[part], split.ids[part], seed)
            images[part] = attack.run(classifier, "logits", batch)
            classifier.predict(images[part])
        return images

    return run


def _foolbox(model: keras.Model, split: datasets.Split, attack: ProjectedGradientDescent) -> _Program:
    import foolbox

    wrapped = foolbox.TensorFlowModel(model, bounds=(0, 1), device="/CPU:0")
    stock = foolbox.attacks.LinfPGD(steps=attack.steps, rel_stepsize=attack.relative_step)
    images, labels = tf.constant(split.images), tf.constant(split.labels)

    def run(seed: int) -> np.ndarray:
        tf.random.set_seed(seed)
        return stock(wrapped, images, labels, epsilons=attack.epsilon)[1].numpy()

    return run


def _art(model: keras.Model, split: datasets.Split, attack: ProjectedGradientDescent) -> _Program:
    from art.attacks.evasion import ProjectedGradientDescent as Stock
    from art.estimators.classification import TensorFlowV2Classifier

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classes = len(np.unique(split.labels))
    wrapped = TensorFlowV2Classifier(model, classes, split.images.shape[1:], loss_object=loss, clip_values=(0, 1))
    step = attack.relative_step * attack.epsilon
    options = {"norm": np.inf, "eps": attack.epsilon, "eps_step": step, "max_iter": attack.steps, "num_random_init": 1}
    stock = Stock(wrapped, batch_size=len(split), verbose=False, **options)

    def run(seed: int) -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002
        return stock.generate(split.images, split.labels)

    return run


if __name__ == "__main__":
    app.run(main)
