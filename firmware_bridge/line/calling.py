"""The hello of a session, and when it is said."""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.line.messages import Hello

HELLO_EVERY_US = 200_000


class Calling:
    """Has a new nonce for each session; a new one is said at most every 200 ms.

    A device can end sessions as fast as the line allows, and each has its entries in the lineage.
    """

    __slots__ = ("_began_us", "_is_said", "_nonce", "_said_us", "hello")

    def __init__(self, hello: Hello, nonce: Callable[[], bytes]) -> None:
        """Begin without a session; the nonce in `hello` is not used."""
        self.hello = hello
        self._nonce = nonce
        self._is_said = False
        self._began_us = self._said_us = -HELLO_EVERY_US

    def anew(self) -> None:
        """What was signed for an earlier nonce counts no more."""
        self.hello = self.hello._replace(nonce=self._nonce())
        self._is_said = False

    def due(self, now_us: int, *, is_asked: bool) -> Hello | None:
        """What is said now; `is_asked` where a device waits for it."""
        if self._is_said and not is_asked and now_us - self._said_us < HELLO_EVERY_US:
            return None
        if not self._is_said:
            if now_us - self._began_us < HELLO_EVERY_US:
                return None
            self._is_said, self._began_us = True, now_us
        self._said_us = now_us
        return self.hello
