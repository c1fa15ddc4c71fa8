"""Starting a process that is known of from its first moment, whenever Ctrl-C comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that would raise here wait until the block is left.  Other threads than the main one meet none.

    Raised inside of Popen, after its fork, they would leave a child behind that nobody ends.  Blocking them would not
    do: a child inherits that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    raising = {number: handler for number in ENDING if callable(handler := signal.getsignal(number))}
    for number in raising:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
        if came:  # the first one raises
            signal.raise_signal(came[0])
