"""Recordings: the file, its errors, the response predictor, and the way from simulated V1 through a file to a target."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from keras import ops
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr

from cortexzoo.training import targets
from cortexzoo.training.fitting import EpochCheckpoint
from cortexzoo.training.recordings import predictor
from cortexzoo.training.recordings.file import Recordings, load_recordings, save_recordings
from cortexzoo.training.recordings.predictor import (
    FactorizedReadout,
    ResponsePredictor,
    correlations,
    masked_mean_squared_error,
)
from cortexzoo.training.recordings.reliability import reliability, standardized
from cortexzoo.training.recordings.simulation import expected_spikes, simulate_recordings
from cortexzoo.training.targets.base import CosineSimilarity
from cortexzoo.training.targets.recordings import RecordedSimilarity, SingleTrialSimilarity

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.random((6, 4, 4, 1)).astype(np.float32)
RESPONSES = GENERATOR.poisson(3.0, (3, 6, 5)).astype(np.float32)


def blobs(count: int) -> np.ndarray:
    """Smooth 8 x 8 images."""
    generator = np.random.default_rng(1)
    return generator.random((count, 4, 4, 1)).repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)


@pytest.mark.parametrize("name", ["mouse.npz", "mouse"])
def test_recordings_are_read_as_they_were_written(name: str, tmp_path: Path) -> None:
    responses = RESPONSES.copy()
    responses[2, 3] = np.nan
    written = Recordings(IMAGES, responses, np.array([0, 0, 4, 4, 7]))
    save_recordings(written, tmp_path / "new" / name)
    read = load_recordings(tmp_path / "new" / name)
    for field in ("images", "responses", "scans"):
        np.testing.assert_array_equal(getattr(read, field), getattr(written, field))
        assert getattr(read, field).dtype == getattr(written, field).dtype
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def store_dataset(directory: Path, splits: dict[str, list[dict]], **features: tuple) -> Path:
    """Writes a dataset as TFDS documents it for users, and returns the folder of its version."""
    described = {
        name: tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib") for name, (shape, dtype) in features.items()
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mouse",
        version="2.0.0",
        features=tfds.features.FeaturesDict(described),
        split_datasets={name: list(enumerate(examples)) for name, examples in splits.items()},
        data_dir=directory,
        disable_shuffling=True,
    )
    return directory / "mouse" / "2.0.0"


GRAY = {"image": ((4, 4), np.float64), "responses": ((None, 5), np.int64)}


def test_a_dataset_of_several_splits_and_unequal_trials(tmp_path: Path) -> None:
    """The images of all splits; a trial that an image lacks is NaN, and there is one scan unless the dataset says more."""
    examples = [
        {"image": image[..., 0].astype(float), "responses": RESPONSES[: 1 + i % 3, i].astype(int)}
        for i, image in enumerate(IMAGES)
    ]
    path = store_dataset(tmp_path, {"repeated": examples[:2], "once": examples[2:]}, **GRAY)
    read = load_recordings(path)
    np.testing.assert_array_equal(read.images, IMAGES)
    expected = np.where(np.arange(3)[:, None, None] <= np.arange(6)[:, None] % 3, RESPONSES, np.nan)
    np.testing.assert_array_equal(read.responses, expected)
    assert read.scans.tolist() == [0] * 5


@pytest.mark.parametrize(
    ("features", "second", "message"),
    [
        ({"responses": None}, {}, "the features image, responses and optionally scans. Received: 2 examples with image."),
        ({"label": ((), np.int64)}, {"label": 3}, "Received: 2 examples with image, label, responses"),
        ({"image": ((None, 4), np.float64)}, {"image": np.ones((3, 4))}, r"one shape of `image` .*\(3, 4\), \(4, 4\)"),
        ({}, {"image": np.full((4, 4), 255.0)}, "Divide bytes by 255"),
        (
            {"responses": ((5,), np.int64)},
            {"responses": np.ones(5, int)},
            r"shape \(trials, units\) in every",
        ),
        ({"responses": ((None, None), np.int64)}, {"responses": np.ones((3, 4), int)}, r"int64 of shape \(3, 4\)"),
        ({"responses": ((None, 5), np.float32)}, {"responses": np.full((3, 5), np.inf, np.float32)}, "Received: infinite"),
        ({"scans": ((5,), np.int64)}, {"scans": np.arange(5)}, "the same `scans` in all examples"),
        (
            {"scans": ((4,), np.int64)},
            {"scans": np.zeros(4, int)},
            r"scan for each of the 5 units. Received: int64 of shape \(4,\)",
        ),
    ],
)
def test_malformed_datasets(features: dict, second: dict, message: str, tmp_path: Path) -> None:
    described = {name: feature for name, feature in {**GRAY, **features}.items() if feature is not None}
    shape, dtype = described.get("responses", GRAY["responses"])
    first = {name: np.zeros([size or 4 for size in feature[0]], feature[1]) for name, feature in described.items()}
    if "responses" in first:
        first["responses"] = np.ones((3, 5) if len(shape) == 2 else 5, dtype)
    path = store_dataset(tmp_path, {"train": [first, {**first, **second}]}, **described)
    with pytest.raises(ValueError, match=message) as caught:
        load_recordings(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json", "recordings-train.tfrecord-00000-of-00001"])
@pytest.mark.parametrize("lost", [10, None])
def test_broken_datasets(file: str, lost: int | None, tmp_path: Path) -> None:
    """A file that is cut, or that is not there."""
    save_recordings(Recordings(IMAGES, RESPONSES, np.zeros(5, int)), tmp_path / "mouse")
    path = next((tmp_path / "mouse").glob(file.replace("00000-of-00001", "*")))
    if lost:
        path.write_bytes(path.read_bytes()[:-lost])
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"mouse: Expected the folder of a prepared TFDS dataset, such as NAME/1.0.0"):
        load_recordings(tmp_path / "mouse")


def test_a_dataset_is_not_overwritten(tmp_path: Path) -> None:
    recordings = Recordings(IMAGES, RESPONSES, np.zeros(5, int))
    save_recordings(recordings, tmp_path / "mouse")
    with pytest.raises(ValueError, match=r"a new folder for the dataset. Received: .*mouse, which exists already"):
        save_recordings(recordings, tmp_path / "mouse")


def test_gray_images_integers_and_one_scan(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES[..., 0].astype(float), responses=RESPONSES.astype(int))
    read = load_recordings(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.images, IMAGES)
    np.testing.assert_array_equal(read.responses, RESPONSES)
    assert read.scans.tolist() == [0] * 5


def changed(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    arrays = {"images": IMAGES, "responses": RESPONSES, **changes}
    return {name: array for name, array in arrays.items() if array is not None}


WITH_INFINITY = np.where(np.arange(5) == 2, np.inf, RESPONSES)
WITH_A_SILENT_UNIT = np.where(np.arange(5) == 2, np.nan, RESPONSES)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(images=None), r"Expected the arrays images, responses and optionally scans. Received: responses"),
        (changed(scan=np.zeros(5, int)), "Received: images, responses, scan"),
        (changed(images=255 * IMAGES), "Divide bytes by 255"),
        (changed(images=IMAGES[0]), "shape"),
        (changed(responses=RESPONSES[0]), r"shape \(trials, 6, units\), .*Received: float32 of shape \(6, 5\)"),
        (changed(responses=RESPONSES.transpose(1, 0, 2)), r"Received: float32 of shape \(6, 3, 5\)"),
        (changed(responses=RESPONSES[:, :, :0]), r"shape \(3, 6, 0\)"),
        (changed(responses=RESPONSES.astype(complex)), "Received: complex128"),
        (changed(responses=WITH_INFINITY), "NaN where a trial is missing. Received: infinite"),
        (changed(responses=WITH_A_SILENT_UNIT), "only NaN for 1 units, such as unit 2"),
        (changed(scans=np.zeros(4, int)), r"scan for each of the 5 units. Received: int64 of shape \(4,\)"),
        (changed(scans=np.zeros(5)), "Received: float64"),
        (changed(images=np.array([None])), "plain arrays"),
    ],
)
def test_malformed_files(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_recordings(tmp_path / "a.npz")
    assert "a.npz" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", pickle.dumps([1, 2]), b"PK\x03\x04 broken"])
def test_files_of_another_kind(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.npz: Expected an .npz file of plain arrays. Received"):
        load_recordings(tmp_path / "a.npz")


def test_a_single_array_is_no_recording(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    with pytest.raises(ValueError, match=r"Expected an .npz file"):
        load_recordings(tmp_path / "a.npy")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        targets.build("recordings", IMAGES, seed=0, path=tmp_path / "none.npz")


def test_readout_is_a_mask_times_a_mixture() -> None:
    readout = FactorizedReadout(3, seed=1)
    features = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    found = ops.convert_to_numpy(readout(features))
    mask, mixture = (ops.convert_to_numpy(weight) for weight in (readout.mask, readout.mixture))
    expected = np.einsum("bpf,pu,fu->bu", features.reshape(2, 20, 6), mask, mixture)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_missing_responses_are_no_error() -> None:
    responses = np.array([[1.0, np.nan], [3.0, 5.0]], np.float32)
    predictions = np.array([[0.0, 100.0], [3.0, 3.0]], np.float32)
    assert float(masked_mean_squared_error(responses, predictions)) == pytest.approx((1 + 0 + 4) / 3)
    assert float(masked_mean_squared_error(np.full((2, 2), np.nan, np.float32), predictions)) == 0.0


def test_weights_of_the_predictor_follow_the_seed() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        model = ResponsePredictor(3, (8, 8, 1), maps=(2, 3), seed=seed)
        model.build()
        return model.get_weights()

    for first, again in zip(weights(0), weights(0), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(weights(0)[0], weights(1)[0])


def test_correlations_skip_gaps() -> None:
    generator = np.random.default_rng(0)
    predicted, recorded = generator.normal(size=(2, 30, 3))
    recorded[:10, 1] = np.nan
    recorded[:, 2] = 1.0
    found = correlations(predicted, recorded)
    assert found[0] == pytest.approx(pearsonr(predicted[:, 0], recorded[:, 0]).statistic)
    assert found[1] == pytest.approx(pearsonr(predicted[10:, 1], recorded[10:, 1]).statistic)
    assert np.isnan(found[2])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, targets.SimilarityTarget]:
    """Simulated V1 written to a file, a tenth of its trials lost, and the target made of it."""
    path = tmp_path_factory.mktemp("recordings") / "v1.npz"
    made = simulate_recordings(blobs(600), units=30, trials=4, complex_share=0.0, scans=2, seed=0)
    lost = np.random.default_rng(0).random(made.responses.shape) < 0.1
    save_recordings(Recordings(made.images, np.where(lost, np.nan, made.responses), made.scans), path)
    return path, targets.build("recordings", np.zeros((2, 8, 8, 1)), seed=0, path=path, epochs=12)


def test_prediction_removes_the_noise(recorded: tuple[Path, targets.SimilarityTarget]) -> None:
    """The predicted similarities are nearer to those of the noiseless rates than single trials are."""
    _, target = recorded
    images = blobs(600)
    np.testing.assert_array_equal(target.images, images)
    rates = standardized(expected_spikes(images, units=30, complex_share=0.0, seed=0))
    trial = simulate_recordings(images, units=30, trials=4, complex_share=0.0, seed=0).responses[0]
    exact, raw = (
        CosineSimilarity(images, [values[:, ::2], values[:, 1::2]]) for values in (rates * target.reliability, trial)
    )
    pairs = target.pairs(2000, np.random.default_rng(0))
    wanted = exact.similarity(*pairs)
    found, single = (pearsonr(wanted, other.similarity(*pairs)).statistic for other in (target, raw))
    assert np.nanmedian(target.correlation) > 0.5
    assert found > single + 0.1
    assert found > 0.7


def test_the_same_file_and_seed_give_the_same_target(
    recorded: tuple[Path, targets.SimilarityTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit that is broken off after some epochs and resumes is the unbroken one."""
    path, target = recorded
    pairs = target.pairs(200, np.random.default_rng(0))
    options = {"seed": 0, "path": path, "epochs": 12, "directory": tmp_path / "fit"}

    class Broken(EpochCheckpoint):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            super().on_epoch_end(epoch, logs)
            self.model.stop_training = epoch == 4

    with monkeypatch.context() as patch:
        patch.setattr("cortexzoo.training.fitting.EpochCheckpoint", Broken)
        with pytest.raises(FloatingPointError, match="in 12 epochs"):
            targets.build("recordings", target.images, **options)
    history = tmp_path / f"fit-{target.digest[:10]}" / "history.csv"
    assert history.read_text(encoding="utf-8").count("\n") == 6
    resumed = targets.build("recordings", target.images, **options)
    np.testing.assert_array_equal(resumed.similarity(*pairs), target.similarity(*pairs))
    assert history.read_text(encoding="utf-8").count("\n") == 13
    # What is finished is read, not fitted.
    again = targets.build("recordings", target.images, **options)
    np.testing.assert_array_equal(again.similarity(*pairs), target.similarity(*pairs))
    # Other recordings under the same path are fitted anew.
    loaded = load_recordings(path)
    other = dataclasses.replace(loaded, responses=loaded.responses[:, ::-1])
    assert other.digest != loaded.digest == load_recordings(path).digest
    facts = target.facts()
    assert facts["recordings_sha256"] == loaded.digest
    assert facts["units"] == 30
    assert facts["median_reliability"] == np.median(target.reliability)
    assert facts["median_correlation"] == np.nanmedian(target.correlation)


