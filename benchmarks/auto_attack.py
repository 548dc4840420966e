"""AutoAttack: our suite `standard` beside ART's AutoAttack, or the authors' own in PyTorch, in one run.

  python -m benchmarks.auto_attack                       ART on the SavedModel of mnist/cnn, L-infinity and L2, 50 images
  python -m benchmarks.auto_attack --rival=pyautoattack --models=mnist/cnn,mnist/pgd_relu_cnn --norms=linf,l2,l1 --images=200

Both attack the same weights on the same test images. An image is broken if the SavedModel's serving path misclassifies what
a program returns and its distance is within epsilon; nobody's own count is used. Our seconds are those of `cz.evaluate`
with everything around the attacks: opening the SavedModel, tracing, clean accuracy, checks for masked gradients. Imports
and the preparation of the others are not counted.

ART attacks the SavedModel's function, compiled, all images in one batch. Its AutoAttack has neither FAB nor the targeted DLR
loss. For the same number of gradients it gets nine random starts with the untargeted one, against nine target classes; in
place of FAB it has DeepFool; Square has 5,000 queries. By default it would take five starts of each. It has no Square in L1,
where it therefore cannot be compared. Keras 3 lacks a constant that it asks for, which is put in place.

`pyautoattack` is the code of the authors, version `standard`, on the network of `torch_twin` in batches of 250.

Neither is a dependency: `pip install adversarial-robustness-toolbox multiprocess`; `pip install torch pyautoattack`.
"""

import os
import time
import types
from collections.abc import Callable
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import cortexzoo as cz
from benchmarks.report import publish
from cortexzoo import catalog, datasets
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.norms import NORM_NAMES

_RIVAL = flags.DEFINE_enum("rival", "art", ["art", "pyautoattack"], "The other implementation.")
_MODELS = flags.DEFINE_list("models", ["mnist/cnn"], "Ids in the catalogue.")
_NORMS = flags.DEFINE_list("norms", ["linf", "l2"], "Norms: linf, l2 and, with pyautoattack, l1.")
_IMAGES = flags.DEFINE_integer("images", 50, "The first test images, this many.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `auto attack beside RIVAL` is made anew.")
# ART's projections are exact to this share of epsilon.
_TOLERANCE = 1e-4
_TITLES = {"art": "ART", "pyautoattack": "pyautoattack"}
_Program = Callable[[], np.ndarray]


def main(_: list[str]) -> None:
    """Measures and prints one table."""
    logging.set_verbosity(logging.ERROR)
    makers = {"cz.evaluate": ours, _TITLES[_RIVAL.value]: {"art": art, "pyautoattack": authors}[_RIVAL.value]}
    header = ["model", "norm", "program", "images", "seconds", "CPU seconds", "times cz.evaluate", "robust accuracy"]
    rows = []
    for model_id in _MODELS.value:
        info = datasets.info(catalog.model_card(model_id).dataset)
        split = datasets.load(info.name, "test").first(_IMAGES.value)
        for norm in _NORMS.value:
            rows += _rows(makers, model_id, split, norm, info.thresholds[norm])
    remark = "Ratios are of seconds. Every image that a program returned is classified anew by the SavedModel."
    publish(f"auto attack beside {_TITLES[_RIVAL.value]}", header, rows, remark, _PAGE.value)


def _rows(
    makers: dict[str, Callable[..., _Program]], model_id: str, split: datasets.Split, norm: str, epsilon: float
) -> list[list[str]]:
    classifier, rows, first = classifier_of(model_id), [], None
    for name, make in makers.items():
        program = make(model_id, split, norm, epsilon)
        began = time.perf_counter(), time.process_time()
        images = program()
        seconds, busy = time.perf_counter() - began[0], time.process_time() - began[1]
        first = first or seconds
        accuracy = robust_accuracy(classifier, split, images, norm, epsilon)
        times = [f"{seconds:.1f}", f"{busy:.1f}", f"{seconds / first:.1f}"]
        rows.append([model_id, f"{NORM_NAMES[norm]} {epsilon:.3g}", name, str(len(split)), *times, f"{accuracy:.1%}"])
        # ART takes many minutes; whoever stops it early keeps what is done.
        print(*rows[-1], sep="  ", flush=True)
    return rows


