"""Checkpoints with cosignatures that a lineage holds as evidence of itself (FORMAT.md section 5)."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from typing import NamedTuple

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core.checkpoint import open_checkpoint
from recorder.core.cosignature import CLAIM
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import Trust
from recorder.core.verify.held import body_of
from recorder.store.errors import StoreError

KEPT_MAX = 1_024  # of the newest: one for each minute of 17 hours


class Evidence(NamedTuple):
    """What evidence entries say of this log's own heads."""

    notes: list[bytes]  # in order; the log and at least one witness of the trust file signed each
    unusable: int  # evidence of this kind that names another log, or that no known witness signed
    older: int  # good ones before those in `notes`


def cosigned_heads(source: LineageSource, identity: bytes | None, trust: Trust | None) -> Evidence:
    """Collect them; a lineage that cannot be read on is for the verification to report.

    Who may append evidence could append a note that is none: it is counted and says nothing against the lineage.
    """
    if trust is None or not trust.witnesses or identity is None or not source.is_whole:
        return Evidence([], 0, 0)
    log = VerifierKey.derive(source.origin, ED25519, identity)
    notes: deque[bytes] = deque(maxlen=KEPT_MAX)
    good = unusable = 0
    try:
        with closing(source.read(0)) as entries:
            for held in entries:
                note = _note_in(held) if kind_of(held.raw) == Kind.EVIDENCE else None
                if note is None:
                    continue
                if _is_cosigned(note, log, trust):
                    good += 1
                    notes.append(note)
                else:
                    unusable += 1
    except (StoreError, FormatError):
        pass  # the verification reads the same, and reports it with its place
    return Evidence(list(notes), unusable, good - len(notes))


def _is_cosigned(note: bytes, log: VerifierKey, trust: Trust) -> bool:
    try:
        opened = open_checkpoint(note, log, trust.witnesses.values())
    except FormatError:
        return False
    return any(key != log for key, _ in opened.note.verified)


def _note_in(held: Held) -> bytes | None:
    """The note in the body of an evidence entry; None where it is withheld, deleted or another thing."""
    try:
        header = decode(held.raw).header
    except FormatError:
        return None
    body = body_of(header, held.claims or None)
    note = None if body is None else body.get(CLAIM)
    return note if isinstance(note, bytes) else None