def test_units_count_by_reliability_and_by_how_well_they_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = np.random.default_rng(3).standard_normal((6, 5)).astype(np.float32)
    correlation = np.array([0.9, 0.5, -0.3, np.nan, 0.2])
    monkeypatch.setattr(predictor, "fit_predictor", lambda *_, **options: (None, correlation))
    monkeypatch.setattr(predictor, "predict", lambda *_: predictions)
    target = RecordedSimilarity(Recordings(IMAGES, RESPONSES, np.array([0, 0, 0, 1, 1])), epochs=1, seed=0)
    # What is predicted no better than by chance is not heard.
    weighted = predictions * reliability(RESPONSES) * [0.9, 0.5, 0.0, 0.0, 0.2]
    pairs = target.pairs(50, np.random.default_rng(0))
    expected = CosineSimilarity(IMAGES, [weighted[:, :3], weighted[:, 3:]]).similarity(*pairs)
    np.testing.assert_allclose(target.similarity(*pairs), expected, atol=1e-6)


def test_recorded_images_must_fit_the_task(recorded: tuple[Path, targets.SimilarityTarget]) -> None:
    with pytest.raises(ValueError, match=r"the task's shape \(28, 28, 1\) in .*Received: \(8, 8, 1\)"):
        targets.build("recordings", np.zeros((2, 28, 28, 1)), seed=0, path=recorded[0])


