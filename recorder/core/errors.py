"""What can go wrong, in three families that callers treat differently.

`Misuse` is the caller's mistake, `FormatError` is bad data or a bad peer, `Impossible` is a state that our own
invariants exclude.  Bytes from outside only ever raise `FormatError`.
"""

from __future__ import annotations


class LineageError(Exception):
    """Base of every error that this project raises on purpose."""


class Misuse(LineageError):
    """The caller broke the contract of an API; the message says what to do instead."""


class Impossible(LineageError):
    """An invariant of ours does not hold: a bug, never the effect of input."""


class FormatError(LineageError):
    """Bytes that are not a valid value of the format.

    Attributes:
        error: snake_case name, stable across releases: out of `recorder.core.findings.FINDINGS` for what verification
            meets, `message_malformed` for the socket.
        detail: one sentence: what was found, where, what was expected.

    """

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.error = error
        self.detail = detail
