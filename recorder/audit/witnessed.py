"""Cosignatures on a lineage's checkpoints, against the quorum of a trust file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.findings import Problem, problem
from recorder.core.note import ED25519, VerifierKey, parse_note
from recorder.core.trust import Trust


class Witnessed(NamedTuple):
    """How far witnesses vouch for a log."""

    size: int  # of the largest checkpoint that a quorum cosigned; 0 where there is none
    cosignatures: int  # that hold, of known witnesses
    witnesses: int  # that cosigned the head of that size
    problems: list[Problem]


def witnessed(origin: str, identity: bytes | None, notes: Sequence[bytes], trust: Trust | None) -> Witnessed:
    """Judge the cosignatures on checkpoints; what else is wrong with a checkpoint is for the verifier to say."""
    if trust is None or not trust.witnesses or identity is None:
        return Witnessed(0, 0, 0, [])
    log = VerifierKey.derive(origin, ED25519, identity)
    size = count = witnesses = 0
    cosigned_at: dict[Checkpoint, set[VerifierKey]] = {}  # one head may come in several notes
    problems: list[Problem] = []
    for note in notes:
        try:
            parsed = parse_note(note)
            checkpoint = parse_checkpoint(parsed.text)
        except FormatError:
            continue
        cosigned = cosigned_at.setdefault(checkpoint, set())
        for key in trust.witnesses.values():
            if all((line.name, line.key_id) != (key.name, key.key_id) for line in parsed.signatures):
                continue
            try:
                open_checkpoint(note, log, [key])
                cosigned.add(key)
                count += 1
            except FormatError as error:
                detail = f"checkpoint of size {checkpoint.size}, witness {key.name}: {error.detail}"
                problems.append(problem("note_signature", None, detail))
        if trust.is_quorum(cosigned):
            size, witnesses = max((size, witnesses), (checkpoint.size, len(cosigned)))
    return Witnessed(size, count, witnesses, problems)
