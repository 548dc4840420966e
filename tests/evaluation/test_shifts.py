"""Shifts: what they do has a closed form, their results are kept by level, and a broken run goes on where it was."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cortexzoo import datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation import suites
from cortexzoo.evaluation.attacks import Batch, ProjectedGradientDescent
from cortexzoo.evaluation.classifier import Classifier, saved_model_digest
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.keys import shift_key
from cortexzoo.evaluation.results.shifts import Curve, summarize_shifts
from cortexzoo.evaluation.results.store import OTHER_LABEL, RunKey, Store
from cortexzoo.evaluation.running.shifts import run_shifts
from cortexzoo.evaluation.shifts import (
    FastGradientTransfer,
    GaussianNoise,
    ProjectedGradient,
    SaltAndPepperNoise,
    Shift,
    UniformNoise,
)
from cortexzoo.evaluation.shifts.base import SampleGenerators
from cortexzoo.evaluation.shifts.member import ShiftMember
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.noise import NOISE
from cortexzoo.evaluation.suites.shift_suite import ShiftSuite
from cortexzoo.evaluation.suites.transfer import TRANSFER
from cortexzoo.evaluation.suites.white_box import WHITE_BOX
from tests.evaluation import fake_results
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, dense, save_classifier

GRAY = Batch(np.full((200, 28, 28, 1), 0.5, np.float32), np.zeros(200, np.int64), np.arange(200), 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Darken(Shift):
    """Takes the level off; records on which samples, and breaks off when told to."""

    name: ClassVar[str] = "tests/darken"
    chunk_size: ClassVar[int] = 8
    calls: ClassVar[list[tuple[float, list[int]]]] = []
    most: ClassVar[int] = 10**6

    levels: tuple[float, ...] = (0.1, 0.3)

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        if len(self.calls) == self.most:
            raise KeyboardInterrupt
        self.calls.append((level, batch.ids.tolist()))
        return np.clip(batch.images - np.float32(level), 0.0, 1.0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, list[int]]]:
    """The levels and ids that `Darken` got during this test."""
    monkeypatch.setattr(Darken, "calls", [])
    return Darken.calls


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A linear classifier of tiny images, and its weights, (16, 3)."""
    weights = np.random.default_rng(5).standard_normal((16, 3))
    network = dense((weights, -0.5 * weights.sum(axis=0)))
    return save_classifier(tmp_path_factory.mktemp("linear") / "1", network, TINY.image_shape, network.variables), weights


@pytest.fixture(scope="module")
def linear_classifier(linear: tuple[Path, np.ndarray]) -> Classifier:
    return Classifier(linear[0], TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


def linear_batch(weights: np.ndarray, count: int = 40) -> Batch:
    images = np.random.default_rng(0).uniform(0.4, 0.6, (count, *TINY.image_shape)).astype(np.float32)
    labels = np.argmax((images.reshape(count, -1) - 0.5) @ weights, axis=1)
    return Batch(images, labels, np.arange(count), 0)


def members_of(*shifts: Shift) -> tuple[ShiftMember, ...]:
    return tuple(ShiftMember(shift, shift.name, "level") for shift in shifts)


def run(store: Store, classifier: Classifier, split: Split, samples: int, *shifts: Shift) -> None:
    run_shifts(evaluation_of(store, classifier, TINY, split, name="tiny/one"), members_of(*shifts), samples)


def key_of(shift: Shift, level: float, endpoints: tuple[str, ...] = ("logits",)) -> RunKey:
    """The key of a model with these endpoints, of which there are results alone."""
    with Store(":memory:") as store:
        fake_results.add_clean(store, "tiny/net", endpoints)
        model = fake_results.model_of("tiny/net")
        return shift_key(evaluation_of(store, model, fake_results.INFO, fake_results.SPLIT), shift, level)


def stored(store: Store, classifier: Classifier, shift: Shift) -> list[dict[int, int]]:
    keys = [RunKey(classifier.digest, TINY.name, "logits", 0, shift.settings(level)) for level in shift.levels]
    return [store.predictions(store.find_run(key)) for key in keys]


def test_gaussian_noise_has_its_deviation() -> None:
    found = GaussianNoise(levels=(0.1,)).apply(None, GRAY, 0.1) - 0.5
    assert found.std() == pytest.approx(0.1, rel=0.01)
    assert abs(found.mean()) < 1e-3


def test_uniform_noise_fills_its_interval() -> None:
    found = UniformNoise(levels=(0.2,)).apply(None, GRAY, 0.2) - 0.5
    assert np.abs(found).max() <= 0.2 + 1e-6
    assert found.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.01)


