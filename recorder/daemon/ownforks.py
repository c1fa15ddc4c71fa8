"""Proofs that this platform's own key signed two histories, as evidence here brings them: said until a person acts.

Another machine signs with this identity key (a clone, or a thief's), or an older copy of the store went on before it
met its peers.  The recorder cannot tell which, and goes on; who has the evidence can no longer take its word alone.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recorder.core.errors import FormatError
from recorder.core.forks import origin_of, parse_fork, verify_fork_under
from recorder.core.note import ED25519, VerifierKey
from recorder.store.layout import FORKED, replace_file
from recorder.writer.context import Context

KEPT_MAX = 16  # logs; the key that signed as many is not believed anyway
_FIELDS = 3


class OwnFork(NamedTuple):
    """A log of this platform with two histories, and the entry that proves it."""

    origin: str
    recorded_in: str  # origin of the log that has the evidence
    seq: int

    def describe(self) -> str:
        """A sentence for a person."""
        return (
            f"this platform's identity key signed two histories of {self.origin} (proof: entry {self.seq} of "
            f"{self.recorded_in}): another machine has the key, or an older copy of the store went on"
        )


class OwnForks:
    """Verifies what came, once a second, and keeps what holds."""

    def __init__(self, state: Path, context: Context, identity_key: bytes) -> None:
        """Begin with what is kept."""
        self.known = own_forks(state)
        self._path = state / FORKED
        self._context = context
        self._identity_key = identity_key

    def tick(self) -> None:
        """Take the proofs that evidence brought since."""
        brought, self._context.fork_proofs = self._context.fork_proofs, []
        for seq, text in brought:
            with suppress(FormatError):  # about another log, or no proof: `verify` tells what it is
                self._take(seq, text)

    def _take(self, seq: int, text: bytes) -> None:
        proof = parse_fork(text)
        origin = origin_of(proof)
        is_known = any(one.origin == origin for one in self.known)
        if origin.rpartition("/")[0] != self._context.platform or is_known or len(self.known) >= KEPT_MAX:
            return
        verify_fork_under(proof, VerifierKey.derive(origin, ED25519, self._identity_key))
        self.known.append(OwnFork(origin, self._context.journal.tail.origin, seq))
        with suppress(OSError):  # a full disk: it is said until the next start, and the evidence stays
            lines = [f"{one.origin} {one.recorded_in} {one.seq}\n" for one in self.known]
            replace_file(self._path, "".join(lines).encode())


def own_forks(state: Path) -> list[OwnFork]:
    """What a recorder has kept; nothing where there is no file, or none that can be read."""
    try:
        lines = (state / FORKED).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    parts = [line.split(" ") for line in lines[:KEPT_MAX]]
    return [OwnFork(one[0], one[1], int(one[2])) for one in parts if len(one) == _FIELDS and one[2].isdecimal()]