def test_raw_responses_are_those_of_the_first_trial_that_was_recorded() -> None:
    responses = RESPONSES.copy()
    responses[0, 1], responses[:, 4, 2:] = np.nan, np.nan
    target = SingleTrialSimilarity(Recordings(IMAGES, responses, np.array([0, 0, 1, 1, 1])))
    trial = responses[0].astype(float)
    trial[1] = responses[1, 1]
    rows = (trial - np.nanmean(trial, axis=0)) / np.nanstd(trial, axis=0)
    # Of image 4 nothing was recorded in the second scan: that is the mean there, and similar to none.
    rows[4, 2:] = 0.0
    expected = np.mean([1.0 - cdist(rows[:, part], rows[:, part], "cosine") for part in (slice(2), slice(2, 5))], axis=0)
    expected[4] = expected[:, 4] = (1.0 - cdist(rows[[4], :2], rows[:, :2], "cosine")[0]) / 2
    first, second = np.divmod(np.arange(36), 6)
    np.testing.assert_allclose(target.similarity(first, second), expected.ravel(), atol=1e-5)


def test_raw_responses_need_no_second_trial(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, responses=RESPONSES[:1])
    target = targets.build("recordings", IMAGES, seed=0, path=tmp_path / "a.npz", responses="single_trial")
    assert isinstance(target, SingleTrialSimilarity)
    with pytest.raises(ValueError, match=r"`responses` must be one of predicted, single_trial. Received: responses='raw'"):
        targets.build("recordings", IMAGES, seed=0, path=tmp_path / "a.npz", responses="raw")


def test_single_trials_have_no_reliability(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, responses=RESPONSES[:1])
    with pytest.raises(ValueError, match="two trials of at least one, for every unit"):
        targets.build("recordings", IMAGES, seed=0, path=tmp_path / "a.npz")
