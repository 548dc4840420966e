"""Simulated V1: cells tuned as they say, spikes as noisy as they say, reliability as it is estimated from halves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexzoo import datasets
from cortexzoo.training import targets
from cortexzoo.training.recordings.gabor import GaborCells, sample_cells
from cortexzoo.training.recordings.reliability import mean_over_trials, reliability, standardized
from cortexzoo.training.recordings.simulation import expected_spikes, simulate_recordings

PPD = 16.0
IMAGES = np.random.default_rng(0).random((40, 12, 12, 1), np.float32)


def cell(orientation: float = 0.0, frequency: float = 2.0, complex_cell: bool = False) -> GaborCells:
    """One cell in the middle of the image."""
    values = {"x": 0.0, "y": 0.0, "orientation": orientation, "frequency": frequency, "phase": 0.0}
    values |= {"across": 0.4, "along": 0.4}
    return GaborCells(**{name: np.array([value]) for name, value in values.items()}, complex=np.array([complex_cell]))


def gratings(orientation: np.ndarray, frequency: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Sinusoidal gratings of 32 x 32 pixels; the wave vector points right at 0 and up at 90 degrees."""
    rows, columns = np.mgrid[:32, :32]
    x, y = (columns - 15.5) / PPD, (15.5 - rows) / PPD
    orientation, frequency, phase = (np.asarray(values, float)[:, None, None] for values in (orientation, frequency, phase))
    wave = np.cos(2 * np.pi * frequency * (x * np.cos(orientation) + y * np.sin(orientation)) + phase)
    return (0.5 + 0.5 * wave)[..., None]


@pytest.mark.parametrize("complex_cell", [False, True])
@pytest.mark.parametrize("orientation", [0.0, 0.6, np.pi / 2, 2.5])
def test_cells_prefer_their_own_orientation_and_frequency(orientation: float, complex_cell: bool) -> None:
    angles = np.append(np.linspace(0, np.pi, 36, endpoint=False), orientation)
    tuned = cell(orientation, complex_cell=complex_cell)
    responses = tuned.responses(gratings(angles, np.full(37, 2.0), np.zeros(37)), PPD)[:, 0]
    assert responses[-1] >= 0.999 * responses.max()
    assert responses[np.argmin(np.abs(np.cos(angles - orientation)))] < 0.05 * responses[-1]
    frequencies = np.geomspace(0.5, 8.0, 41)
    responses = tuned.responses(gratings(np.full(41, orientation), frequencies, np.zeros(41)), PPD)[:, 0]
    assert frequencies[responses.argmax()] == pytest.approx(2.0, rel=0.1)


def test_simple_cells_see_the_phase_and_complex_cells_do_not() -> None:
    phases = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    images = gratings(np.zeros(24), np.full(24, 2.0), phases)
    simple, invariant = (cell(complex_cell=kind).responses(images, PPD)[:, 0] for kind in (False, True))
    assert simple.argmax() == 0
    assert (simple[7:18] == 0).all(), "rectified in the opposite phase"
    assert np.ptp(invariant) < 0.05 * invariant.mean()
    np.testing.assert_allclose(invariant.mean(), simple.max() / np.sqrt(2), rtol=0.02)


def test_response_is_the_product_with_a_gabor() -> None:
    """Written out for one pixel at a time."""
    cells = sample_cells(6, (0.75, 0.75), 0.0, np.random.default_rng(1))
    contrast = IMAGES[..., 0] - IMAGES.mean()
    expected = np.zeros((40, 6))
    for row in range(12):
        for column in range(12):
            x, y = (column - 5.5) / PPD - cells.x, (5.5 - row) / PPD - cells.y
            u, v = (x + 1j * y) * np.exp(-1j * cells.orientation), None
            u, v = u.real, u.imag
            gabor = np.exp(-(u**2) / (2 * cells.across**2) - v**2 / (2 * cells.along**2))
            expected += contrast[:, row, column, None] * gabor * np.cos(2 * np.pi * cells.frequency * u + cells.phase)
    np.testing.assert_allclose(cells.responses(IMAGES, PPD), np.maximum(expected, 0), atol=1e-5)


def test_population_has_the_published_tuning() -> None:
    cells = sample_cells(20_000, (2.0, 1.0), 0.25, np.random.default_rng(0))
    orientations = np.histogram(np.rad2deg(cells.orientation), [-22.5, 22.5, 67.5, 112.5, 157.5])[0] / 20_000
    np.testing.assert_allclose(orientations, np.array([66, 49, 77, 54]) / 246, atol=0.015)
    frequencies = np.histogram(cells.frequency, [0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8])[0] / 20_000
    np.testing.assert_allclose(frequencies, np.array([4, 4, 8, 25, 32, 26, 28, 12]) / 139, atol=0.015)
    cycles = cells.across * cells.frequency
    assert (cycles.min() >= 0.1 - 1e-9, cycles.max() <= 10**0.2) == (True, True)
    assert cells.complex.mean() == 0.25
    assert (np.abs(cells.x).max() <= 0.5, np.abs(cells.y).max() <= 1.0) == (True, True)
    assert np.abs(cells.y).max() > 0.95


