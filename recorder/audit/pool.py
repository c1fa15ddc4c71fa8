"""Jobs of a verification or a replay on all cores, in order of giving, with a bounded number of them on their way."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, Protocol, Self, TypeVar

from recorder.core.errors import LineageError

BATCH_JOBS = 256  # one message to a worker: about 400 KB
BATCH_BYTES = 1 << 20
IN_FLIGHT = 3  # batches for each worker: one checked, one waiting, one on its way
ALONE_JOBS = 2048  # starting workers takes as long as checking that many


class PoolError(LineageError):
    """A worker was ended from outside, by a lack of memory for example."""


class Sized(Protocol):
    """What all jobs have."""

    @property
    def raw(self) -> bytes:
        """Bytes of an entry."""
        ...

    @property
    def claims(self) -> bytes | None:
        """Bytes beside it."""
        ...


J = TypeVar("J", bound=Sized)
R = TypeVar("R")


class JobPool(Generic[J, R]):
    """Works on jobs and hands on what was found.

    Workers come from a fork server: the caller may have threads (the client has), and a plain fork of those can hang.
    """

    def __init__(
        self,
        work: Callable[[Sequence[J]], R],
        take: Callable[[R], None],
        workers: int | None = None,
        alone_jobs: int = ALONE_JOBS,
    ) -> None:
        """Make ready for jobs.

        Args:
            work: works on a batch; of the top of its module, so that workers find it.
            take: gets what each batch found, in this process.
            workers: processes; as many as there are cores for us if left out.
            alone_jobs: so many are checked in this process before workers are started.

        """
        self._work = work
        self._take = take
        self._workers = len(os.sched_getaffinity(0)) if workers is None else workers
        self._alone_left = alone_jobs
        self._executor: ProcessPoolExecutor | None = None
        self._batch: list[J] = []
        self._batch_bytes = 0
        self._out: deque[Future[R]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def give(self, job: J) -> None:
        """Have a job done, now or later.

        Raises:
            PoolError: a worker died.

        """
        self._batch.append(job)
        self._batch_bytes += len(job.raw) + len(job.claims or b"")
        if len(self._batch) >= BATCH_JOBS or self._batch_bytes >= BATCH_BYTES:
            self._send()

    def finish(self) -> None:
        """Wait for all jobs that were given; raises as `give`."""
        self._send()
        while self._out:
            self._collect()

    def _send(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        if self._workers <= 1 or self._alone_left > 0:
            self._alone_left -= len(batch)
            self._take(self._work(batch))
            return
        if self._executor is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([self._work.__module__])
            self._executor = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_leave_interrupts)
        try:
            self._out.append(self._executor.submit(self._work, batch))
        except BrokenProcessPool as error:
            raise _died(error) from error
        while len(self._out) >= IN_FLIGHT * self._workers or (self._out and self._out[0].done()):
            self._collect()

    def _collect(self) -> None:
        try:
            done = self._out.popleft().result()
        except BrokenProcessPool as error:
            raise _died(error) from error
        self._take(done)


def _died(error: BrokenProcessPool) -> PoolError:
    return PoolError(f"a process that checked entries was ended from outside: {error}")


def _leave_interrupts() -> None:
    """Ctrl-C is for the main process, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
