"""The diagnosis of masking: right on networks whose answer is known, kept in the store, read without the model."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation import diagnosis, suites
from cortexzoo.evaluation.analysis import masking
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.diagnosis import known_answers, single_pixels, subject
from cortexzoo.evaluation.diagnosis.known_answers import KNOWN_ANSWERS, KnownAnswer, Network
from cortexzoo.evaluation.diagnosis.sign import all_signs
from cortexzoo.evaluation.diagnosis.signs import finite_differences
from cortexzoo.evaluation.diagnosis.signs.rounded_logits import lattice
from cortexzoo.evaluation.diagnosis.subject import Subject
from cortexzoo.evaluation.diagnosis.verdict import CAUSES, NO_SIGN, verdict_of
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.result import Result
from cortexzoo.evaluation.results.diagnostics import Check, norms_beyond_ascent
from cortexzoo.evaluation.results.store import Store
from tests.conftest import load_split
from tests.evaluation.evaluations import evaluation_of, memory_source
from tests.evaluation.small_models import TINY, dense, save_classifier

SIGNS = {sign.key: sign for sign in all_signs()}


@pytest.fixture(scope="module")
def training() -> Split:
    """Test images, which are decoded sooner than the training images; the diagnosis sees others."""
    test = load_split("mnist", "test")
    return Split(test.images[-known_answers.TRAINING_IMAGES :], test.labels[-known_answers.TRAINING_IMAGES :], test.ids)


@pytest.fixture(scope="module")
def network(training: Split) -> Network:
    return known_answers.train(training)


@pytest.fixture
def few_images() -> Iterator[None]:
    """A part of the images and pixels: the verdict is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "SAMPLES", 24)
        patch.setattr(single_pixels, "_MOST_PIXELS", 100)
        yield


def evaluation_on(known: KnownAnswer, network: Network, training: Split, digits: Split, folder: Path) -> Evaluation:
    path = known_answers.save(known, network, training.images, folder / "1")
    classifier = Classifier(path, datasets.info("mnist"), digits.images[:16])
    return evaluation_of(Store(":memory:"), classifier, datasets.info("mnist"), digits, name=known.name)


def diagnosed(evaluation: Evaluation) -> diagnosis.Diagnosis:
    diagnosis.diagnose(evaluation)
    found = diagnosis.from_store(evaluation)
    assert found is not None
    return found


# A random model is asked twenty times for each answer.
SLOW = ("random_noise",)


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize(
    "known",
    [
        pytest.param(known, marks=pytest.mark.slow if known.name in SLOW else (), id=known.name)
        for known in KNOWN_ANSWERS
        if not known.against_flips
    ],
)
def test_known_answers(known: KnownAnswer, network: Network, training: Split, digits: Split, tmp_path: Path) -> None:
    found = diagnosed(evaluation_on(known, network, training, digits, tmp_path))
    assert found.causes == ((known.cause,) if known.cause else ())
    assert found.verdict.startswith(NO_SIGN) == (known.cause is None)
    warned = [check.name for check in found.checks if check.warning]
    assert bool(warned) == (known.cause is not None), warned


@pytest.mark.slow
def test_network_trained_against_flips(training: Split, digits: Split, tmp_path: Path) -> None:
    """Nine in ten survive the pixels that the gradient ranks first, and one in ten a search without it."""
    (known,) = [known for known in KNOWN_ANSWERS if known.against_flips]
    evaluation = evaluation_on(known, known_answers.train(training, against_flips=True), training, digits, tmp_path)
    assert diagnosed(evaluation).causes == ("sparse_masking",)
    measured = SIGNS["sparse_search"].measure(Subject(evaluation))
    assert measured["missed"] > 0.75
    assert measured["found"] > 0.75


def test_every_cause_has_a_network() -> None:
    """But for three, which networks of the catalogue have."""
    others = {cause.name for cause in CAUSES} - {known.cause for known in KNOWN_ANSWERS}
    assert others == {"underflow", "unfaithful_gradient", "misleading_loss"}


