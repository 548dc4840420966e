"""What the analyses of networks measure has known values; the commands write figures and tables of them."""

import csv
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import image as matplotlib_image
from scipy import stats

from cortexzoo import catalog, datasets
from cortexzoo.console import discover
from cortexzoo.datasets import DatasetInfo, Split
from cortexzoo.evaluation.analysis import histograms, interpolation, kurtosis_experiment, rdm, source_target
from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.networks import Network
from cortexzoo.evaluation.analysis.tools.output import stem
from cortexzoo.evaluation.attacks import LBFGS
from cortexzoo.evaluation.classifier import Classifier, ClassifierError
from cortexzoo.evaluation.models import Model
from tests.evaluation.small_models import TINY, Dense, dense, random_network, save_classifier, tiny_split

MODELS = [card.id for card in catalog.list_models() if card.id == "mnist/cnn"]


@pytest.fixture(scope="module")
def network() -> Dense:
    return random_network(np.random.default_rng(3), 16, 12, TINY.num_classes)


def features(network: Dense, images: tf.Tensor) -> dict[str, tf.Tensor]:
    weights, bias = network.layers[0]
    values = tf.reshape(images, (-1, 16)) @ weights + bias
    return {"pre_activation_0": values, "activation_0": tf.tanh(values), "logits": network(images)}


