"""Simulated V1, in place of recordings: Gabor cells whose spikes vary from trial to trial.

It is a simulation and not data of any animal; results under it are called "simulated V1".
"""

import numpy as np

from cortexzoo.training.recordings.file import Recordings
from cortexzoo.training.recordings.gabor import sample_cells
from cortexzoo.training.targets.base import check_images

# 32 pixels are 2 degrees wide. At 8 degrees most of the cells would look for gratings finer than the pixels.
PIXELS_PER_DEGREE = 16.0
# Spikes a trial, averaged over the images: log-normal over cells, as firing rates in cortex are.
_MEDIAN_SPIKES, _LOG_SPREAD = 1.0, 1.0


def simulate_recordings(
    images: np.ndarray,
    *,
    units: int = 1000,
    trials: int = 10,
    complex_share: float = 0.5,
    scans: int = 1,
    seed: int = 0,
) -> Recordings:
    """Shows the images to simulated V1 and records its spikes.

    Spike counts are Poisson-distributed around each cell's expected number, so that variance and mean are equal. Given the
    image, cells and trials are independent.

    Args:
        images: float, (n, height, width, 1 or 3), in [0, 1].
        units: int. Number of cells, over all scans.
        trials: int, at least 2.
        complex_share: float, in [0, 1]. Share of complex cells.
        scans: int. Number of scans among which the cells are divided.
        seed: int. Seed of the cells and of their noise.

    Raises:
        ValueError: wrong images, or too few units, trials or scans, or a share outside [0, 1].
    """
    images = check_images(images)
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"Expected images of 1 or 3 channels. Received: shape {images.shape}.")
    if trials < 2 or not 1 <= scans <= units or not 0.0 <= complex_share <= 1.0:
        raise ValueError(
            "Expected `trials` >= 2, 1 <= `scans` <= `units` and 0 <= `complex_share` <= 1. "
            f"Received: trials={trials}, scans={scans}, units={units}, complex_share={complex_share}."
        )
    expected = expected_spikes(images, units=units, complex_share=complex_share, seed=seed)
    generator = np.random.default_rng((seed, 1))
    responses = np.stack([generator.poisson(expected).astype(np.float32) for _ in range(trials)])
    return Recordings(images, responses, np.arange(units) % scans)


def expected_spikes(images: np.ndarray, *, units: int, complex_share: float, seed: int) -> np.ndarray:
    """Returns the expected number of spikes in a trial, float64, (n, units); 0 for cells that see nothing at all."""
    generator = np.random.default_rng((seed, 0))
    extent = (images.shape[1] / PIXELS_PER_DEGREE, images.shape[2] / PIXELS_PER_DEGREE)
    cells = sample_cells(units, extent, complex_share, generator)
    spikes = _MEDIAN_SPIKES * np.exp(_LOG_SPREAD * generator.standard_normal(units))
    drive = cells.responses(images, PIXELS_PER_DEGREE).astype(np.float64)
    mean = drive.mean(axis=0)
    return drive * np.divide(spikes, mean, out=np.zeros_like(mean), where=mean > 0)
