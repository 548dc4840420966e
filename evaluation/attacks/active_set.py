"""Loops over the samples that are not done yet."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_Advance = Callable[..., tuple[tf.Tensor, ...]]


def advance_until_done(
    advance: _Advance, state: Sequence[np.ndarray | tf.Tensor], steps: int, block: int
) -> list[np.ndarray]:
    """Takes steps in blocks; a sample that is done keeps its state and leaves, so that the work falls on the others.

    Args:
        advance: a compiled function of the number of the first step, the number of steps, and the state of the samples that
            are left. It returns which of them are done, bool, (n,), and their state.
        state: arrays with one entry per sample.
        steps: steps in all.
        block: steps between two checks for samples that are done.

    Returns:
        The state of all samples, in the given order.
    """
    results = [np.array(values) for values in state]
    active, state = np.arange(len(results[0])), list(map(tf.constant, state))
    for first in range(0, steps, block):
        if len(active) == 0:
            break
        done, *state = advance(first, min(block, steps - first), *state)
        for values, known in zip(state, results, strict=True):
            known[active] = values.numpy()
        if (done := done.numpy()).any():
            kept = np.flatnonzero(~done)
            active, state = active[kept], [tf.gather(values, kept) for values in state]
    return results
