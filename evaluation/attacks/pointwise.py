"""The Pointwise attack: resets changed pixels one after another while the image stays adversarial."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices, sample_generator
from cortexzoo.evaluation.classifier import Classifier

# Densities of salt-and-pepper noise that are tried for a start.
_DENSITIES = np.linspace(0.02, 1.0, 50)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pointwise(Attack):
    """Schott et al. 2019, https://arxiv.org/abs/1805.09190, with restarts; the nearest result counts.

    The published attack queries the model for every changed pixel. Here a sample resets a block of pixels at a time, twice
    as many after a success and half as many after a failure. As in the original, no single pixel can be reset at the end.
    The first start is the second of `Batch.starts`, an image (the first may be blended noise). The others are
    salt-and-pepper noise of the lowest density that is adversarial.

    Attributes:
        restarts: int. Runs from different starts in different orders.
    """

    name: ClassVar[str] = "pointwise"
    version: ClassVar[int] = 2
    chunk_size: ClassVar[int] = 100
    uses_gradients: ClassVar[bool] = False
    needs_starts: ClassVar[bool] = True
    choices: ClassVar[Choices] = {"norm": ("l0",)}

    norm: str = "l0"
    restarts: int = 10

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        # All restarts of all samples are one batch.
        rows = np.tile(np.arange(len(batch)), self.restarts)
        all_rows = batch.take(rows)
        current = np.concatenate([_start(classifier, batch, restart) for restart in range(self.restarts)])
        orders = np.stack([_order(batch, i, restart) for restart in range(self.restarts) for i in range(len(batch))])
        adversarial = classifier.misclassifies(current, all_rows.labels)
        current[adversarial] = take_back(classifier, all_rows.take(adversarial), current[adversarial], orders[adversarial])
        changed = np.where(adversarial, _changed(all_rows.images, current).sum(axis=1), np.inf)
        best = changed.reshape(self.restarts, len(batch)).argmin(axis=0)
        return current.reshape(self.restarts, *batch.images.shape)[best, np.arange(len(batch))]


def _start(classifier: Classifier, batch: Batch, restart: int) -> np.ndarray:
    if restart == 0:
        return batch.starts[:, 1]
    results, active = batch.starts[:, 1].copy(), np.arange(len(batch))
    drawn = [sample_generator(batch, i, 2 * restart).random((2, *batch.images.shape[1:3], 1)) for i in active]
    place, colour = np.stack(drawn, axis=1)
    noise = np.broadcast_to((colour < 0.5).astype(np.float32), batch.images.shape)
    for density in _DENSITIES:
        images = np.where(place[active] < density, noise[active], batch.images[active])
        wrong = classifier.misclassifies(images, batch.labels[active])
        results[active[wrong]] = images[wrong]
        active = active[~wrong]
        if len(active) == 0:
            break
    return results


def _order(batch: Batch, row: int, restart: int) -> np.ndarray:
    height, width = batch.images.shape[1:3]
    return sample_generator(batch, row, 2 * restart + 1).permutation(height * width)


def _changed(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which pixels differ, (n, pixels)."""
    return np.any(images != others, axis=-1).reshape(len(images), -1)


def take_back(classifier: Classifier, batch: Batch, current: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Takes back changed pixels while the images stay adversarial, in passes, until a pass takes back nothing.

    Args:
        classifier: the model.
        batch: the samples.
        current: misclassified images, the shape of `batch.images`.
        orders: int, (n, pixels). For each sample a permutation of its pixels.

    Returns:
        Misclassified images in which no changed pixel can be taken back.
    """
    flat = batch.images.reshape(len(batch), orders.shape[1], batch.images.shape[-1])
    current = current.reshape(flat.shape).copy()
    # The changed pixels of each row, by its order; behind them nothing is left to try.
    position, block = np.zeros(len(batch), int), np.ones(len(batch), int)
    queues = [order[mask[order]] for order, mask in zip(orders, np.any(flat != current, axis=-1), strict=True)]
    improved = np.zeros(len(batch), bool)
    active = np.arange(len(batch))
    while len(active):
        trial = current[active]
        chosen = [queues[i][position[i] : position[i] + block[i]] for i in active]
        for k, (i, pixels) in enumerate(zip(active, chosen, strict=True)):
            trial[k, pixels] = flat[i, pixels]
        wrong = classifier.misclassifies(trial.reshape(-1, *batch.images.shape[1:]), batch.labels[active])
        for k, i in enumerate(active):
            if wrong[k]:
                current[i] = trial[k]
                improved[i] = True
                position[i] += len(chosen[k])
                block[i] *= 2
            elif len(chosen[k]) == 1:
                position[i] += 1
            else:
                block[i] = len(chosen[k]) // 2
            if position[i] >= len(queues[i]):
                # Once more over what is left, unless the pass changed nothing.
                left = np.any(current[i] != flat[i], axis=-1)
                queues[i] = orders[i][left[orders[i]]] if improved[i] else queues[i][:0]
                position[i], block[i], improved[i] = 0, 1, False
        active = active[[len(queues[i]) > 0 for i in active]]
    return current.reshape(batch.images.shape)
