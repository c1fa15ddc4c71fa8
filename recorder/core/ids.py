"""Printed ids: `SEQ-HHHHHHHH`, `SEQ.IDX-HHHHHHHH`, `SEQ.IDX.ROW-HHHHHHHH` (FORMAT.md section 2).

The digits are the first eight of the entry hash, in lower case; a reader checks them, so an id that was mistyped or
belongs to another log does not quietly name the wrong act.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from recorder.core.errors import FormatError
from recorder.core.limits import UINT64_MAX

DIGITS = 8
_NUMBER = r"(0|[1-9][0-9]{0,19})"
_ID = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER})?)?(?:-([0-9a-f]{{{DIGITS}}}))?")


@dataclass(frozen=True, slots=True)
class EntryId:
    """An entry, a commit of it by its index in key 10, or a row of that."""

    seq: int
    index: int | None
    row: int | None
    digits: str  # "" only out of `parse_typed`

    def __str__(self) -> str:
        numbers = [number for number in (self.seq, self.index, self.row) if number is not None]
        return f"{'.'.join(map(str, numbers))}-{self.digits}"


def entry_id(entry_hash: bytes, seq: int, index: int | None = None, row: int | None = None) -> EntryId:
    """Make the id of an entry, a commit or a row; `str` prints it."""
    return EntryId(seq, index, row if index is not None else None, entry_hash.hex()[:DIGITS])


def parse_id(text: str) -> EntryId:
    """Parse what `str(EntryId)` prints and nothing else.

    Raises:
        FormatError: id_malformed.

    """
    if "-" not in text:
        raise FormatError(
            "id_malformed", f"{text[:80]!r} is not SEQ-HHHHHHHH, SEQ.IDX-HHHHHHHH or SEQ.IDX.ROW-HHHHHHHH"
        )
    return parse_typed(text)


def parse_typed(text: str) -> EntryId:
    """Parse an id as people type it: the numbers alone will do, then `digits` is empty.

    Raises:
        FormatError: id_malformed.

    """
    match = _ID.fullmatch(text)
    if match is None:
        raise FormatError(
            "id_malformed", f"{text[:80]!r} is not SEQ, SEQ.IDX or SEQ.IDX.ROW, and after it nothing or -HHHHHHHH"
        )
    numbers = [None if part is None else int(part) for part in match.groups()[:3]]
    if any(number is not None and number > UINT64_MAX for number in numbers) or numbers[0] is None:
        raise FormatError("id_malformed", f"a number of {text!r} does not fit 64 bits")
    return EntryId(numbers[0], numbers[1], numbers[2], match[4] or "")


def check(digits: str, entry_hash: bytes) -> None:
    """Check the digits of an id against the hash of the entry that it named.

    Raises:
        FormatError: id_mismatch.

    """
    if entry_hash.hex()[:DIGITS] != digits:
        raise FormatError("id_mismatch", f"the id says {digits}, the entry is {entry_hash.hex()[:DIGITS]}")