@pytest.fixture
def linear(tmp_path: Path) -> tuple[Evaluation, np.ndarray]:
    """Two classes whose margin rises by 1 where the first eight pixels rise by 1, and falls with the others."""
    weights = np.repeat([[1.0, -1.0]], 8, axis=0) / 2
    weights = np.concatenate([weights, -weights])
    network = dense((weights, np.zeros(2)))
    images = np.random.default_rng(0).uniform(0.3, 0.7, (30, 4, 4, 1)).astype(np.float32)
    labels = np.argmax(images.reshape(-1, 16) @ weights, axis=1)
    path = save_classifier(tmp_path / "1", network, (4, 4, 1), network.variables)
    classifier = Classifier(path, TINY_TWO, images[:4])
    return evaluation_of(Store(":memory:"), classifier, TINY_TWO, Split(images, labels, np.arange(30))), weights


TINY_TWO = datasets.DatasetInfo("tiny", "tiny", (4, 4, 1), ("a", "b"), 40, thresholds=TINY.thresholds)


def test_margins_and_gradients_in_closed_form(linear: tuple[Evaluation, np.ndarray]) -> None:
    evaluation, weights = linear
    examined = Subject(evaluation)
    images, labels = examined.batch.images, examined.batch.labels
    slopes = (weights[:, 1 - labels] - weights[:, labels]).T
    wanted = np.sum(images.reshape(-1, 16) * slopes, axis=1)
    margins, gradients = examined.margins_and_gradients(images)
    np.testing.assert_allclose(margins, wanted, atol=1e-5)
    np.testing.assert_allclose(examined.margins(images), wanted, atol=1e-5)
    np.testing.assert_allclose(gradients.reshape(-1, 16), slopes, atol=1e-6)
    predicted, measured = finite_differences.derivatives(examined)
    np.testing.assert_allclose(predicted, measured, atol=1e-2)


def test_single_pixels_in_closed_form(linear: tuple[Evaluation, np.ndarray]) -> None:
    """A pixel that goes from x to 1 adds its slope times 1 - x, and the search takes the best one first."""
    evaluation, weights = linear
    examined = Subject(evaluation)
    scan = examined.single_pixels
    labels = scan.batch.labels
    slopes = (weights[:, 1 - labels] - weights[:, labels]).T.reshape(-1, 4, 4)
    before = scan.batch.images[:, scan.rows, scan.columns, 0]
    np.testing.assert_allclose(scan.gains, slopes[:, scan.rows, scan.columns] * (scan.colours[:, 0] - before), atol=1e-5)
    best = scan.gains[0].argmax()
    (changed,) = np.argwhere(scan.search(evaluation.classifier, 0, 1)[..., 0] != scan.batch.images[0, ..., 0])
    assert tuple(changed) == (scan.rows[best], scan.columns[best])


