"""Classifies the unchanged images, the first step of every evaluation."""

import numpy as np

from cortexzoo.evaluation.classifier import Classifier, ClassifierError
from cortexzoo.evaluation.conversion import Preprocessing
from cortexzoo.evaluation.evaluation import Evaluation

WRONG_RANGE = "Images of another range"
# Common input ranges, with the arguments that select them.
_RANGES = {
    "images / 255 and without scale": Preprocessing(),
    "scale=255": Preprocessing(scale=255.0),
    "mean=0.5, std=0.5": Preprocessing(mean=(0.5,), std=(0.5,)),
}
# Other ranges are tried on this many images, and suggested if the accuracy gains at least this much.
_TRIED, _GAIN = 200, 0.3


def evaluate_clean(evaluation: Evaluation) -> None:
    """Classifies all images on the serving path, unless that is stored, and stores the model's name, signs and endpoints.

    Raises:
        ClassifierError: an output is not finite, or a label exceeds the model's number of classes.
    """
    classifier, split, store = evaluation.classifier, evaluation.split, evaluation.store
    dataset = evaluation.images.info.name
    if len(split) and split.labels.max() >= classifier.num_classes:
        raise ClassifierError(
            f"Expected labels below {classifier.num_classes}, the number of logits of {classifier.path}. "
            f"Received: label {split.labels.max()} in {dataset}."
        )
    store.add_model(evaluation.digest, evaluation.model.name)
    ids, _, _ = store.clean(evaluation.digest, dataset)
    if len(ids) != len(split):
        logits = _finite_logits(classifier, evaluation)
        predictions = np.argmax(logits, axis=-1)
        store.set_clean(evaluation.digest, dataset, split.ids, split.labels, predictions)
        if signs := {**classifier.signs, **_wrong_range(evaluation, predictions)}:
            store.set_check(evaluation.digest, dataset, "signs", signs)
    # Reports need the endpoints. Stored last: a model that cannot be evaluated has none.
    store.set_check(evaluation.digest, dataset, "endpoints", list(classifier.endpoints))


def _finite_logits(classifier: Classifier, evaluation: Evaluation) -> np.ndarray:
    logits = classifier.serving_logits(evaluation.split.images)
    if not np.all(np.isfinite(logits)):
        bad = evaluation.split.ids[~np.all(np.isfinite(logits), axis=1)]
        raise ClassifierError(
            f"Expected finite logits of {classifier.path} on {evaluation.images.info.name}. Received NaN or infinity for "
            f"{len(bad)} images, the first of them sample {bad[0]}."
        )
    return logits


def _wrong_range(evaluation: Evaluation, predictions: np.ndarray) -> dict[str, str]:
    """A sign if the model does far better on images of another range."""
    split = evaluation.split.first(_TRIED)
    accuracy = float(np.mean(predictions[: len(split)] == split.labels))
    given = evaluation.preprocessing
    # A user who passes a mean knows what the model was trained on.
    if given.mean or given.std or accuracy > 1.0 - _GAIN:
        return {}
    classifier = evaluation.classifier
    found = {}
    for name, preprocessing in ((name, other) for name, other in _RANGES.items() if other != given):
        other = Classifier(classifier.path, classifier.dataset, split.images[:1], preprocessing=preprocessing)
        found[name] = float(np.mean(other.predict(split.images) == split.labels))
    best = max(found, key=found.get)
    if found[best] < accuracy + _GAIN:
        return {}
    text = f"clean accuracy is {100 * accuracy:.1f} %, but {100 * found[best]:.1f} % with {best}: pass that"
    return {WRONG_RANGE: text}
