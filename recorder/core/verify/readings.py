"""Step 9: inputs of a decision that name an observation entry, held against what that entry says."""

from __future__ import annotations

from typing import NamedTuple

from recorder.core import ids
from recorder.core.entry import Entry
from recorder.core.errors import FormatError
from recorder.core.verify.disclosure import BODY
from recorder.core.verify.held import Family, read

# A recorder takes the latest 1,024, of 1 MiB; what lies further below is not kept, and an input of it is not judged.
READINGS_KEPT = 4_096
READINGS_KEPT_BYTES = 8 << 20

ERROR = "observation_entry"


class _Reading(NamedTuple):
    """An observation entry, unread until a cycle asks for it."""

    hash: bytes
    digest: bytes | None  # of its body
    claims: bytes | None


class Readings:
    """The latest observation entries, by seq."""

    def __init__(self, *, whole: bool) -> None:
        """Hold nothing yet; `whole`: all entries are seen, else what is not here may lie elsewhere."""
        self._held: dict[int, _Reading] = {}
        self._bytes = 0
        self._known_from = 0 if whole else None  # all from this seq on are held

    def note(self, entry: Entry, claims: bytes | None) -> None:
        """Take the next observation entry."""
        self._held[entry.header.seq] = _Reading(entry.hash, entry.header.body, claims)
        self._bytes += len(claims or b"")
        while len(self._held) > READINGS_KEPT or self._bytes > READINGS_KEPT_BYTES:
            seq = next(iter(self._held))
            self._bytes -= len(self._held.pop(seq).claims or b"")
            if self._known_from is not None:
                self._known_from = seq + 1

    def find(self, printed: object) -> Family | None:
        """The body of the observation entry with this id; None where it is not known here, or its claims are not.

        Args:
            printed: `SEQ-HHHHHHHH`.

        Raises:
            FormatError: observation_entry: there is none below.

        """
        try:
            named = ids.parse_id(printed) if isinstance(printed, str) else None
        except FormatError:
            named = None
        if named is None or named.index is not None:
            raise FormatError(ERROR, f"{str(printed)[:80]} is no id of an entry")
        found = self._held.get(named.seq)
        if found is None:
            if self._known_from is None or named.seq < self._known_from:
                return None
            raise FormatError(ERROR, f"{named} is no observation below")
        if found.hash.hex()[: ids.DIGITS] != named.digits:
            raise FormatError(ERROR, f"{named}: the entry there is of hash {found.hash.hex()[: ids.DIGITS]}")
        return read(found.claims, BODY, "body", found.digest)
