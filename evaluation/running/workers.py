"""Runs tasks in several processes, each with its own copy of the model."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Self

from cortexzoo.evaluation.running.attacker import Attacker, Outcome, Task

_attacker: Attacker | None = None
_DIED = (
    "Expected every worker to live until the end. Received: one that ended early. Either it was killed, as for lack of "
    "memory: pass fewer workers. Or your script has no `if __name__ == '__main__':` around its work, which each worker "
    "then begins anew. A store has what was done until then."
)


class Workers:
    """Processes that run the tasks of one attacker; they start with the first tasks and end with the context.

    Args:
        attacker: runs a task.
        count: the number of processes, which share the processors evenly; 1 stays in this process.
        with_starts: whether an attack starts from images of other classes.
    """

    def __init__(self, attacker: Attacker, count: int, *, with_starts: bool) -> None:
        self._attacker, self._count, self._with_starts = attacker, count, with_starts
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, tasks: list[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Yields each task with its outcome as soon as it is done.

        Raises:
            Exception: the first error of an attack, after all tasks already begun have been yielded. The rest are
                cancelled.
        """
        if self._count == 1 or (len(tasks) < 2 and self._pool is None):
            yield from ((task, self._attacker(task)) for task in tasks)
            return
        pool = self._pool = self._pool or self._start()
        failure: BaseException | None = None
        futures = {pool.submit(_work, task): task for task in tasks}
        for future in concurrent.futures.as_completed(futures):
            if future.cancelled():
                continue
            if (error := future.exception()) is None:
                yield futures[future], future.result()
                continue
            failure = failure or error
            for other in futures:
                other.cancel()
        if isinstance(failure, BrokenProcessPool):
            raise ChildProcessError(_DIED) from failure
        if failure is not None:
            raise failure

    def _start(self) -> concurrent.futures.ProcessPoolExecutor:
        # TensorFlow does not survive a fork.
        context = multiprocessing.get_context("spawn")
        threads = max(1, (os.cpu_count() or 1) // self._count)
        arguments = (threads, os.getpid(), self._attacker.parts(self._with_starts))
        return concurrent.futures.ProcessPoolExecutor(self._count, context, initializer=_begin, initargs=arguments)


def _begin(threads: int, parent: int, parts: tuple) -> None:
    global _attacker
    import tensorflow as tf

    # A script that builds its model outside of `if __name__ == "__main__"` has built one here, too.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _attacker = Attacker.from_parts(*parts)


def _end_with(parent: int) -> None:
    """Ends a worker when its parent is gone; it would wait forever otherwise."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _work(task: Task) -> Outcome:
    return _attacker(task)
