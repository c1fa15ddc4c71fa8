"""What a sealed segment holds of the claims of each retention class, noted beside it once it was read.

`segments/00000001/summary.json` is a note, not a part of the lineage: it is made again where it is missing or does not
fit the file beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from recorder.core.entry import decode_in_order
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import UNCLASSED, Kind, Rows
from recorder.store.errors import StoreDamagedError
from recorder.store.layout import DATA, SUMMARY, replace_file
from recorder.store.segment import Segment

# Without key 13, and still only told once: what other entries are read by (names, bundles, credentials) and what people
# said (holds, marks, extractions) stays as long as the lineage does.
_MAY_GO = frozenset({Kind.CONFIRMATION, Kind.OBSERVATION, Kind.CONTROL_TRANSITION, Kind.EVIDENCE, Kind.GAP})


Rest = Callable[[int], None]  # bytes that were read or written: lets others at the card


class Held(msgspec.Struct):
    """Claims of one retention class in one segment."""

    bytes: int = 0
    rows_bytes: int = 0  # of these, beside entries that have rows
    newest_utc_ns: int = 0
    below: list[int] = []  # carriers of who and why in earlier segments that these entries share
    carriers: list[int] | None = None  # once erased: what stayed, since entries that keep their claims share it


class Summary(msgspec.Struct, forbid_unknown_fields=True):
    """One sealed segment."""

    file: tuple[int, int, int]  # inode, bytes, mtime_ns of the file that was read
    first: int
    last: int
    open_cycles: list[int]  # carriers of cycles that were open where it begins
    classes: dict[str, Held]
    shared: list[int] = []  # of all `carriers`, those that entries of this very segment still share


class Seen:
    """A summary that grows entry by entry."""

    def __init__(self, first: int, snapshot: list[object]) -> None:
        """Begin; `snapshot` is the tail where the segment begins (`store.tail.Tail.snapshot`)."""
        cycles = snapshot[10]
        assert isinstance(cycles, list), "a snapshot lists the open cycles"
        self._first = self._next = first
        self._open = sorted({cycle[0] for cycle in cycles})
        self._classes: dict[str, Held] = {}
        self._below: dict[str, set[int]] = {}
        self.shared: set[int] = set()

    def note(self, header: Header | None, claims_bytes: int) -> None:
        """The next entry, as it is held; None where it cannot be read."""
        self._next += 1
        if header is None or not claims_bytes:
            return
        for carrier in carriers_of(header):
            if carrier < self._first:
                self._below.setdefault(class_of(header) or UNCLASSED, set()).add(carrier)
            else:
                self.shared.add(carrier)
        name = class_of(header)
        if name is None:
            return
        held = self._classes.setdefault(name, Held())
        held.bytes += claims_bytes
        held.rows_bytes += claims_bytes if has_rows(header) else 0
        held.newest_utc_ns = max(held.newest_utc_ns, header.time.utc_ns)

    def summary(self, data: Path, carriers: dict[str, list[int]]) -> Summary:
        """The whole.

        Args:
            data: the file that was read or written.
            carriers: of classes that were erased, what stayed.

        """
        for name, below in self._below.items():
            self._classes.setdefault(name, Held()).below = sorted(below)
        for name, kept in carriers.items():
            self._classes.setdefault(name, Held()).carriers = kept
        kept_in_all = {carrier for kept in carriers.values() for carrier in kept}
        shared = sorted(self.shared & kept_in_all)
        return Summary(identity_of(data), self._first, self._next - 1, self._open, self._classes, shared)


def class_of(header: Header) -> str | None:
    """The retention class of an entry's claims; None of what stays for ever."""
    if header.classes is not None:
        return header.classes.retention_class
    return UNCLASSED if header.kind in _MAY_GO else None


def has_rows(header: Header) -> bool:
    """Whether an entry has rows."""
    return any(isinstance(commit, Rows) for commit in header.commits or ())


def carriers_of(header: Header) -> set[int]:
    """The entries below whose who and why this one shares."""
    return {
        shared.carrier for shared in (header.who, header.why) if shared is not None and shared.carrier != header.seq
    }


def header_of(raw: bytes) -> Header | None:
    """The header of a stored entry; None where it cannot be read, which is for verification to say."""
    try:
        return decode_in_order(raw).header
    except FormatError:
        return None


def identity_of(data: Path) -> tuple[int, int, int]:
    """Tell one version of a file from another."""
    status = data.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def find(path: Path) -> Summary | None:
    """The note beside a segment, where it fits."""
    try:
        found = msgspec.json.decode((path / SUMMARY).read_bytes(), type=Summary)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found if found.file == identity_of(path / DATA) else None


def make(path: Path, rest: Rest) -> Summary:
    """Read a sealed segment and note what it holds.

    Args:
        path: of the segment.
        rest: called with the bytes of each record that was read, to let others at the card.

    Raises:
        StoreDamagedError: it cannot be read.

    """
    segment = Segment(path, 0, live=False)
    try:
        head = segment.head()
        if head is None:
            raise StoreDamagedError(f"segment {path} has no head")
        seen = Seen(*head)
        for _, record in segment.records(head[0]):
            for raw, claims in zip(record.entries, record.claims, strict=True):
                seen.note(header_of(raw), len(claims))
            rest(sum(map(len, record.entries)) + sum(map(len, record.claims)))
    finally:
        segment.close()
    found = seen.summary(path / DATA, {})
    write(path, found)
    return found


def write(path: Path, found: Summary) -> None:
    """Put the note beside its segment."""
    replace_file(path / SUMMARY, msgspec.json.encode(found), 0o640)