def test_salt_and_pepper_noise_hits_its_share() -> None:
    found = SaltAndPepperNoise(levels=(0.3,)).apply(None, GRAY, 0.3)
    assert np.mean(found != 0.5) == pytest.approx(0.3, abs=0.01)
    assert np.mean(found == 1.0) == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("shift", [m.shift for m in NOISE.build(datasets.info("mnist"), ())], ids=lambda shift: shift.name)
def test_noise_belongs_to_seed_level_and_sample(shift: Shift) -> None:
    part = GRAY.take(np.arange(4))
    found = shift.apply(None, part, shift.levels[3])
    np.testing.assert_array_equal(found[2:], shift.apply(None, part.take(np.array([2, 3])), shift.levels[3]))
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found, shift.apply(None, dataclasses.replace(part, seed=1), shift.levels[3]))


def test_a_level_of_numpy_is_the_same_level() -> None:
    ours, theirs = (SampleGenerators(GRAY, "a", level).normal((3,)) for level in (0.1, np.float64(0.1)))
    np.testing.assert_array_equal(ours, theirs)


def test_random_numbers_belong_to_shift_and_level() -> None:
    part = GRAY.take(np.arange(2))
    draws = [SampleGenerators(part, *key).normal((3,)) for key in (("a", 0.1), ("a", 0.2), ("b", 0.1))]
    for i, found in enumerate(draws):
        np.testing.assert_array_equal(found, SampleGenerators(part, *(("a", 0.1), ("a", 0.2), ("b", 0.1))[i]).normal((3,)))
    assert len({found.tobytes() for found in draws}) == 3


@pytest.mark.parametrize(
    ("dataset", "noise", "transfer", "linf"),
    [
        ("mnist", (0.5, 0.5, 0.3), 0.5, 0.3),
        ("fashion_mnist", (0.5, 0.5, 0.3), 0.5, 0.3),
        ("cifar10", (0.1, 0.1, 0.1), 0.02, 8 / 255),
        ("cifar10_gray", (0.1, 0.1, 0.1), 0.02, 8 / 255),
    ],
)
def test_levels_are_those_of_the_data_set(dataset: str, noise: tuple, transfer: float, linf: float) -> None:
    info = datasets.info(dataset)
    levels = [member.shift.levels for member in NOISE.build(info, ())]
    assert [values[-1] for values in levels] == pytest.approx(noise)
    (member,) = TRANSFER.build(info, (Model("other", Path("nowhere"), kept_digest="0" * 64),))
    assert member.shift.levels[-1] == pytest.approx(transfer)
    for values in (*levels, member.shift.levels):
        assert len(values) == 10
        np.testing.assert_allclose(np.diff(values), values[0])
    assert WHITE_BOX.build(info, ())[0].shift.levels[-1] == pytest.approx(linf)


def test_suites_are_found_beside_those_of_attacks() -> None:
    assert all(suites.find(name) is suite for name, suite in suites.suites().items())
    kinds = {name: type(suite) for name, suite in suites.suites().items()}
    shifts = {"noise", "transfer", "corruptions", "white_box"}
    assert kinds == {name: ShiftSuite if name in shifts else AttackSuite for name in kinds}
    assert set(kinds) >= shifts | {"clean", "quick", "cleverhans", "boundary", "paper42", "brendel_bethge_comment"}
    with pytest.raises(ValueError, match=r"Did you mean: corruptions"):
        suites.find("corruption")


def test_transfer_without_a_source_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match=r"Expected --source=ID for the suite transfer.*Received: none"):
        TRANSFER.members(evaluation_of(store, fake_results.model_of("tiny/net"), fake_results.INFO, fake_results.SPLIT))


@pytest.mark.parametrize("levels", [(), (0.2, 0.1), (0.0, 0.1), (0.1, 0.1)])
def test_levels_ascend_from_above_0(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"`levels` must be positive and ascending. Received: "):
        GaussianNoise(levels=levels)


def test_transfer_is_a_signed_step_on_the_source(linear: tuple[Path, np.ndarray], tiny_classifier: Classifier) -> None:
    path, weights = linear
    batch = linear_batch(weights)
    shift = FastGradientTransfer(source=path, digest=saved_model_digest(path), dataset=TINY, levels=(0.1,))
    logits = (batch.images.reshape(len(batch), -1) - 0.5) @ weights
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gradient = (softmax - np.eye(3)[batch.labels]) @ weights.T
    expected = np.clip(batch.images + 0.1 * np.sign(gradient).reshape(batch.images.shape), 0, 1)
    # The model under evaluation plays no part.
    np.testing.assert_allclose(shift.apply(tiny_classifier, batch, 0.1), expected, atol=1e-6)
    assert shift.settings(0.1)["source"] == saved_model_digest(path)
    # The next batch and the next source have gradients of their own.
    other = dataclasses.replace(batch, labels=(batch.labels + 1) % 3)
    assert not np.allclose(shift.apply(tiny_classifier, other, 0.1), expected)
    np.testing.assert_allclose(shift.apply(tiny_classifier, batch, 0.1), expected, atol=1e-6)


