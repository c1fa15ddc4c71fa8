"""Heads of other logs that a platform has seen and logs: what lies below such an entry is known to be older than it.

The claim `peer_heads` of an observation entry: signed notes of checkpoints, each with the signature of its own log.
Two lineages that log each other's heads are ordered by that, without a clock (FORMAT.md section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.core.errors import FormatError

CLAIM = "peer_heads"
ERROR = "peer_heads_malformed"
HEADS_MAX = 64  # of one entry
HEAD_MAX_BYTES = 2_048  # a note with one signature has some 300; names may be longer


def notes_in(body: Mapping[str, Any]) -> list[bytes]:
    """The notes in a body; none of them is verified.

    Raises:
        FormatError: peer_heads_malformed: the claim is there and is no such list.

    """
    if CLAIM not in body:
        return []
    match body[CLAIM]:
        case list(notes) if 0 < len(notes) <= HEADS_MAX and all(
            isinstance(one, bytes) and len(one) <= HEAD_MAX_BYTES for one in notes
        ):
            return notes
    raise FormatError(ERROR, f"not a list of 1 to {HEADS_MAX} byte strings of at most {HEAD_MAX_BYTES} bytes")
