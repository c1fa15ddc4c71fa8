"""The submitting side of the witness protocol: which proof to send, what an answer means, which cosignatures hold.

One `Attempt` for each witness and checkpoint, a value: `request_for` gives the bytes to send, `after` what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from mesh.exchange import AddCheckpoint, Answer, Conflict, Cosigned, parse_answer
from mesh.witness import UNKNOWN
from recorder.core.checkpoint import Checkpoint
from recorder.core.cosignature import Cosignature, verify_cosignature
from recorder.core.errors import FormatError, Misuse
from recorder.core.merkle import NodeReader, prove_consistency
from recorder.core.note import Note, NoteSignature, VerifierKey, parse_note

SENT_MAX = 4  # requests to one witness for one checkpoint, before the next checkpoint takes its turn
DELAY_FIRST_S = 1.0
DELAY_MAX_S = 300.0

_NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504})  # what may be otherwise in a while


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of a witness when a checkpoint is about to be sent to it."""

    old: int  # the size that it last announced for this origin; 0 where none is known
    sent: int = 0  # requests so far
    is_shown: bool = False  # this incarnation was shown to it


class Done(NamedTuple):
    """It cosigned."""

    line: NoteSignature
    cosignature: Cosignature
    skew_s: int  # how far its time is ahead of ours


class Again(NamedTuple):
    """Send again at once; where it announced less than before, `forgot` is what it had announced then."""

    attempt: Attempt
    forgot: int | None = None


class Show(NamedTuple):
    """It holds another incarnation of this platform: show ours by add-incarnation, then go on by the attempt."""

    attempt: Attempt


class Behind(NamedTuple):
    """It holds more of this log than we have: this store is an old copy, or another checkpoint was faster."""

    size: int


class Later(NamedTuple):
    """It cannot now; with the next checkpoint, or after `delay_s`."""

    reason: str
    wait_s: int | None = None  # it said how long to wait, and is sound: it has enough of us


class Failed(NamedTuple):
    """It will not, and asking again would not change that; a person is told."""

    status: int
    error: str
    detail: str


Step: TypeAlias = Done | Again | Show | Behind | Later | Failed


def request_for(attempt: Attempt, head: Checkpoint, note: bytes, tree: NodeReader) -> bytes:
    """The body to send: the proof leads from the size that the witness announced.

    Args:
        attempt: of this witness.
        head: the checkpoint.
        note: the same, signed.
        tree: of at least `head.size` leaves.

    Raises:
        Misuse: the witness holds more than this head; the reader's own errors pass through.

    """
    if attempt.old > head.size:
        raise Misuse(f"the witness announced {attempt.old} entries; a head of {head.size} is behind")
    return AddCheckpoint(attempt.old, tuple(prove_consistency(tree, attempt.old, head.size)), note).encode()


def after(attempt: Attempt, answer: Answer, head: Checkpoint, witness: VerifierKey, now_s: int) -> Step:
    """What an answer to `request_for(attempt, ...)` means.

    Args:
        attempt: under which the request was sent.
        answer: of the witness.
        head: the checkpoint that was sent.
        witness: its key in the fleet list.
        now_s: POSIX seconds of our clock, to say how far the two are apart.

    """
    try:
        read = parse_answer(answer)
        if isinstance(read, Cosigned):
            line, cosignature = cosignature_of(read.lines, head, witness)
            return Done(line, cosignature, cosignature.time_s - now_s)
    except FormatError as error:
        return Failed(answer.status, error.error, error.detail)
    sent = attempt.sent + 1
    if isinstance(read, Conflict):
        return _from_another_size(attempt, read.size, sent, head)
    if read.error == UNKNOWN and not attempt.is_shown:
        return Show(Attempt(0, sent, is_shown=True))
    if read.status in _NOT_NOW:
        again = "" if answer.retry_after_s is None else f"; again in {answer.retry_after_s} s"
        return Later(f"{read.status} {read.error or read.detail}{again}", answer.retry_after_s)
    return Failed(*read)


def cosignature_of(
    lines: Iterable[NoteSignature], head: Checkpoint, witness: VerifierKey
) -> tuple[NoteSignature, Cosignature]:
    """Take the witness's cosignature out of its answer; lines of other keys are left aside, as tlog-witness says.

    Raises:
        FormatError: note_signature: there is none, it does not hold, or it states no time.

    """
    own = [line for line in lines if (line.name, line.key_id) == (witness.name, witness.key_id)]
    if not own:
        raise FormatError("note_signature", f"no line of {witness.name} {witness.key_id.hex()} in its answer")
    cosignature = verify_cosignature(head, own[0], witness)
    if cosignature.time_s == 0:
        raise FormatError("note_signature", f"the cosignature of {witness.name} states no time")
    return own[0], cosignature


def with_cosignatures(note: bytes, lines: Iterable[NoteSignature]) -> bytes:
    """The note with cosignatures behind its own lines, each key once; they are verified already.

    Raises:
        FormatError: note_malformed.
        Misuse: more lines than a note may have.

    """
    parsed = parse_note(note)
    signatures = {(line.name, line.key_id): line for line in parsed.signatures}
    for line in lines:
        signatures.setdefault((line.name, line.key_id), line)
    return Note(parsed.text, tuple(signatures.values())).encode()


def delay_s(failures: int, jitter: float) -> float:
    """How long to leave a witness alone after so many failures in a row: doubling from 1 s to 5 min, less up to half.

    Raises:
        Misuse: no failure, or jitter not in 0..1.

    """
    if failures < 1 or not 0 <= jitter <= 1:
        raise Misuse(f"no delay after {failures} failures with jitter {jitter}")
    doublings = min(failures - 1, 16)
    return float(min(DELAY_FIRST_S * 2**doublings, DELAY_MAX_S) * (1 - jitter / 2))


def _from_another_size(attempt: Attempt, size: int, sent: int, head: Checkpoint) -> Step:
    if size > head.size:
        return Behind(size)
    if size == attempt.old:
        return Failed(409, "witness_contradicts", f"it was sent a proof from {size}, and asks for one from {size}")
    if sent >= SENT_MAX:
        return Later(f"it announced another size {sent} times, the last time {size}")
    return Again(Attempt(size, sent, attempt.is_shown), forgot=attempt.old if size < attempt.old else None)
