"""What a lineage holds as evidence: its own cosigned checkpoints, and proofs of forks (FORMAT.md section 5)."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from typing import NamedTuple

from recorder.audit.forked import BroughtFork
from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core import peerheads
from recorder.core.checkpoint import open_checkpoint, parse_checkpoint
from recorder.core.cosignature import CLAIM
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.forks import CLAIM as FORK_CLAIM
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey, parse_note
from recorder.core.peerheads import notes_in
from recorder.core.proofs import parse_proof
from recorder.core.trust import Trust
from recorder.core.verify.held import Values, body_of
from recorder.store.errors import StoreError

KEPT_MAX = 1_024  # of the newest: one for each minute of 17 hours


FORKS_KEPT_MAX = 64
UNTRUSTED_KEPT_MAX = 100
PEER_HEADS = peerheads.CLAIM.encode()


class Evidence(NamedTuple):
    """What evidence entries say."""

    notes: list[bytes]  # heads of this log in order; it and at least one witness of the trust file signed each
    unusable: int  # heads that name another log, or that no known witness signed; forks that are none
    older: int  # good heads before those in `notes`
    forks: list[BroughtFork]  # the first proofs that a log has two histories; not verified
    forks_left: int  # more than those
    heads: int  # of peers, in observations, that a log of the trust file signed
    heads_untrusted: list[int]  # seqs of entries with others, each once, the first of them


def gather(source: LineageSource, identity: bytes | None, trust: Trust | None) -> Evidence:
    """Collect it; a lineage that cannot be read on is for the verification to report.

    Who may append evidence could append a note that is none: it is counted and says nothing against the lineage.
    """
    if trust is None or not (trust.witnesses or trust.logs):
        return Evidence([], 0, 0, [], 0, 0, [])
    log = None
    if trust.witnesses and identity is not None and source.is_whole:
        log = VerifierKey.derive(source.origin, ED25519, identity)
    notes: deque[bytes] = deque(maxlen=KEPT_MAX)
    forks: list[BroughtFork] = []
    good = unusable = forks_left = heads = 0
    untrusted: list[int] = []
    try:
        with closing(source.read(0)) as entries:
            for held in entries:
                kind = kind_of(held.raw)
                if kind == Kind.OBSERVATION and held.claims and PEER_HEADS in held.claims:
                    trusted, others = _judged_heads(held, trust)
                    heads += trusted
                    untrusted += [held.seq] if others and len(untrusted) < UNTRUSTED_KEPT_MAX else []
                if kind != Kind.EVIDENCE:
                    continue
                body = _body(held)
                if log is not None and isinstance(note := body.get(CLAIM), bytes):
                    if _is_cosigned(note, log, trust):
                        good += 1
                        notes.append(note)
                    else:
                        unusable += 1
                if isinstance(text := body.get(FORK_CLAIM), bytes):
                    if not _is_fork(text):
                        unusable += 1
                    elif len(forks) < FORKS_KEPT_MAX:
                        forks.append(BroughtFork(f"entry {held.seq}", text))
                    else:
                        forks_left += 1
    except (StoreError, FormatError):
        pass  # the verification reads the same, and reports it with its place
    return Evidence(list(notes), unusable, good - len(notes), forks, forks_left, heads, untrusted)


def _judged_heads(held: Held, trust: Trust) -> tuple[int, int]:
    """How many of an entry's peers' heads their logs signed by the trust file, and how many not."""
    signed = others = 0
    try:
        notes = notes_in(_body(held))
    except FormatError:
        return 0, 1
    for note in notes:
        try:
            origin = parse_checkpoint(parse_note(note).text).origin
            identity = trust.identity_of(origin)
            if identity is not None:
                open_checkpoint(note, VerifierKey.derive(origin, ED25519, identity))
        except FormatError:
            identity = None
        signed += identity is not None
        others += identity is None
    return signed, others


def _is_cosigned(note: bytes, log: VerifierKey, trust: Trust) -> bool:
    try:
        opened = open_checkpoint(note, log, trust.witnesses.values())
    except FormatError:
        return False
    return any(key != log for key, _ in opened.note.verified)


def _is_fork(text: bytes) -> bool:
    try:
        parse_proof(text)
    except FormatError:
        return False
    return True


def _body(held: Held) -> Values:
    """The body of an evidence entry, as far as it is disclosed and here."""
    try:
        header = decode(held.raw).header
    except FormatError:
        return {}
    return body_of(header, held.claims or None) or {}
