"""Adversarial images from the store: in memory as arrays, on disk as .npz files."""

import dataclasses
import io
import re
from pathlib import Path

import numpy as np

from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.store import RunKey
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.files import write_bytes


@dataclasses.dataclass(frozen=True)
class Adversarials:
    """The result of one attack, or the best of several, on images.

    Attributes:
        images: float32, (n, height, width, channels), in [0, 1]. The adversarial image if one was found, otherwise the last
            image of the attack; the clean image if that was misclassified or nothing was kept.
        ids: int64, (n,). Positions of the images in their split.
        labels: int64, (n,). The true labels.
        predictions: int64, (n,). The labels that the model predicts for `images`.
        distances: float64, (n,). Size of the perturbation in `norm`; 0 if the clean image was misclassified, infinite if
            the attack failed.
        norm: the norm of the distances: "linf", "l2", "l1" or "l0".
        epsilon: the allowed size; infinite if the attack looked for the smallest perturbation.
    """

    images: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    distances: np.ndarray
    norm: str
    epsilon: float = float("inf")

    @property
    def success(self) -> np.ndarray:
        """Which images the attack broke within `epsilon`, bool, (n,), including those misclassified from the start."""
        return np.isfinite(self.distances) & (self.distances <= self.epsilon * (1 + 1e-5))

    def __len__(self) -> int:
        return len(self.ids)

    def save(self, path: Path) -> None:
        """Writes the arrays as a compressed .npz file, atomically."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})
        write_bytes(path, buffer.getvalue())


def adversarials_of(summary: Summary, score: Score) -> Adversarials:
    """Returns each sample's nearest adversarial image of one attack, over its endpoints."""
    return _nearest(summary, summary.up_to(score), score.ids)


def worst_case(summary: Summary, norm: str) -> Adversarials:
    """Returns each sample's nearest adversarial image over the attacks in a norm, for samples that all of them attacked.

    Raises:
        ValueError: the norm was not attacked, or an adversarial image was not kept.
    """
    union = summary.union(norm)
    if union is None:
        known = ", ".join(score.norm for score in summary.unions)
        raise ValueError(f"Expected an attacked norm, one of {known}. Received: {norm!r}.")
    return _nearest(summary, [score for score in summary.attacks if score.norm == norm], union.ids)


def _nearest(summary: Summary, scores: list[Score], ids: np.ndarray) -> Adversarials:
    split, position = summary.evaluation.split, {int(i): k for k, i in enumerate(summary.evaluation.split.ids)}
    places = np.array([position[int(i)] for i in ids], int)
    best = Adversarials(
        images=split.images[places].copy(),
        ids=ids,
        labels=split.labels[places],
        predictions=_clean_predictions(summary, ids),
        distances=np.full(len(ids), np.inf),
        norm=scores[0].norm,
    )
    for score in scores:
        for endpoint in score.endpoints:
            key = RunKey(summary.digest, summary.dataset.name, endpoint, summary.seed, score.settings)
            if (run := summary.evaluation.store.find_run(key)) is not None:
                _take_nearer(best, summary, run)
    _check_kept(best, split.images[places])
    return best


def _check_kept(best: Adversarials, clean: np.ndarray) -> None:
    """A clean image must never pass for an adversarial one."""
    unchanged = np.all(best.images == clean, axis=(1, 2, 3))
    if missing := int(np.sum(unchanged & np.isfinite(best.distances) & (best.distances > 0.0))):
        raise ValueError(
            f"Expected the adversarial images of {len(best)} samples in the store. Received: {missing} are not kept. "
            "Evaluate with keep_images=True, or on the command line with --save_adversarials."
        )


def _clean_predictions(summary: Summary, ids: np.ndarray) -> np.ndarray:
    kept, _, predictions = summary.evaluation.store.clean(summary.digest, summary.dataset.name)
    return predictions[np.searchsorted(kept, ids)]


def _take_nearer(best: Adversarials, summary: Summary, run: int) -> None:
    """Updates `best` with a run's nearer images; where all attacks fail, with the last image of the run."""
    store = summary.evaluation.store
    reached, classes, images = store.distances(run), store.predicted(run), store.images(run, summary.dataset.image_shape)
    for k, i in enumerate(map(int, best.ids)):
        if reached.get(i, np.inf) < best.distances[k] or (np.isinf(best.distances[k]) and i in images):
            best.distances[k] = reached[i]
            if i in images:
                best.images[k], best.predictions[k] = images[i], classes[i]


def save_adversarials(summary: Summary, directory: Path) -> list[Path]:
    """Writes one file per attack and one for the worst case in each norm, as DIRECTORY/MODEL/LABEL.npz.

    Args:
        summary: a model under an attack suite, evaluated with `keeps_images`.
        directory: created if missing.

    Returns:
        The files.
    """
    folder = directory / _slug(summary.name)
    found = {_slug(score.label): adversarials_of(summary, score) for score in summary.attacks}
    found |= {f"worst-{score.norm}": worst_case(summary, score.norm) for score in summary.unions}
    for name, adversarials in found.items():
        adversarials.save(folder / f"{name}.npz")
    return [folder / f"{name}.npz" for name in found]


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text.replace("∞", "inf")).strip("-.")