def classifier_of(model_id: str) -> Classifier:
    """Returns a model of the catalogue as attacks see it."""
    info = datasets.info(catalog.model_card(model_id).dataset)
    return Classifier(catalog.verified_saved_model(model_id), info, datasets.load(info.name, "test").images[:16])


def robust_accuracy(classifier: Classifier, split: datasets.Split, images: np.ndarray, norm: str, epsilon: float) -> float:
    """Returns the share of samples that an attack's images leave right: the serving path decides, and the distance.

    Args:
        classifier: the model.
        split: clean images and labels.
        images: what an attack returned for them, float32, of the same shape; the clean image counts, too.
        norm: "linf", "l2" or "l1".
        epsilon: the largest distance that counts.
    """
    wrong = classifier.predict(images) != split.labels
    near = distances(split.images, images, norm) <= epsilon * (1 + _TOLERANCE)
    return 1.0 - float(np.mean((wrong & near) | (classifier.predict(split.images) != split.labels)))


def ours(model_id: str, split: datasets.Split, norm: str, epsilon: float) -> _Program:
    """Returns a function that returns the images found by the suite `standard`, float32, like those of the split."""
    options = {"suite": "standard", "norms": [norm], "epsilons": {norm: epsilon}, "keep_images": True}
    return lambda: cz.evaluate(model_id, split.images, split.labels, **options).adversarials(norm).images


def art(model_id: str, split: datasets.Split, norm: str, epsilon: float) -> _Program:
    """Returns the same for ART's AutoAttack, in L-infinity or L2; see above for the settings."""
    from art.attacks.evasion import AutoAttack, AutoProjectedGradientDescent, DeepFool, SquareAttack
    from art.estimators.classification import TensorFlowV2Classifier

    classifier = classifier_of(model_id)
    logits = tf.function(
        classifier.endpoint("logits"), [tf.TensorSpec((None, *classifier.image_shape), tf.float32)], autograph=False
    )
    wrapped = TensorFlowV2Classifier(
        lambda images, training: logits(tf.cast(images, tf.float32)),
        classifier.num_classes,
        classifier.image_shape,
        clip_values=(0, 1),
    )
    common = {"norm": {"linf": np.inf, "l2": 2}[norm], "eps": epsilon}
    # The published first step is 2 epsilon.
    ascent = {**common, "eps_step": 2 * epsilon, "max_iter": 100, "batch_size": len(split), "verbose": False}
    np.random.seed(0)  # noqa: NPY002
    with mock.patch.object(tf.keras.losses, "Reduction", types.SimpleNamespace(NONE="none"), create=True):
        attacks = [
            AutoProjectedGradientDescent(wrapped, loss_type="cross_entropy", nb_random_init=1, **ascent),
            AutoProjectedGradientDescent(wrapped, loss_type="difference_logits_ratio", nb_random_init=9, **ascent),
            DeepFool(wrapped, max_iter=100, epsilon=1e-3, nb_grads=10, batch_size=len(split), verbose=False),
            SquareAttack(wrapped, max_iter=5000, p_init=0.8, nb_restarts=1, batch_size=len(split), verbose=False, **common),
        ]
    attack = AutoAttack(wrapped, eps_step=2 * epsilon, attacks=attacks, batch_size=len(split), **common)
    # It writes into the arrays that it is given.
    return lambda: attack.generate(split.images.copy(), split.labels.copy())


def authors(model_id: str, split: datasets.Split, norm: str, epsilon: float) -> _Program:
    """Returns the same for the authors' AutoAttack, on the network in PyTorch."""
    import torch
    from pyautoattack import AutoAttack

    from benchmarks.torch_twin import torch_twin

    names = {"linf": "Linf", "l2": "L2", "l1": "L1"}
    attack = AutoAttack(torch_twin(cz.load_model(model_id)), norm=names[norm], eps=epsilon, seed=0)
    images = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(split.labels.astype(np.int64))

    def run() -> np.ndarray:
        found, _ = attack.run_standard_evaluation(images, labels, batch_size=250)
        return found.permute(0, 2, 3, 1).contiguous().numpy()

    return run


if __name__ == "__main__":
    app.run(main)
