"""What is only suspicion of a fork (PROTOCOL.md section 6); what is proof of one: `recorder.core.forks`."""

from __future__ import annotations

from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint


class NoProof(NamedTuple):
    """A head that nobody has shown to follow the one that is held; this is no fork."""

    held: Checkpoint
    offered: Checkpoint
    peer: str  # who was asked
    reason: str  # what it did instead: its answer, or that there was none

    def describe(self) -> str:
        """What a person is told, in lines that end in newline."""
        return (
            f"{self.peer} has not shown that {self.offered.origin} at {_entries(self.offered.size)} "
            f"follows {_entries(self.held.size)}: {self.reason}\n"
            "  this alone proves nothing against the log: the peer may be slow, without the hashes, or lying\n"
        )


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"
