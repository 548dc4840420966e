"""`cz.evaluate` and `cz.attack` as a newcomer calls them: own Keras model, own arrays, three classes."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.opening import keras_digest
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.running import attacks as running
from cortexzoo.evaluation.suites.quick import QUICK
from cortexzoo.evaluation.thresholds import thresholds_for

N, SHAPE = 60, (6, 5, 3)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise with one brighter channel, that of the class."""
    pixels = np.random.default_rng(0).uniform(0.2, 0.6, (N, *SHAPE)).astype(np.float32)
    for i, image in enumerate(pixels):
        image[..., i % 3] += 0.2
    return pixels


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """The brighter channel of each image."""
    return np.arange(N) % 3


def classifier(head: str | None = "softmax", units: int = 3, scale: float = 1.0) -> keras.Model:
    """Tells the mean of each channel apart: exact, and without training."""
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(scale), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dense(units, activation=head)])
    kernel = 30.0 * (np.eye(3) if units == 3 else np.array([[-1.0], [1.0], [0.0]]))
    model.layers[-1].set_weights([kernel.astype(np.float32), np.zeros(units, np.float32)])
    return model


def test_three_lines_on_own_data(images: np.ndarray, labels: np.ndarray) -> None:
    result = cz.evaluate(classifier(), images, labels, epsilons={"linf": 0.1})
    assert result.clean_accuracy == 1.0
    # The channels are 0.2 apart: half of it on each of two channels takes the one for the other.
    assert result.robust_accuracy("linf", 0.05) == 1.0
    assert result.robust_accuracy("linf", 0.15) == 0.0
    assert 0.0 < result.robust_accuracy("linf") < 1.0
    low, high = result.interval("linf")
    assert low < result.robust_accuracy("linf") < high
    assert set(result.robust_accuracies) == {"linf", "l2", "l1"}
    # No norm is judged by single steps alone.
    assert not any("Only single-step attacks" in name for name in result.signs_of_masking)
    printed = str(result)
    assert "L∞, ε = 0.1" in printed
    assert "These images have no established thresholds: CIFAR-10's are used in L2, L1." in " ".join(printed.split())
    assert all(len(line) <= 80 for line in printed.splitlines())
    assert result._repr_html_().startswith("<pre")
    assert result.figure("linf").axes
    assert len(result.to_dataframe()) == 1 + 8 + 3
    json.dumps(result.as_json(), allow_nan=False)


