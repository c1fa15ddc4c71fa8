"""epoll that stays awake for a moment where the next message is likely to come at once."""

from __future__ import annotations

import os
import select
import time

SPIN_S = 200e-6  # longer than a controller that commits in a closed loop takes for its next message, with two wake-ups


class Poller:
    """Readiness of sockets.

    A controller that waits for its receipt and commits again answers within 100 µs.  Falling asleep and being woken
    takes a core as long as that, so after replies the poller asks a little longer before it sleeps: only where the
    last reply was followed so soon, so that a loop at 1 kHz costs nothing, and only where another core runs the
    controller meanwhile.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._may_spin = len(os.sched_getaffinity(0)) > 1
        self._is_quick = False
        self._answered_s: float | None = None  # replies left then, and nothing came since

    def watch(self, fd: int, *, writable: bool = False) -> None:
        """Begin to watch a socket for messages, and for room where replies wait."""
        self._epoll.register(fd, _mask(writable))

    def change(self, fd: int, *, writable: bool) -> None:
        """Watch a socket for room too, or no longer."""
        self._epoll.modify(fd, _mask(writable))

    def forget(self, fd: int) -> None:
        """Stop watching."""
        self._epoll.unregister(fd)

    def close(self) -> None:
        """Let go of all."""
        self._epoll.close()

    def answered(self) -> None:
        """Replies have just left."""
        self._answered_s = time.monotonic()

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """File descriptors and events; waits for so long at most."""
        ready = self._epoll.poll(0)
        if timeout_s > 0:
            if self._is_quick and self._answered_s is not None:
                until_s = self._answered_s + min(SPIN_S, timeout_s)
                while not ready and time.monotonic() < until_s:
                    ready = self._epoll.poll(0)
            if not ready:
                ready = self._epoll.poll(timeout_s)
        if ready and self._answered_s is not None:
            self._is_quick = self._may_spin and time.monotonic() - self._answered_s < SPIN_S
            self._answered_s = None
        return ready


def _mask(writable: bool) -> int:  # noqa: FBT001 -- what the callers name
    return select.EPOLLIN | select.EPOLLOUT if writable else select.EPOLLIN