def test_a_sign_is_measured_once_and_read_without_the_model(
    linear: tuple[Evaluation, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation, _ = linear
    assert diagnosis.from_store(evaluation) is None
    first = diagnosed(evaluation)
    monkeypatch.setattr(Subject, "__init__", lambda *_: pytest.fail("measured again"))
    del evaluation.__dict__["classifier"]
    monkeypatch.setattr(Evaluation, "classifier", property(lambda _: pytest.fail("loaded")))
    assert diagnosis.from_store(evaluation) == first
    assert json.loads(json.dumps(first.as_json()))["checks"][0]["name"] == first.checks[0].name


def test_another_threshold_is_another_diagnosis(linear: tuple[Evaluation, np.ndarray]) -> None:
    evaluation, _ = linear
    diagnosis.diagnose(evaluation)
    wider = Evaluation(evaluation.model, evaluation.images, evaluation.store, {**evaluation.thresholds, "linf": (0.1,)})
    assert diagnosis.from_store(wider) is None


def test_without_correct_images_there_is_nothing_to_say(linear: tuple[Evaluation, np.ndarray]) -> None:
    evaluation, _ = linear
    split = evaluation.split
    wrong = evaluation_of(
        Store(":memory:"), evaluation.classifier, TINY_TWO, Split(split.images, 1 - split.labels, split.ids)
    )
    assert diagnosed(wrong).checks == ()


@pytest.mark.parametrize(
    ("logits", "step"),
    [
        (np.round(np.random.default_rng(0).normal(0, 5, (50, 10)), 1), 0.1),
        (np.round(np.random.default_rng(0).normal(0, 5, (50, 10))), 1.0),
        (np.round(np.random.default_rng(0).normal(0, 5, (120, 10)), 3), 0.001),
        (np.random.default_rng(0).normal(0, 5, (50, 10)), 0.0),
        (np.random.default_rng(0).normal(0, 5, (50, 10)).astype(np.float16), 0.0),
        (tf.cast(np.random.default_rng(0).normal(0, 5, (50, 10)), tf.bfloat16).numpy(), 0.0),
        (np.zeros((5, 10)), 0.0),
    ],
)
def test_rounded_logits_are_told_from_short_ones(logits: np.ndarray, step: float) -> None:
    assert lattice(logits.astype(np.float32)) == pytest.approx(step, rel=1e-2)


@pytest.mark.usefixtures("few_images")
def test_page_of_known_answers(
    network: Network, training: Split, digits: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure and a section for each network, and the tables; the text around them stays."""
    chosen = [known for known in KNOWN_ANSWERS if known.name in ("scaled_logits", "batch_statistics")]
    monkeypatch.setattr(masking, "KNOWN_ANSWERS", chosen)
    monkeypatch.setattr(masking, "open_images", lambda _: memory_source(datasets.info("mnist"), digits, training))
    monkeypatch.setattr(known_answers, "train", lambda *_, **__: network)
    names = ["masking", "masking signs", *(f"masking {known.name}" for known in chosen)]
    page = tmp_path / "page.md"
    page.write_text("\n".join(f"before\n<!-- {name}:begin -->\n<!-- {name}:end -->" for name in names) + "\nafter\n")
    written = masking.analyse(100, tmp_path / "figures", str(page))
    assert [path.name for path in written] == ["scaled_logits.png", "batch_statistics.png", "masking.csv"]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "![scaled logits: its logits are multiplied by 1,000](figures/scaled_logits.png)" in text
    assert "saturated loss" in text
    assert all(sign.title in text for sign in SIGNS.values())


def test_unexplained_signs_are_named() -> None:
    found = {"single_step": {"value": 0.5, "samples": 10}}
    checks = {"single_step": SIGNS["single_step"].check(found["single_step"])}
    assert checks["single_step"].warning
    causes, verdict = verdict_of(found, checks)
    assert causes == ("unknown",)
    assert "single step beats iterative" in verdict


def test_verdict_beside_the_results(linear: tuple[Evaluation, np.ndarray]) -> None:
    """In the table, in JSON, and as an attribute of the result; nothing is there without a diagnosis."""
    evaluation, _ = linear
    suite = suites.find("clean")
    suite.run(evaluation)
    result = Result(suite.summarize(evaluation))
    assert result.diagnosis is None
    assert result.as_json()["models"][0]["diagnosis"] is None
    diagnosis.diagnose(evaluation)
    assert result.diagnosis.verdict in str(result).replace("\n", " ").replace("  ", " ")
    assert result.as_json()["models"][0]["diagnosis"]["verdict"] == result.diagnosis.verdict


def test_a_verdict_says_where_a_suite_went_on() -> None:
    checks = [
        Check(f"Other attacks beat APGD ({norm})", "", share, share > 0.05) for norm, share in (("L∞", 0.0), ("L2", 0.3))
    ]
    assert norms_beyond_ascent(checks) == ["L2"]
    causes, verdict = verdict_of({}, {}, norms_beyond_ascent(checks))
    assert causes == ()
    assert verdict.startswith(NO_SIGN)
    assert "In L2 APGD leaves many images" in verdict
    assert "In L∞, L2 and L1 APGD" in verdict_of({}, {}, ["L∞", "L2", "L1"])[1]
    assert verdict_of({}, {})[1] == NO_SIGN