def test_notebook_shows_a_result(images: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel asks for colours, and draws figures that pyplot does not know."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = cz.evaluate(classifier(), images, labels, epsilons={"linf": 0.1}, norms=["linf"], samples=4)
    assert "\x1b" not in str(result)
    assert result.figure("linf")._repr_png_().startswith(b"\x89PNG")


def test_several_thresholds_at_once(images: np.ndarray, labels: np.ndarray) -> None:
    result = cz.evaluate(classifier(None), images, labels, epsilons={"linf": [0.05, 0.15]}, norms=["linf"], samples=12)
    assert "ε = 0.05" in str(result)
    assert "ε = 0.15" in str(result)
    frame = result.to_dataframe()
    unions = frame[frame.kind == "union"]
    assert list(zip(unions.epsilon, unions.accuracy, strict=True)) == [(0.05, 1.0), (0.15, 0.0)]
    assert set(frame.norm.dropna()) == {"linf"}


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_attack_returns_arrays_whose_distances_are_true(norm: str, images: np.ndarray, labels: np.ndarray) -> None:
    few, wanted = images[:6], labels[:6]
    model = classifier()
    found = cz.attack(model, few, wanted, norm=norm)
    assert found.images.shape == few.shape
    assert found.success.all()
    assert (model.predict(found.images, verbose=0).argmax(axis=1) == found.predictions).all()
    assert (found.predictions != wanted).all()
    changes = np.abs(found.images - few).reshape(6, -1)
    measured = {
        "linf": changes.max(axis=1),
        "l2": np.sqrt((changes**2).sum(axis=1)),
        "l1": changes.sum(axis=1),
        "l0": np.any(np.abs(found.images - few) > 1e-6, axis=-1).sum(axis=(1, 2)),
    }
    np.testing.assert_allclose(found.distances, measured[norm], rtol=1e-5)


def test_attack_at_one_epsilon(images: np.ndarray, labels: np.ndarray) -> None:
    found = cz.attack(classifier(), images, labels, epsilon=0.15)
    assert found.success.all()
    assert np.abs(found.images - images).max() <= 0.15 + 1e-6
    failed = cz.attack(classifier(), images, labels, epsilon=0.02)
    assert not failed.success.any()
    assert np.isinf(failed.distances).all()


def test_what_is_wrong_before_is_not_attacked(images: np.ndarray, labels: np.ndarray) -> None:
    wrong = labels.copy()
    wrong[0] = (wrong[0] + 1) % 3
    found = cz.attack(classifier(), images[:4], wrong[:4], epsilon=0.2)
    assert found.distances[0] == 0.0
    assert found.success.all()
    np.testing.assert_array_equal(found.images[0], images[0])


@pytest.mark.parametrize("attack", ["pgd", "deepfool", "boundary"])
def test_targeted_attacks_reach_the_wanted_class(attack: str, images: np.ndarray, labels: np.ndarray) -> None:
    targets = (labels[:9] + 1 + np.arange(9) // 3 % 2) % 3
    settings = {"steps": 300} if attack == "boundary" else {}
    found = cz.attack(classifier(), images[:9], labels[:9], norm="l2", attack=attack, targets=targets, **settings)
    assert (found.predictions == targets).all()
    assert found.success.all()


def test_targeted_evaluation(images: np.ndarray, labels: np.ndarray) -> None:
    model = classifier()
    result = cz.evaluate(
        model, images[:12], labels[:12], norms=["linf"], epsilons={"linf": 0.3}, targets=2, keep_images=True
    )
    assert result.robust_accuracy("linf") == 0.0
    found = result.adversarials("linf")
    assert (model.predict(found.images, verbose=0).argmax(axis=1) == 2).all()
    # Those of class 2 are there already.
    assert (found.distances[labels[:12] == 2] == 0.0).all()


def test_a_clean_image_never_passes_for_an_adversarial(images: np.ndarray, labels: np.ndarray) -> None:
    options = {"norms": ["linf"], "epsilons": {"linf": 0.15}}
    few = cz.evaluate(classifier(), images, labels, samples=10, **options).adversarials("linf")
    assert few.success.all()
    with pytest.raises(ValueError, match=r"Received: 2 are not kept. Evaluate with keep_images=True"):
        cz.evaluate(classifier(), images, labels, samples=12, **options).adversarials("linf")


def test_targets_are_checked(images: np.ndarray, labels: np.ndarray) -> None:
    for targets, message in [
        (7, "from 0 to 2"),
        (labels, "itself for 60 images"),
        (labels[:5], r"array of 60 classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            cz.attack(classifier(), images, labels, targets=targets)


def test_one_sigmoid_unit_is_a_classifier_of_two_classes(images: np.ndarray, labels: np.ndarray) -> None:
    two = labels < 2
    model = classifier("sigmoid", 1)
    found = cz.attack(model, images[two], labels[two], epsilon=0.15)
    assert found.success.all()
    np.testing.assert_array_equal(model.predict(found.images, verbose=0)[:, 0] > 0.5, found.predictions == 1)


@pytest.mark.parametrize("kind", ["keras", "h5", "saved_model", "tf.data", "npz", "uint8"])
def test_models_and_images_as_people_have_them(kind: str, images: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    model, data = classifier(), (images, labels)
    if kind in ("keras", "h5"):
        model.save(tmp_path / f"mine.{kind}")
        model = tmp_path / f"mine.{kind}"
    elif kind == "saved_model":
        # Keras' own export keeps the softmax.
        model.export(tmp_path / "mine" / "1", verbose=False)
        model = str(tmp_path / "mine")
    elif kind == "tf.data":
        data = (tf.data.Dataset.from_tensor_slices((images, labels)).batch(7), None)
    elif kind == "npz":
        np.savez(tmp_path / "mine.npz", images=images, labels=labels)
        data = (tmp_path / "mine.npz", None)
    else:
        data = ((255 * images).round().astype(np.uint8), labels)
    result = cz.evaluate(model, *data, norms=["linf"], epsilons={"linf": 0.15}, samples=12)
    assert result.clean_accuracy == 1.0
    assert result.robust_accuracy("linf") == 0.0
    assert ("Probabilities instead of logits" in result.signs_of_masking) == (kind == "saved_model")


def test_a_model_of_images_from_0_to_255(images: np.ndarray, labels: np.ndarray) -> None:
    model = classifier(scale=1 / 255)
    # Given images in [0, 1] it still tells them apart, but with logits so near one another that nothing was learnt.
    for pixels in (images, (255 * images).astype(np.uint8), 255 * images):
        result = cz.evaluate(model, pixels, labels, norms=["linf"], epsilons={"linf": 0.15}, scale=255, samples=12)
        assert result.clean_accuracy == 1.0
        assert result.robust_accuracy("linf") == 0.0


def test_the_wrong_range_is_recognised_and_the_remedy_named(images: np.ndarray, labels: np.ndarray) -> None:
    model = classifier(None, scale=1 / 255)
    # Dark images are of class 0 for it.
    model.layers[-1].set_weights([model.layers[-1].get_weights()[0], np.array([2.0, 0.0, 0.0], np.float32)])
    result = cz.evaluate(model, images, labels, suite="clean")
    assert result.clean_accuracy == pytest.approx(1 / 3)
    assert "100.0 % with scale=255: pass that" in result.signs_of_masking["Images of another range"]


def test_a_store_resumes(images: np.ndarray, labels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cz.evaluate(classifier(), images, labels, samples=8, store=tmp_path / "results.sqlite")
    monkeypatch.setattr(running.Workers, "run", lambda workers, tasks: pytest.fail("attacked anew") if tasks else [])
    # The same architecture and weights, in another object whose layers have other names.
    again = cz.evaluate(classifier(), images, labels, samples=8, store=tmp_path / "results.sqlite")
    assert again.as_json()["models"][0]["unions"] == first.as_json()["models"][0]["unions"]


def test_the_identity_of_a_keras_model_is_its_architecture_code_and_weights() -> None:
    class Doubled(keras.layers.Layer):
        def call(self, values):
            return 2.0 * values

    first = Doubled

    class Doubled(keras.layers.Layer):
        def call(self, values):
            return values + values

    def build(layer: type, units: int = 3) -> keras.Model:
        model = keras.Sequential(
            [keras.Input(SHAPE), keras.layers.GlobalAveragePooling2D(), layer(), keras.layers.Dense(units)]
        )
        model.layers[-1].set_weights([np.ones((3, units), np.float32), np.zeros(units, np.float32)])
        return model

    found = [keras_digest(build(first)), keras_digest(build(Doubled)), keras_digest(build(first, 4))]
    assert len(set(found)) == 3
    assert keras_digest(build(first)) == found[0]
    changed = build(first)
    changed.layers[-1].set_weights([np.full((3, 3), 2.0, np.float32), np.zeros(3, np.float32)])
    assert keras_digest(changed) not in found


def test_stored_distances_are_judged_at_other_thresholds(images: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    """A report at a threshold that no attack was run at takes the distances found at another; nothing is attacked."""
    options = {"norms": ["linf"], "samples": 12, "store": tmp_path / "results.sqlite"}
    cz.evaluate(classifier(), images, labels, epsilons={"linf": 0.15}, **options)
    with Store(tmp_path / "results.sqlite") as store:
        (digest,) = store.models()
        model = Model("mine", None, kept_digest=digest, group="mine")
        source = cz.open_images(images, labels)
        thresholds = thresholds_for(source.info, {"linf": [0.05, 0.12]})
        evaluation = Evaluation(model, source, store, thresholds, 12, norms=("linf",))
        summary = QUICK.summarize(evaluation)
    assert [score.label for score in summary.attacks] == ["PGD L∞", "FGM L∞"]
    assert [score.accuracy for score in summary.at_thresholds(summary.unions)] == [1.0, 0.0]


def test_shifts_are_evaluated_in_the_same_way(images: np.ndarray, labels: np.ndarray) -> None:
    result = cz.evaluate(classifier(), images, labels, suite="noise", samples=12)
    assert len(result.to_dataframe()) >= 30
    assert "Gaussian noise" in str(result)
    with pytest.raises(ValueError, match="Expected an attack suite"):
        _ = result.clean_accuracy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "nope"}, "`suite` must be one of"),
        ({"epsilons": {"l3": 1.0}}, "Expected positive thresholds of the norms"),
        ({"epsilons": {"linf": -0.1}}, "Expected positive thresholds"),
        ({"norms": ["l7"]}, "Expected norms among"),
        ({"scale": 0.0}, "`scale` must be positive"),
        ({"std": 0.0}, "`std` must be positive"),
    ],
)
def test_what_is_refused_before_the_work(options: dict, message: str, images: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=message):
        cz.evaluate(classifier(), images, labels, **options)


def test_attacks_are_named_and_checked(images: np.ndarray, labels: np.ndarray) -> None:
    for options, message in [
        ({"attack": "deepfol"}, "Did you mean: deepfool"),
        ({"attack": "deepfool", "norm": "l1"}, "must be one of"),
        ({"attack": "pgd", "norm": "linf", "stepps": 3}, "Received: stepps"),
        ({"norm": "l5"}, "Expected norms among"),
    ]:
        with pytest.raises(ValueError, match=message):
            cz.attack(classifier(), images, labels, **options)


def test_what_is_no_model(images: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Received: ndarray"):
        cz.attack(images, images, labels)
    with pytest.raises(ValueError, match=r"Close matches: mnist/dim"):
        cz.evaluate("mnist/dimm", images, labels)
    with pytest.raises(ValueError, match=r"Expected a Keras model in .*none.keras. Received: there is no such file"):
        cz.evaluate(tmp_path / "none.keras", images, labels)


def test_attacks_one_after_the_other_share_what_is_loaded(
    images: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, load = [], tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda path: loads.append(path) or load(path))
    model = classifier()
    for epsilon in (0.05, 0.1):
        cz.attack(model, images, labels, epsilon=epsilon)
    assert len(loads) == 1
    # Trained on, it is another model.
    model.layers[-1].set_weights([2 * weight for weight in model.layers[-1].get_weights()])
    cz.attack(model, images, labels, epsilon=0.1)
    assert len(loads) == 2
