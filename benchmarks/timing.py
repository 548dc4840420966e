"""Programs timed in turn, so that a drifting machine slows all of them."""

import time
from collections.abc import Callable, Sequence

import numpy as np


def seconds_in_turn(
    programs: Sequence[Callable[[int], object]],
    rounds: int,
    uncounted: int,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Runs each program once a round and returns the seconds, (programs, rounds).

    Args:
        programs: functions of the round's number.
        rounds: how many are counted.
        uncounted: how many come before, in which programs are traced and caches filled.
        clock: gives seconds; `time.process_time` counts those of the processors, whatever else the machine does.
    """
    seconds = np.zeros((uncounted + rounds, len(programs)))
    for number in range(uncounted + rounds):
        for i, program in enumerate(programs):
            started = clock()
            program(number)
            seconds[number, i] = clock() - started
    return seconds[uncounted:].T
