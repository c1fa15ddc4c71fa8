"""A worker for simulated time, where nothing may overlap."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from hwsim.lease import LeaseExpired
from recorder.client import Refused, Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs each job at once in the calling thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a job and return its finished future."""
        future: Future[T] = Future()
        try:
            result = fn(*args, **kwargs)
        except (Refused, Unavailable, LeaseExpired) as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future
