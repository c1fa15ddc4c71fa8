"""What a witness holds of a log, and the port through which it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from recorder.core import cbor
from recorder.core.checkpoint import Checkpoint, OpenedCheckpoint, parse_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.note import Note, VerifierKey, parse_note

ERROR = "standing_malformed"
RETIRED_MAX = 256  # incarnations of one platform; whoever makes more needs a person to look


@dataclass(frozen=True)  # without slots: `head` is read once
class Standing:
    """The last head cosigned for a platform or a foreign log, and the incarnations that are over."""

    note: bytes  # the head with the log's own signature: with it another history can be proved, not only refused
    retired: tuple[Checkpoint, ...] = ()  # last heads of incarnations that are never cosigned again, oldest first

    @cached_property
    def head(self) -> Checkpoint:
        """The checkpoint in the note."""
        return parse_checkpoint(parse_note(self.note).text, may_extend=True)

    def grown(self, note: bytes) -> Standing:
        """The same incarnation with a later head."""
        return Standing(note, self.retired)

    def succeeded(self, note: bytes) -> Standing:
        """The next incarnation, which this one never follows again.

        Raises:
            Misuse: there were too many.

        """
        if len(self.retired) >= RETIRED_MAX:
            raise Misuse(f"{RETIRED_MAX} incarnations are over already")
        return Standing(note, (*self.retired, self.head))

    def retired_head(self, origin: str) -> Checkpoint | None:
        """Where an incarnation ended that is over."""
        return next((head for head in self.retired if head.origin == origin), None)

    def encode(self) -> bytes:
        """Return the bytes to keep."""
        return cbor.encode([1, self.note, [[one.origin, one.size, one.root] for one in self.retired]])


def decode_standing(data: bytes) -> Standing:
    """Read what `encode` gave.

    Raises:
        FormatError: standing_malformed: kept badly, so the witness must not cosign before a person has looked.

    """
    try:
        match cbor.decode(data):
            case [1, bytes(note), list(listed)]:
                standing = Standing(note, tuple(_checkpoint(one) for one in listed))
                standing.head  # noqa: B018  # it must be a checkpoint
                return standing
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    raise FormatError(ERROR, "not what a witness of this version keeps")


def signed_by_log(opened: OpenedCheckpoint, log: VerifierKey) -> bytes:
    """The note with the log's own signature and no other: the only bytes of it that are kept."""
    lines = tuple(line for key, line in opened.note.verified if key == log)
    return Note(opened.note.text, lines[:1]).encode()


class StandingStore(Protocol):
    """Where standings are kept, by the line of the log (`fleetlist.Log.line`)."""

    def held(self, line: str) -> Standing | None:
        """Return what is held; None where this witness never cosigned the log.

        Whatever cannot be read back raises the store's own error: None would let a log begin anew.
        """
        ...

    def swap(self, line: str, old: Standing | None, new: Standing) -> bool:
        """Put `new` in the place of `old`, atomically, and return once that is durable.

        False where something else than `old` is held; then nothing has changed.  An error of the store means that `new`
        may or may not be held after a restart: the caller must not answer with a cosignature.  Where `new` equals `old`
        comparing is enough.
        """
        ...


def _checkpoint(value: object) -> Checkpoint:
    match value:
        case [str(origin), int(size), bytes(root)]:
            try:
                return Checkpoint(origin, size, root)
            except Misuse as error:
                raise FormatError(ERROR, str(error)) from None
    raise FormatError(ERROR, "a head that is none")