def test_white_box_breaks_what_a_linear_classifier_loses(
    linear: tuple[Path, np.ndarray], linear_classifier: Classifier
) -> None:
    """Within an L-infinity ball the margin of class a over b falls by eps ||w_a - w_b||_1, and in L2 by the L2 norm."""
    weights, batch = linear[1], linear_batch(linear[1])
    logits = (batch.images.reshape(len(batch), -1) - 0.5) @ weights
    for norm, order, levels in (("linf", 1, (0.005, 0.01)), ("l2", 2, (0.02, 0.04))):
        shift = ProjectedGradient(norm=norm, levels=levels)
        for level in levels:
            left = np.full(len(batch), np.inf)
            for other in range(3):
                fall = np.linalg.norm(weights[:, batch.labels] - weights[:, [other]], order, axis=0)
                margin = logits[np.arange(len(batch)), batch.labels] - logits[:, other] - level * fall
                left = np.where(batch.labels == other, left, np.minimum(left, margin))
            images = shift.apply(linear_classifier, batch, level)
            right = linear_classifier.predict(images) == batch.labels
            decided = np.abs(left) > 0.01
            assert 0 < np.sum(left < 0) < len(batch)
            np.testing.assert_array_equal(right[decided], (left > 0)[decided])
            size = np.linalg.norm((images - batch.images).reshape(len(batch), -1), np.inf if norm == "linf" else 2, axis=1)
            assert size.max() <= level * (1 + 1e-4)


