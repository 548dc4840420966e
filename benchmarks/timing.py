"""Times programs alternately, so that a change in the machine's speed affects all of them."""

import time
from collections.abc import Callable, Sequence

import numpy as np


def seconds_in_turn(
    programs: Sequence[Callable[[int], object]],
    rounds: int,
    uncounted: int,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Runs each program once per round and returns the seconds, (programs, rounds).

    Args:
        programs: functions of the round's number.
        rounds: the number of counted rounds.
        uncounted: the number of rounds before these, in which programs are traced and caches filled.
        clock: returns seconds; `time.process_time` counts processor time, whatever else the machine does.
    """
    seconds = np.zeros((uncounted + rounds, len(programs)))
    for number in range(uncounted + rounds):
        for i, program in enumerate(programs):
            started = clock()
            program(number)
            seconds[number, i] = clock() - started
    return seconds[uncounted:].T
