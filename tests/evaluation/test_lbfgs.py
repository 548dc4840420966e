"""L-BFGS-B: its ends are minima, its record tells why it stopped, and saturation stops it in float32 only."""

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import LBFGS, Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import TINY, save_classifier

IMAGE = np.full(TINY.image_shape, 0.5, np.float32)
SLOPE, STEEPNESS = np.linspace(-1.0, 1.0, 16), 20.0


@pytest.fixture(scope="module")
def saturated(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Two classes, logits +-5 tanh(20 w'(x - 1/2) - 10) with a unit w: at IMAGE float32 has a gradient of exactly 0."""
    direction = (SLOPE / np.linalg.norm(SLOPE)).reshape(-1, 1)

    def logits(images: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
        pixels = tf.cast(tf.reshape(images, (-1, 16)), dtype) - 0.5
        unit = tf.tanh(STEEPNESS * pixels @ tf.constant(direction, dtype) - STEEPNESS / 2)
        return 5 * tf.concat([-unit, unit], axis=1)

    path = tmp_path_factory.mktemp("saturated") / "1"
    more = {"logits_float64": lambda images: logits(images, tf.float64)}
    save_classifier(path, logits, TINY.image_shape, **more)
    return Classifier(path, DatasetInfo("two", "two", TINY.image_shape, ("a", "b"), 1), IMAGE[None])


def test_saturation_stops_float32_at_once(saturated: Classifier) -> None:
    for rescale in (False, True):
        descent = LBFGS(rescale=rescale).towards(saturated, "logits", IMAGE, 1)
        assert not descent.found
        assert descent.distance == np.inf
        assert descent.first_gradient == 0.0
        assert descent.iterations == 0
        assert "GRADIENT" in descent.reason
        np.testing.assert_array_equal(descent.image, IMAGE)


def test_float64_has_a_gradient_and_the_rescaled_loss_uses_it(saturated: Classifier) -> None:
    plain, rescaled = (LBFGS(rescale=r).towards(saturated, "logits_float64", IMAGE, 1) for r in (False, True))
    # The loss at IMAGE is nearly 2 x 5, and its slope 2 x 5 x 20 (1 - tanh^2 10).
    expected = 200 / np.cosh(10.0) ** 2
    assert plain.first_gradient == pytest.approx(expected, rel=1e-4)
    assert rescaled.first_gradient == pytest.approx(expected, rel=1e-4)
    # L-BFGS-B's first step is as long as the gradient.
    assert not plain.found
    assert rescaled.found
    # The boundary is at 1/2 along w.
    assert 0.5 < rescaled.distance < 0.7


def test_a_descent_ends_where_the_objective_is_stationary(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    """Gradients of distance and loss, here by finite differences, cancel wherever the box leaves room."""
    image, wanted = tiny_batch.images[0], int((tiny_batch.labels[0] + 1) % TINY.num_classes)
    descent = LBFGS(rounds=1, constant=0.5).towards(tiny_classifier, "logits", image, wanted)
    assert 0 < descent.iterations < 1000
    assert descent.constant == 0.5

    def objective(images: np.ndarray) -> np.ndarray:
        logits = tiny_classifier.endpoint("logits")(tf.constant(images, tf.float32)).numpy().astype(np.float64)
        loss = np.log(np.exp(logits).sum(axis=1)) - logits[:, wanted]
        return 0.5 * np.sum((images - image) ** 2, axis=(1, 2, 3)) + loss

    steps = 1e-2 * np.eye(16).reshape(16, *TINY.image_shape)
    slopes = [(objective(x + steps) - objective(x - steps)) / 2e-2 for x in (image, descent.image)]
    inside = ((descent.image > 1e-3) & (descent.image < 1 - 1e-3)).ravel()
    assert inside.sum() >= 4
    assert np.abs(slopes[1][inside]).max() < 0.02 * np.abs(slopes[0]).max()


def test_targeted_images_are_of_the_wanted_class_and_nearer_with_more_rounds(
    tiny_classifier: Classifier, tiny_batch: Batch
) -> None:
    image = tiny_batch.images[0]
    for wanted in {0, 1, 2} - {int(tiny_batch.labels[0])}:
        few, many = (LBFGS(rounds=rounds).towards(tiny_classifier, "logits", image, wanted) for rounds in (1, 4))
        assert many.found
        assert tiny_classifier.predict(many.image[None])[0] == wanted
        assert many.distance == pytest.approx(distances(image[None], many.image[None], "l2")[0])
        assert many.distance <= few.distance


def test_untargeted_takes_the_nearest_class_and_repeats(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    batch = tiny_batch.take(np.arange(2))
    attack = LBFGS(rounds=2)
    images = attack.run(tiny_classifier, "logits", batch)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.all(tiny_classifier.misclassifies(images, batch.labels))
    np.testing.assert_array_equal(images, attack.run(tiny_classifier, "logits", batch))
    reached = distances(batch.images, images, "l2")
    for row, label in enumerate(batch.labels):
        others = {0, 1, 2} - {int(label)}
        nearest = min(attack.towards(tiny_classifier, "logits", batch.images[row], k).distance for k in others)
        assert reached[row] <= nearest