def test_colour_is_seen_as_luminance() -> None:
    colour = np.random.default_rng(2).random((10, 8, 8, 3), np.float32)
    cells = sample_cells(5, (0.5, 0.5), 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(cells.responses(colour, PPD), cells.responses(datasets.luma(colour), PPD), rtol=1e-5)


def test_spikes_vary_as_their_mean() -> None:
    recordings = simulate_recordings(IMAGES, units=20, trials=400, seed=4)
    expected = expected_spikes(IMAGES, units=20, complex_share=0.5, seed=4)
    assert recordings.responses.shape == (400, 40, 20)
    # 400 trials: the standard errors of mean and variance are about 5 % and 7 % of the mean at one spike.
    seen = expected > 1
    np.testing.assert_allclose(recordings.responses.mean(axis=0)[seen] / expected[seen], 1.0, atol=0.25)
    np.testing.assert_allclose(recordings.responses.var(axis=0)[seen] / expected[seen], 1.0, atol=0.45)
    assert recordings.responses.var(axis=0)[seen].sum() / expected[seen].sum() == pytest.approx(1.0, abs=0.03)


def test_units_are_dealt_out_to_scans() -> None:
    scans = simulate_recordings(IMAGES, units=7, trials=2, scans=3).scans
    assert np.bincount(scans).tolist() == [3, 2, 2]


@settings(max_examples=8, deadline=None)
@given(noise=st.floats(0.2, 2.0), trials=st.integers(2, 6), seed=st.integers(0, 2**16), missing=st.booleans())
def test_reliability_is_signal_over_total_variance(noise: float, trials: int, seed: int, missing: bool) -> None:
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=(20_000, 3))
    responses = signal + noise * generator.normal(size=(trials, 20_000, 3))
    counts = np.full(20_000, trials)
    if missing:
        counts = generator.integers(1, trials, 20_000, endpoint=True)
        responses[np.arange(trials)[:, None] >= counts] = np.nan
    # Six standard errors at the strongest noise.
    expected = 1.0 / (1.0 + noise**2 * np.mean(1.0 / counts))
    np.testing.assert_allclose(reliability(responses), expected, atol=0.08)


def test_reliability_agrees_with_split_halves() -> None:
    generator = np.random.default_rng(0)
    responses = generator.normal(size=(2000, 1)) + 2.0 * generator.normal(size=(6, 2000, 1))
    half = np.corrcoef(responses[::2].mean(axis=0)[:, 0], responses[1::2].mean(axis=0)[:, 0])[0, 1]
    assert reliability(responses)[0] == pytest.approx(2 * half / (1 + half), abs=0.06)


def test_reliability_at_its_ends() -> None:
    images = np.linspace(0, 1, 50)[:, None]
    assert reliability(np.stack([images, images]))[0] == pytest.approx(1.0)
    noise = np.random.default_rng(0).normal(size=(2, 5000, 1))
    assert reliability(noise)[0] < 0.06
    assert reliability(np.zeros((2, 5, 1)))[0] == 0.0


def test_reliability_needs_repeated_trials() -> None:
    responses = np.zeros((2, 5, 3))
    responses[1, :, 1] = np.nan
    with pytest.raises(ValueError, match=r"two trials .* Received: fewer for 1 of 3 units, such as unit 1"):
        reliability(responses)


def test_means_and_scaling_leave_gaps() -> None:
    responses = np.array([[[1.0, np.nan], [3.0, 2.0]], [[3.0, np.nan], [np.nan, 4.0]]])
    means = mean_over_trials(responses)
    np.testing.assert_array_equal(means, [[2.0, np.nan], [3.0, 3.0]])
    np.testing.assert_array_equal(standardized(means), [[-1.0, np.nan], [1.0, 0.0]])


def test_more_trials_bring_the_target_nearer_to_the_noiseless_one() -> None:
    exact = targets.base.CosineSimilarity(
        IMAGES, [standardized(expected_spikes(IMAGES, units=200, complex_share=0.5, seed=0))]
    )
    pairs = exact.pairs(500, np.random.default_rng(0))
    errors = []
    for trials in (2, 10, 50):
        target = targets.build("simulated_v1", IMAGES, seed=0, units=200, trials=trials)
        errors.append(np.abs(target.similarity(*pairs) - exact.similarity(*pairs)).mean())
    assert errors[0] > 1.2 * errors[1] > 1.2 * 1.2 * errors[2]


def test_seed_chooses_the_cells() -> None:
    first, second = (targets.build("simulated_v1", IMAGES, seed=seed, units=30) for seed in (0, 1))
    assert not np.array_equal(first.reliability, second.reliability)


def test_wrong_number_of_channels() -> None:
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: shape \(4, 8, 8, 2\)"):
        targets.build("simulated_v1", np.zeros((4, 8, 8, 2)), seed=0)