def save(directory: Path, network: Dense, **endpoints: Callable) -> Classifier:
    path = save_classifier(directory / "1", network, TINY.image_shape, network.variables, **endpoints)
    return Classifier(path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


@pytest.fixture(scope="module")
def layered(network: Dense, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A network with features."""
    return save(tmp_path_factory.mktemp("layered"), network, features=lambda images: features(network, images))


@pytest.fixture(scope="module")
def faint(network: Dense, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """The network with logits in float64 that are 1e-50 times as large."""
    weak = {"logits_float64": lambda images: 1e-50 * tf.cast(network(images), tf.float64)}
    return save(tmp_path_factory.mktemp("faint"), network, **weak)


@pytest.fixture(scope="module")
def layered_split(layered: Classifier) -> Split:
    return tiny_split(layered.serving_logits)


@pytest.fixture
def catalogued(monkeypatch: pytest.MonkeyPatch, layered: Classifier, layered_split: Split) -> list[str]:
    """Two ids under which the analyses find the layered network."""
    monkeypatch.setattr(networks, "load", lambda models, *_: ([Network(name, layered) for name in models], layered_split))
    return ["tiny/vanilla", "tiny/saturating"]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_figure(path: Path) -> None:
    assert np.ptp(matplotlib_image.imread(path)[..., :3]) > 0.9


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=50), st.floats(0.1, 100.0), st.floats(-10.0, 10.0))
def test_excess_kurtosis_is_scipys_and_has_no_scale(values: list[int], scale: float, shift: float) -> None:
    array = np.array(values, np.float64)
    found = histograms.excess_kurtosis(scale * array + shift)
    if len(set(values)) == 1:
        assert not found > -2
    else:
        assert found == pytest.approx(stats.kurtosis(array, fisher=True, bias=True), rel=1e-6, abs=1e-6)
        assert found >= -2 - 1e-9


def test_excess_kurtosis_of_known_distributions() -> None:
    rng = np.random.default_rng(0)
    assert histograms.excess_kurtosis(rng.uniform(size=(100, 1000))) == pytest.approx(-1.2, abs=0.02)
    assert histograms.excess_kurtosis(rng.standard_normal((100, 1000))) == pytest.approx(0.0, abs=0.1)
    assert histograms.excess_kurtosis(np.array([0.0, 1.0])) == pytest.approx(-2.0)
    assert np.isnan(histograms.excess_kurtosis(np.full(5, 0.25)))


def test_weights_are_read_without_the_class(layered: Classifier, network: Dense, tmp_path: Path) -> None:
    found = networks.weights_of(layered.path)
    assert list(found) == ["layer 1: 16 x 12", "layer 2: 12 x 3"]
    for values, (weights, _) in zip(found.values(), network.layers, strict=True):
        np.testing.assert_array_equal(values, weights.numpy())
    bare = save_classifier(tmp_path / "1", lambda images: tf.reshape(images, (-1, 16))[:, :3], TINY.image_shape)
    with pytest.raises(ValueError, match=r"Expected weights named model_weights/<i>.*cz.export_model"):
        networks.weights_of(bare)


def test_features_are_flat_and_in_order(layered: Classifier, layered_split: Split, tiny_classifier: Classifier) -> None:
    found = networks.features_of(layered, layered_split.images)
    assert list(found) == ["activation_0", "pre_activation_0", "logits"]
    assert {values.shape for values in found.values()} == {(len(layered_split), 12), (len(layered_split), 3)}
    with pytest.raises(ClassifierError, match="has no endpoint 'features'"):
        networks.features_of(tiny_classifier, layered_split.images)


def jacobian(network: Dense, images: np.ndarray) -> np.ndarray:
    (first, bias), (second, _) = (tuple(v.numpy().astype(np.float64) for v in layer) for layer in network.layers)
    slopes = 1 - np.tanh(images.reshape(len(images), -1).astype(np.float64) @ first + bias) ** 2
    return np.einsum("hk,nh,ph->nkp", second, slopes, first)


def test_jacobian_is_the_closed_form(layered: Classifier, faint: Classifier, network: Dense, layered_split: Split) -> None:
    """Of logits in float64 it is so even far below the range of float32."""
    images = layered_split.images
    expected = jacobian(network, images)
    _, plain = networks.logits_and_jacobian(layered, images)
    np.testing.assert_allclose(plain, expected, atol=1e-5 * np.abs(expected).max())
    logits, found = networks.logits_and_jacobian(faint, images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(1e50 * found, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(1e50 * logits, layered.serving_logits(images), rtol=1e-5, atol=1e-5)


def test_dissimilarity_is_one_minus_the_correlation() -> None:
    patterns = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    np.testing.assert_allclose(rdm.dissimilarity(patterns), 1 - np.corrcoef(patterns), atol=1e-6)
    np.testing.assert_allclose(rdm.dissimilarity(np.stack([patterns[0], -2 * patterns[0]])), [[0, 2], [2, 0]], atol=1e-6)


def test_constant_patterns_have_no_dissimilarity_and_are_counted() -> None:
    patterns = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.5], [3.0, 2.0, 1.0], [0.5, 0.5, 0.5]])
    matrix = rdm.dissimilarity(patterns)
    assert np.isnan(matrix[3]).all()
    assert np.isfinite(matrix[:3, :3]).all()
    within, between, undefined = rdm.within_and_between(matrix, np.array([0, 0, 1, 1]))
    assert within == pytest.approx(matrix[0, 1])
    assert between == pytest.approx((matrix[0, 2] + matrix[1, 2]) / 2)
    assert undefined == 1


def distributions(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(5, 0.3), size=2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_angle_and_element_are_those_of_their_definitions(seed: int) -> None:
    p, q = distributions(seed)
    assert interpolation.bhattacharyya_angle(p, q) == pytest.approx(2 * np.arccos(np.sqrt(p * q).sum()), abs=1e-6)
    change = np.random.default_rng(seed).standard_normal(5)
    expected = np.sqrt(change @ (np.diag(p) - np.outer(p, p)) @ change)
    assert interpolation.fisher_element(p, change) == pytest.approx(expected, rel=1e-6)
    # A logit that all classes share changes nothing.
    assert interpolation.fisher_element(p, change + 100.0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("sharpness", [1.0, 30.0, 1000.0])
def test_between_two_classes_the_fisher_length_is_the_angle(sharpness: float, tmp_path: Path) -> None:
    """Two probabilities that rise and fall evenly take the shortest way, however suddenly."""
    weights, bias = np.stack([np.full(16, -0.2), np.full(16, 0.2)], axis=1), np.array([1.6, -1.6])
    classifier = dense((sharpness * weights, sharpness * bias))
    path = save_classifier(tmp_path / "1", classifier, TINY.image_shape, classifier.variables)
    info = DatasetInfo("two", "two", TINY.image_shape, ("a", "b"), 1)
    classifier = Classifier(path, info, np.zeros((1, *TINY.image_shape), np.float32))
    source, end = np.full((2, *TINY.image_shape), [[[[0.1]]], [[[0.83]]]]).astype(np.float32)
    line = interpolation.interpolate(classifier, source, end)
    angle = interpolation.bhattacharyya_angle(line.probabilities[0], line.probabilities[-1])
    assert line.fisher_length == pytest.approx(angle, rel=0.01)
    # Logits of +-0.2 x 16 x 0.73 more.
    assert line.euclidean_length == pytest.approx(sharpness * 0.2 * 16 * 0.73 * np.sqrt(2), rel=1e-3)
    singular_values = np.broadcast_to([sharpness * 0.2 * np.sqrt(32), 0.0], line.singular_values.shape)
    np.testing.assert_allclose(line.singular_values, singular_values, rtol=1e-4, atol=1e-6 * sharpness)


def test_no_line_is_shorter_than_the_angle_between_its_ends(tiny_classifier: Classifier, tiny: Split) -> None:
    for source, end in zip(tiny.images[:4], tiny.images[4:8], strict=True):
        line = interpolation.interpolate(tiny_classifier, source, end)
        assert line.position[0] == 0
        assert line.position[-1] == 1
        assert np.all(np.diff(line.position) > 0)
        angle = interpolation.bhattacharyya_angle(line.probabilities[0], line.probabilities[-1])
        assert line.fisher_length >= 0.999 * angle
        ends = tiny_classifier.serving_logits(np.stack([source, end]))
        assert line.euclidean_length >= 0.999 * np.linalg.norm(ends[1] - ends[0])


def test_images_are_the_first_correct_and_the_least_confident(digits_classifier: Classifier, digits: Split) -> None:
    logits = digits_classifier.serving_logits(digits.images).astype(np.float64)
    correct = logits.argmax(axis=1) == digits.labels
    confidence = np.exp(logits)[np.arange(len(digits)), digits.labels] / np.exp(logits).sum(axis=1)
    found = interpolation.first_correct([digits_classifier], digits, [1, 7])
    least = source_target.least_confident(digits_classifier, digits)
    for label in (1, 7):
        own = np.flatnonzero(correct & (digits.labels == label))
        assert found[label] == own[0]
        assert least[label] == own[confidence[own].argmin()]
    with pytest.raises(ValueError, match=r"none with the labels.*Pass more --samples"):
        interpolation.first_correct([digits_classifier], digits.first(1), [1])
    with pytest.raises(ValueError, match=r"Received: none\. Pass more --samples"):
        source_target.least_confident(digits_classifier, digits.first(1))


@pytest.mark.skipif(not MODELS, reason="the catalogue has no such model")
def test_a_catalogued_model_has_histograms(tmp_path: Path) -> None:
    weights, activities, table = histograms.analyse(MODELS, 100, tmp_path)
    assert [path.name for path in (weights, activities, table)] == [
        "weights-mnist-cnn.png",
        "activities-mnist-cnn.png",
        "histograms-mnist-cnn.csv",
    ]
    check_figure(weights)
    check_figure(activities)
    assert next(row["layer"] for row in read(table) if row["kind"] == "weights") == "layer 1: 5 x 5 x 1 x 20"


def test_models_of_two_data_sets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "open_model", lambda name: Model(name, None, name.split("/")[0]))
    with pytest.raises(ValueError, match=r"Expected models for one data set\. Received: models for cifar10, mnist\."):
        networks.load(["mnist/cnn", "cifar10/cnn"], 10)


def test_models_by_path(digits_path: Path, digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", lambda *_: digits)
    for path in (digits_path, digits_path.parent):
        (network,), split = networks.load([str(path)], 7, "mnist")
        assert (network.classifier.path, len(split)) == (digits_path, 7)
        assert network.name == digits_path.parts[-2]
    with pytest.raises(ValueError, match=r"Expected --data=NAME for models that are not in the catalogue"):
        networks.load([str(digits_path)], 7)
    with pytest.raises(ValueError, match="`model_id` must name a model"):
        networks.load(["nowhere/1"], 7, "mnist")


def test_names_of_files() -> None:
    assert stem("rdm", "mnist", ["mnist/cnn", "mnist/dim"]) == "rdm-mnist-cnn-dim"
    assert stem("rdm", "mnist", ["mine", "cifar10/a"]) == "rdm-mnist-mine-cifar10-a"


def analyze(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "cortexzoo", "analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


ANALYSES = discover("cortexzoo.evaluation.analysis")


def test_an_analysis_is_one_file() -> None:
    """Each is found, and no other file is taken for one."""
    folder = Path(rdm.__file__).parent
    assert sorted(ANALYSES) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    for name, doc in ANALYSES.items():
        assert f"\n  cortexzoo analyze {name}" in doc
        parameters = inspect.signature(importlib.import_module(f"cortexzoo.evaluation.analysis.{name}").analyse).parameters
        assert {"samples", "directory"} <= set(parameters)
    result = analyze()
    assert result.returncode == 0
    for name, doc in ANALYSES.items():
        # A line of 80 columns, which may end in "...".
        assert re.search(rf"^  {name} +{re.escape(doc.partition('.')[0][:40])}", result.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["histogram", "--model=mnist/cnn"], "Received: 'histogram'. Did you mean: histograms"),
        (["rdm"], "cortexzoo analyze rdm: Expected --model=ID or --model=PATH. Received: neither."),
        (["rdm", "--model=mnist/cnn", "--seed=1"], "This analysis does not take --seed."),
        (["kurtosis_experiment", "--model=mnist/cnn", "--data=mnist"], "does not take --data, --model."),
        (["rdm", "more", "--model=mnist/cnn"], "Expected flags only, as in --model=mnist/dim. Received: more."),
    ],
)
def test_flags_that_an_analysis_does_not_take(arguments: list[str], message: str) -> None:
    result = analyze(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_output_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = analyze("rdm", "--model=mnist/cnn", f"--output={tmp_path / 'file'}")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"Expected a folder that can be written: .*file. Received: .*file is a file.\n", result.stderr)


def test_help_of_an_analysis() -> None:
    result = analyze("rdm", "--help")
    assert result.returncode == 0
    assert " ".join(ANALYSES["rdm"].split()) in " ".join(result.stdout.split())
    assert re.findall(r"^  --(\w+)", result.stdout, flags=re.MULTILINE) == [
        *("model", "data", "samples", "seed", "page", "output")
    ]


def test_matrices_of_two_models(catalogued: list[str], tmp_path: Path) -> None:
    figure, table = rdm.analyse(catalogued, 40, tmp_path)
    check_figure(figure)
    rows = read(table)
    assert {row["model"] for row in rows} == set(catalogued)
    assert {row["layer"] for row in rows} == {"activation_0", "pre_activation_0", "logits"}
    # Images were labelled by the logits.
    assert all(float(row["within_class"]) < float(row["between_classes"]) for row in rows if row["layer"] == "logits")


def test_interpolations_of_two_models(catalogued: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "PAIRS", ((0, 1), (1, 2)))
    figure, points, lengths = interpolation.analyse(catalogued, 40, tmp_path)
    check_figure(figure)
    assert len(read(points)) >= 2 * 2 * 201
    assert len(read(lengths)) == 4
    assert next(iter(read(lengths))).keys() >= {"source", "target", "source_id", "target_id"}
    assert all(float(row["fisher_length"]) >= 0.999 * float(row["bhattacharyya_angle"]) for row in read(lengths))


def test_every_pair_of_classes_is_attacked_in_every_variant(
    faint: Classifier, layered_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "load", lambda models, *_: ([Network(name, faint) for name in models], layered_split))
    figure, table = source_target.analyse("tiny/faint", 40, tmp_path, LBFGS(rounds=1))
    check_figure(figure)
    rows = read(table)
    names = ["float32", "float64", "float64, loss rescaled"]
    assert [row["variant"] for row in rows] == [name for name in names for _ in range(6)]
    found = {name: [row["found"] == "1" for row in rows if row["variant"] == name] for name in names}
    # Logits of 1e-50 have no gradient for an attack that does not rescale them.
    assert all(found["float32"])
    assert not any(found["float64"])
    assert all(found["float64, loss rescaled"])
    assert all(np.isfinite(float(row["l2_distance"])) == (row["found"] == "1") and row["reason"] for row in rows)


@pytest.mark.parametrize(("transform", "setting"), [(kurtosis_experiment.power, 2.0), (kurtosis_experiment.largest, 0.25)])
def test_transformed_weights_keep_their_norms_and_gain_kurtosis(transform: Callable, setting: float) -> None:
    weights = np.random.default_rng(0).standard_normal((400, 3))
    changed = transform(weights, setting)
    np.testing.assert_allclose(np.linalg.norm(changed, axis=0), np.linalg.norm(weights, axis=0))
    assert histograms.excess_kurtosis(changed) > histograms.excess_kurtosis(weights) + 1
    assert kurtosis_experiment.relative_shift(changed) < kurtosis_experiment.relative_shift(weights)


def test_generalized_normal_at_its_famous_members() -> None:
    kurtosis, shift = kurtosis_experiment.generalized_normal(np.array([1.0, 2.0]))
    np.testing.assert_allclose(kurtosis, [3.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(shift, [1 / np.sqrt(2), np.sqrt(2 / np.pi)])
    gaussian = np.random.default_rng(0).standard_normal((10_000, 2))
    assert kurtosis_experiment.relative_shift(gaussian) == pytest.approx(shift[1], rel=0.01)


def test_worst_case_of_a_linear_classifier_is_the_closed_form() -> None:
    """Far from the box: right where for each class the margin exceeds epsilon ||w_y - w_k||_1."""
    rng = np.random.default_rng(0)
    classifier, images = dense((rng.standard_normal((16, 4)), np.zeros(4))), rng.uniform(0.4, 0.6, (50, 4, 4, 1))
    images = images.astype(np.float32)
    logits = classifier(images).numpy().astype(np.float64)
    labels = logits.argmax(axis=1)
    weights = classifier.layers[0][0].numpy().astype(np.float64)
    shifts = np.abs(weights[:, labels][:, :, None] - weights[:, None, :]).sum(axis=0)
    margins = logits[np.arange(50), labels][:, None] - logits
    epsilons = (0.0, 0.005, 0.02)
    right = [np.all((margins > e * shifts) | (np.arange(4) == labels[:, None]), axis=1).mean() for e in epsilons]
    assert right[2] < 0.9 < right[0]
    assert kurtosis_experiment.worst_case_accuracies(classifier, images, labels, epsilons) == pytest.approx(right)


def test_kurtosis_experiment_writes_all_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Split) -> None:
    monkeypatch.setattr(datasets, "load", lambda *_: digits)
    small = {"_PENALTIES": (0.0, 0.1), "_HIDDEN_PENALTIES": (0.01,), "_HIDDEN_UNITS": 8}
    for name, value in (small | {"_EPOCHS": 4, "_LEARNING_RATE": 0.02}).items():
        monkeypatch.setattr(kurtosis_experiment, name, value)
    figure, table = kurtosis_experiment.analyse(200, tmp_path)
    check_figure(figure)
    rows = read(table)
    assert list(dict.fromkeys(row["family"] for row in rows)) == ["powers", "largest", "L1", "L1, hidden layer"]
    (unchanged,) = (row for row in rows if (row["family"], row["setting"]) == ("powers", "1"))
    plain, penalised = (row for row in rows if row["family"] == "L1")
    assert {**unchanged, "family": "L1", "setting": "0"} == plain
    assert float(penalised["excess_kurtosis"]) > float(plain["excess_kurtosis"])
    for row in (row for row in rows if row["family"] != "L1, hidden layer"):
        values = [float(row[name]) for name in ("accuracy", "accuracy_0.02", "accuracy_0.05", "accuracy_0.1")]
        assert values == sorted(values, reverse=True)


def test_page_names_real_analyses() -> None:
    page = (Path(__file__).parents[2] / "docs" / "saturating.md").read_text(encoding="utf-8")
    commands = re.findall(r"^cortexzoo analyze (\w+)", page, flags=re.MULTILINE)
    assert set(commands) == {"histograms", "rdm", "interpolation", "source_target", "kurtosis_experiment"} <= set(ANALYSES)
