"""Similarity to recorded neurons (Li et al. 2019, https://arxiv.org/abs/1911.05072)."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cortexzoo.training.limits import OneOf, Range
from cortexzoo.training.recordings.file import Recordings, load_recordings
from cortexzoo.training.recordings.reliability import mean_over_trials, reliability, standardized
from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget
from cortexzoo.training.targets.specification import Setting, TargetSpecification

_LOG = logging.getLogger(__name__)

RESPONSES = ("predicted", "single_trial")


class RecordedSimilarity(CosineSimilarity):
    """Centred cosine of weighted predicted responses, averaged over scans.

    Single trials are noisy. A network is therefore fitted to the mean responses, and its predictions are compared, those of
    each unit multiplied by its reliability and by how well it is predicted (the paper's w_a v_a, with another w_a).

    Attributes:
        reliability: float64, (units,), in [0, 1]. Share of signal variance in the mean over trials.
        correlation: float64, (units,). Correlation of predicted and recorded mean responses on images held out from the fit,
            which chose the epoch; NaN where one of the two does not vary.

    Args:
        recordings: the recordings, whose images are the regularisation set.
        epochs: int. Epochs of the fit.
        seed: int. Seed of the fit.
        directory: folder from which a killed fit resumes; a short digest of the recordings is added to its name. Defaults to
            none.
    """

    def __init__(self, recordings: Recordings, epochs: int, seed: int, directory: Path | None = None) -> None:
        # Imported late: no other target needs a framework.
        from cortexzoo.training.recordings.predictor import fit_predictor, predict

        self.digest, self.reliability = recordings.digest, reliability(recordings.responses)
        directory = directory.with_name(f"{directory.name}-{self.digest[:10]}") if directory else None
        responses = standardized(mean_over_trials(recordings.responses))
        model, self.correlation = fit_predictor(recordings.images, responses, epochs=epochs, seed=seed, directory=directory)
        # A unit that is predicted no better than by chance has nothing to say.
        weighted = predict(model, recordings.images) * self.reliability * np.clip(np.nan_to_num(self.correlation), 0.0, 1.0)
        super().__init__(recordings.images, [weighted[:, recordings.scans == scan] for scan in np.unique(recordings.scans)])
        _LOG.info("Recordings: %s", self.facts())

    def sources(self) -> Sequence[str]:
        """See `SimilarityTarget.sources`."""
        return [self.digest[:10]]

    def facts(self) -> dict[str, Any]:
        """See `SimilarityTarget.facts`."""
        return {
            "recordings_sha256": self.digest,
            "units": len(self.reliability),
            "median_reliability": float(np.median(self.reliability)),
            "median_correlation": float(np.nanmedian(self.correlation)),
        }


class SingleTrialSimilarity(CosineSimilarity):
    """Centred cosine of the raw responses in one trial of each image, averaged over scans.

    A control: standardized for each unit, but neither averaged over trials nor predicted nor weighted. The first recorded
    trial of a unit and an image counts; where there is none, the unit's mean does.

    Args:
        recordings: the recordings, whose images are the regularisation set.
    """

    def __init__(self, recordings: Recordings) -> None:
        first = np.argmax(np.isfinite(recordings.responses), axis=0)
        trial = np.take_along_axis(recordings.responses, first[None], axis=0)[0]
        self.digest, responses = recordings.digest, np.nan_to_num(standardized(trial.astype(np.float64)), nan=0.0)
        super().__init__(recordings.images, [responses[:, recordings.scans == scan] for scan in np.unique(recordings.scans)])

    def sources(self) -> Sequence[str]:
        """See `SimilarityTarget.sources`."""
        return [self.digest[:10]]

    def facts(self) -> dict[str, Any]:
        """See `SimilarityTarget.facts`."""
        return {"recordings_sha256": self.digest}


def build(
    images: np.ndarray,
    seed: int,
    *,
    path: str | os.PathLike[str],
    responses: str = "predicted",
    epochs: int = 30,
    directory: str | os.PathLike[str] | None = None,
) -> SimilarityTarget:
    """Returns the similarity of the recorded images. The regularisation set is that of the file, not `images`.

    Args:
        images: images of the task, (n, height, width, channels). Those of the file must have their shape: one network takes
            both.
        seed: int. Seed of the response predictor.
        path: file or dataset of recordings; docs/recordings.md describes the formats.
        responses: which responses are compared: "predicted", see `RecordedSimilarity`, or "single_trial", the control, see
            `SingleTrialSimilarity`. Defaults to "predicted".
        epochs: int. Epochs of the response predictor. Defaults to 30.
        directory: folder from which a killed fit of the same recordings resumes. Defaults to none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, see `load_recordings`; its images have another shape; `responses` is unknown; or
            reliability is needed and no trial is repeated.
    """
    if responses not in RESPONSES:
        raise ValueError(f"`responses` must be one of {', '.join(RESPONSES)}. Received: responses={responses!r}")
    recordings = load_recordings(path)
    shape, wanted = recordings.images.shape[1:], np.shape(images)[1:]
    if shape != wanted:
        raise ValueError(f"Expected recorded images of the task's shape {wanted} in {path}. Received: {shape}.")
    if responses == "single_trial":
        return SingleTrialSimilarity(recordings)
    return RecordedSimilarity(recordings, epochs, seed, Path(directory) if directory else None)


TARGET = TargetSpecification(
    name="recordings",
    title="similarities of recorded neurons",
    description=(
        "Trained so that pairs of images are as similar in the features as in the responses of neurons, recorded in a file."
    ),
    build=build,
    settings=(
        Setting("recordings", "", option="path", shared=True, example="mouse.npz"),
        Setting("responses", "predicted", OneOf(RESPONSES)),
        Setting("predictor_epochs", 30, Range(1, 100_000), option="epochs"),
    ),
    own_images=True,
    folder="predictor",
)
