"""Attacks in a row, of which each sees only the images that those before it left."""

from collections.abc import Iterable

from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.store import RunKey, Store


def least_distances(store: Store, keys: Iterable[RunKey]) -> dict[int, float]:
    """Returns the smallest distance of each image that one of these runs attacked, by sample id."""
    least: dict[int, float] = {}
    for key in keys:
        if (run := store.find_run(key)) is not None:
            for sample, distance in store.distances(run).items():
                least[sample] = min(distance, least.get(sample, distance))
    return least


def broken(least: dict[int, float], epsilon: float) -> set[int]:
    """Returns the ids of the samples with a distance of at most `epsilon`."""
    return {sample for sample, distance in least.items() if distance <= epsilon * (1 + metrics.TOLERANCE)}