def test_white_box_leaves_misclassified_images_alone(
    linear: tuple[Path, np.ndarray], linear_classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = linear_batch(linear[1])
    wrong = dataclasses.replace(batch, labels=(batch.labels + 1) % 3)
    monkeypatch.setattr(ProjectedGradientDescent, "perturb", None)
    shift = ProjectedGradient(norm="linf", levels=(0.1,))
    np.testing.assert_array_equal(shift.apply(linear_classifier, wrong, 0.1), batch.images)


def test_results_are_the_predictions_on_the_changed_images(tiny_classifier: Classifier, tiny: Split, calls: list) -> None:
    with Store(":memory:") as store:
        run(store, tiny_classifier, tiny, 20, Darken())
        for level, found in zip(Darken().levels, stored(store, tiny_classifier, Darken()), strict=True):
            expected = tiny_classifier.predict(np.clip(tiny.images[:20] - np.float32(level), 0, 1))
            assert found == dict(enumerate(expected.tolist()))
    assert [(level, len(ids)) for level, ids in calls] == [(0.1, 8), (0.3, 8), (0.1, 8), (0.3, 8), (0.1, 4), (0.3, 4)]


def test_a_broken_run_goes_on_and_more_samples_are_added(
    tiny_classifier: Classifier, tiny: Split, calls: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "results.sqlite"
    monkeypatch.setattr(Darken, "most", 4)
    with Store(path) as store, pytest.raises(KeyboardInterrupt):
        run(store, tiny_classifier, tiny, 20, Darken())
    monkeypatch.setattr(Darken, "most", 10**6)
    with Store(path) as store:
        run(store, tiny_classifier, tiny, 20, Darken())
        run(store, tiny_classifier, tiny, 30, Darken())
        # Other levels take over those that are there.
        run(store, tiny_classifier, tiny, 30, Darken(levels=(0.1, 0.2)))
        resumed = stored(store, tiny_classifier, Darken())
    seen = [(level, sample) for level, ids in calls for sample in ids]
    assert len(seen) == len(set(seen)) == 3 * 30
    with Store(":memory:") as store:
        run(store, tiny_classifier, tiny, 30, Darken())
        assert stored(store, tiny_classifier, Darken()) == resumed


def test_store_from_before_there_were_shifts_is_read_and_grows(tmp_path: Path) -> None:
    key = key_of(Darken(), 0.1)
    with Store(tmp_path / "old.sqlite") as store:
        store._connection.execute("DROP TABLE predictions")
    before = (tmp_path / "old.sqlite").read_bytes()
    with Store(tmp_path / "old.sqlite") as store:
        assert store.predictions(1) == {}
    assert (tmp_path / "old.sqlite").read_bytes() == before
    with Store(tmp_path / "old.sqlite") as store:
        number = store.run_id(key, {})
        store.add_predictions(number, np.array([3, 4, 9]), np.array([7, 0, 300]), 1.5)
        store.add_predictions(number, np.array([5]), np.array([2]), 0.5)
        assert store.predictions(number) == {3: 7, 4: 0, 9: OTHER_LABEL, 5: 2}
        # What another process has added meanwhile stays, and the rest is not lost.
        store.add_predictions(number, np.arange(3, 8), np.full(5, 1), 1.0)
        assert store.predictions(number) == {3: 7, 4: 0, 5: 2, 6: 1, 7: 1, 9: OTHER_LABEL}
        store.add_predictions(number, np.arange(3, 8), np.full(5, 2), 1.0)
        assert store.predictions(number)[7] == 1
        assert store.seconds(number) == 4.0


def test_levels_and_endpoints_are_part_of_the_key() -> None:
    noise, attack = GaussianNoise(levels=(0.1, 0.2)), ProjectedGradient(norm="l2", levels=(0.5,))
    both = ("logits", "attack_logits")
    keys = {
        key_of(*parts).as_json()
        for parts in (
            (noise, 0.1, both),
            (noise, 0.2, both),
            (attack, 0.5, both),
            (attack, 0.5, ("logits",)),
            (dataclasses.replace(attack, losses=("margin",)), 0.5, both),
        )
    }
    assert len(keys) == 5
    # Noise does not look at endpoints, nor at which other levels there are.
    one = key_of(GaussianNoise(levels=(0.1,)), 0.1)
    assert one.as_json() in keys
    assert one.norm == ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brighten(Darken):
    """Leaves [0, 1]."""

    name: ClassVar[str] = "tests/brighten"

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        return batch.images + 1.0


def test_what_is_no_image_is_not_stored(tiny_classifier: Classifier, tiny: Split) -> None:
    part = GRAY.take(np.arange(2))
    for wrong in (part.images + 1.0, part.images[:1], part.images * np.nan):
        with pytest.raises(ValueError, match="Expected broken to give images of shape"):
            part.check(wrong, "broken")
    with Store(":memory:") as store:
        with pytest.raises(ValueError, match="Expected tests/brighten to give images of shape"):
            run(store, tiny_classifier, tiny, 8, Brighten())
        assert stored(store, tiny_classifier, Brighten()) == [{}, {}]


def curve(correct: list[list[bool]], clean: list[bool], ordinal: bool = False) -> Curve:
    levels = np.arange(1, len(correct) + 1) / 10
    return Curve("x", "unit", ordinal, levels, np.arange(len(clean)), np.array(clean), np.array(correct), 1.0, {})


def test_area_is_that_of_the_trapezoids() -> None:
    found = curve([[True, True], [True, False], [False, False]], [True, True])
    # 1, 1, 1/2, 0 at levels 0, 1, 2, 3 tenths.
    assert found.area == pytest.approx((1 + 0.75 + 0.25) / 3)
    assert found.area_interval == metrics.wilson_interval(2 * found.area, 2)
    assert curve([[True] * 4] * 3, [True] * 4).area == 1.0
    assert curve([[True, True], [True, False]], [False, True], ordinal=True).area == 0.75


def test_nested_levels_never_recover(tiny_classifier: Classifier, tiny: Split, calls: list[tuple[float, list[int]]]) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Erratic(Darken):
        name: ClassVar[str] = "tests/erratic"
        nested: ClassVar[bool] = True

    plain, nested = Darken(levels=(0.2, 0.4, 0.6, 0.8)), Erratic(levels=(0.2, 0.4, 0.6, 0.8))
    labels = tiny.labels.copy()
    # Wrong when unchanged: broken at every level, whatever a level makes of it.
    labels[:9] = (labels[:9] + 1) % 3
    tiny = dataclasses.replace(tiny, labels=labels)
    with Store(":memory:") as store:
        run(store, tiny_classifier, tiny, 40, plain, nested)
        evaluation = evaluation_of(store, tiny_classifier, TINY, tiny, name="tiny/one")
        summary = summarize_shifts(evaluation, "test", members_of(plain, nested), 40)
    raw, never = summary.curves
    sought = [[i for called, ids in calls[20:] if called == level for i in ids] for level in nested.levels]
    held = np.logical_and.accumulate(raw.correct, axis=0)
    assert sought == [list(range(40)), *(np.flatnonzero(row).tolist() for row in held[:-1])]
    assert not raw.clean[:9].any()
    assert raw.correct[:, :9].any()
    np.testing.assert_array_equal(never.correct, np.logical_and.accumulate(np.vstack([raw.clean, raw.correct]), axis=0)[1:])
    assert not np.array_equal(never.correct[:, 9:], raw.correct[:, 9:])
    assert summary.name == "tiny/one"
    assert raw.samples == 40
    assert summary.curve("no such") is None


def test_t_interval_is_students() -> None:
    # Two values: half width 12.706 times half their distance.
    low, high = metrics.t_interval([0.4, 0.6])
    assert (low, high) == pytest.approx((0.5 - 12.7062 * 0.1, 0.5 + 12.7062 * 0.1), abs=1e-4)
    with pytest.raises(ValueError, match="Received: 1"):
        metrics.t_interval([0.5])
