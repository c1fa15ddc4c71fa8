"""A thread for calls that wait, so that the event loop does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_Got = TypeVar("_Got")


class Aside:
    """Calls go through one thread, one after the other: what they share needs no lock."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def __call__(self, call: Callable[..., _Got], *arguments: Any) -> _Got:  # noqa: ANN401 -- whatever `call` takes
        """Call it there; what it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        """Wait for the call under way; no more are taken."""
        self._thread.shutdown()
