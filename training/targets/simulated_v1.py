"""Similarity to a simulated V1: the cosine of its reliability-weighted responses."""

import numpy as np

from cortexzoo.training.limits import Range
from cortexzoo.training.recordings.reliability import mean_over_trials, reliability, standardized
from cortexzoo.training.recordings.simulation import simulate_recordings
from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget
from cortexzoo.training.targets.specification import Setting, TargetSpecification


class SimulatedV1Similarity(CosineSimilarity):
    """Centred cosine of the reliability-weighted mean responses of simulated V1.

    Each unit's mean responses are scaled to unit variance over the images and multiplied by its reliability.

    Attributes:
        reliability: float64, (units,), in [0, 1]. Share of signal variance in the mean over trials.

    Args:
        images: the regularisation set.
        responses: float, (trials, n, units).
    """

    def __init__(self, images: np.ndarray, responses: np.ndarray) -> None:
        self.reliability = reliability(responses)
        super().__init__(images, [standardized(mean_over_trials(responses)) * self.reliability])


def build(
    images: np.ndarray, seed: int, *, units: int = 1000, trials: int = 10, complex_share: float = 0.5
) -> SimilarityTarget:
    """Returns the similarity of the responses of simulated V1.

    Args:
        images: the regularisation set, float, (n, height, width, 1 or 3), in [0, 1]; colour is seen as luminance.
        seed: int. Seed of the cells and of their noise.
        units: int. Number of cells. Defaults to 1000.
        trials: int, at least 2. How often each image is shown. Defaults to 10.
        complex_share: float, in [0, 1]. Share of complex cells; the others are simple. Defaults to 0.5.

    Raises:
        ValueError: the images are not as above, there are too few units or trials, or the share is outside [0, 1].
    """
    recordings = simulate_recordings(images, units=units, trials=trials, complex_share=complex_share, seed=seed)
    return SimulatedV1Similarity(recordings.images, recordings.responses)


TARGET = TargetSpecification(
    name="simulated_v1",
    suffix="v1",
    title="similarities of a simulated V1",
    description="Trained so that pairs of images are as similar in the features as in the responses of a simulated V1.",
    build=build,
    settings=(
        Setting("v1_units", 1000, Range(1, 1_000_000), option="units"),
        Setting("v1_trials", 10, Range(2, 10_000), option="trials"),
        Setting("v1_complex_share", 0.5, Range(0.0, 1.0), option="complex_share"),
    ),
)
