"""How much no evidence covers yet, for `status`: counted as entries come, and roughly, since only `verify` judges.

Evidence counts by our own signature on its checkpoint and by a cosignature that stands beside it; whether a witness
made that one, only who has a trust file can tell.  What evidence and peers' heads leave in the log calls for no
witness: else a platform at rest would never be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.core import cbor
from recorder.core.checkpoint import open_checkpoint
from recorder.core.cosignature import CLAIM
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, Note, VerifierKey, parse_note
from recorder.core.peerheads import CLAIM as PEER_HEADS

CHECKPOINTS_MAX = 64  # whose times are kept, for evidence that comes later
SILENT_MAX = 1_024  # entries that call for no witness
COSIGNATURE_BYTES = 72  # its time and its signature
_FORM = 1


class Uncovered:
    """Counts of one incarnation."""

    def __init__(self, origin: str, identity_key: bytes) -> None:
        self.size = 0  # entries that evidence covers
        self.since_utc_ns: int | None = None  # no entry that is not covered is older; None where there is none
        self._log = VerifierKey.derive(origin, ED25519, identity_key)
        self._note: bytes | None = None  # the checkpoint of that size, with our own signature alone
        self._silent: list[int] = []  # seqs beyond `size` of entries that call for no witness
        self._checkpoints: dict[int, int] = {}  # size -> UTC at which it was signed

    def restore(self, content: bytes, entries: int) -> None:
        """Go on from what `encode` gave; what is none, or of a log that was longer, says nothing.

        Args:
            content: of the file.
            entries: in the log now.

        """
        try:
            match cbor.decode(content):
                case [1, int(size), list(silent), int() | None as since, bytes() | None as note] if (
                    0 <= size <= entries
                ):
                    self.size, self.since_utc_ns, self._note = size, since, note
                    self._silent = [seq for seq in silent if isinstance(seq, int) and size <= seq < entries]
        except FormatError:
            return  # as on the first day: the next evidence says it again

    def encode(self) -> bytes:
        """What a restart needs."""
        return cbor.encode([_FORM, self.size, self._silent, self.since_utc_ns, self._note])

    def checkpointed(self, size: int, utc_ns: int) -> None:
        """A checkpoint was signed: entries beyond it are younger."""
        self._checkpoints[size] = utc_ns
        if len(self._checkpoints) > CHECKPOINTS_MAX:
            del self._checkpoints[next(iter(self._checkpoints))]

    def appended(self, seq: int, kind: Kind, body: Mapping[str, Any]) -> None:
        """An entry of a kind that brings no news of the platform is drafted."""
        if kind == Kind.EVIDENCE:
            self._cover(body.get(CLAIM))
        elif kind != Kind.OBSERVATION or PEER_HEADS not in body:
            return
        self._silent = [*(one for one in self._silent if one >= self.size), seq][-SILENT_MAX:]

    def entries(self, tail_size: int) -> int:
        """How many that call for a witness are not covered."""
        return max(0, tail_size - self.size - len(self._silent))

    def tick(self, tail_size: int, utc_ns: int) -> None:
        """Note since when there are any."""
        if not self.entries(tail_size):
            self.since_utc_ns = None
        elif self.since_utc_ns is None:
            self.since_utc_ns = utc_ns

    def _cover(self, note: object) -> None:
        if not isinstance(note, bytes):
            return
        try:
            size = open_checkpoint(note, self._log).checkpoint.size
            parsed = parse_note(note)
        except FormatError:
            return  # evidence of something else
        if size > self.size and any(len(line.signature) == COSIGNATURE_BYTES for line in parsed.signatures):
            self.size = size
            ours = (self._log.name, self._log.key_id)
            own = tuple(line for line in parsed.signatures if (line.name, line.key_id) == ours)
            self._note = Note(parsed.text, own).encode()
            self.since_utc_ns = self._checkpoints.get(self.size, self.since_utc_ns)


def covered_note(content: bytes) -> bytes | None:
    """The signed note of the checkpoint that evidence covers, out of what `encode` gave; None where it holds none."""
    try:
        match cbor.decode(content):
            case [1, _, _, _, bytes(note)]:
                return note
    except FormatError:
        pass  # nothing rests on it but whom a later incarnation names
    return None
