"""The port through which a lineage is read, wherever it lies, and what can be told of an entry at a glance."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple, Protocol

from recorder.core import cbor, entry, ids
from recorder.core.errors import FormatError
from recorder.core.findings import Problem
from recorder.core.kinds import IDENTITY_SIGNED
from recorder.core.tlogproof import TlogProof
from recorder.store.errors import StoreError

GROUP = 256  # entries: a tile's width, so that no tile of a bundle is decoded twice


class Held(NamedTuple):
    """An entry as it is held; `claims` is b"" where none are."""

    seq: int
    raw: bytes
    claims: bytes


class HeldTile(NamedTuple):
    """A tile as it is held."""

    level: int
    number: int
    width: int
    hashes: bytes


class LineageSource(Protocol):
    """One lineage, read in order and in memory that does not grow with it.

    A read that was begun is closed before another one begins: a segment is opened once at a time.
    """

    @property
    def origin(self) -> str:
        """Name of the log."""
        ...

    @property
    def size(self) -> int:
        """Entries of the log as far as this source knows; a selection holds fewer."""
        ...

    @property
    def is_whole(self) -> bool:
        """All entries below `size` are here; else it is a selection."""
        ...

    @property
    def is_running(self) -> bool:
        """A recorder is adding to it."""
        ...

    @property
    def checkpoints(self) -> list[bytes]:
        """Signed notes that came with it, the latest last."""
        ...

    def read(self, from_seq: int = 0) -> Generator[Held, None, None]:
        """Entries from `from_seq` on, in order, up to `size`.

        Raises:
            StoreError, FormatError, OSError, Unavailable: it cannot be read on.

        """
        ...

    def tiles_below(self) -> int:
        """Leaves whose full tiles must be held."""
        ...

    def tiles(self) -> Iterator[HeldTile]:
        """Every tile that is held, in no particular order."""
        ...

    def prove(self, seq: int, leaf: bytes) -> TlogProof | None:
        """The inclusion proof of an entry under the latest checkpoint; None where that does not cover it.

        Raises:
            FormatError: inclusion_proof, where what is held does not lead to the root of the checkpoint.

        """
        ...

    def faults(self) -> list[Problem]:
        """What was found wrong with the source itself while it was read, so far."""
        ...

    def actuators(self) -> dict[int, str]:
        """Names of actuators by number, as far as they can be had without a search."""
        ...

    def close(self) -> None:
        """Let go of files, lock and connection."""
        ...


def entry_at(source: LineageSource, seq: int) -> Held:
    """One entry.

    Raises:
        StoreError: it is not here.

    """
    with closing(source.read(seq)) as found:
        held = next(found, None)
    if held is None or held.seq != seq:
        raise StoreError(f"no entry {seq} in this {f'lineage of {source.size}' if source.is_whole else 'selection'}")
    return held


def groups_of(source: LineageSource, first: int, last: int) -> Iterator[list[Held]]:
    """Entries from `first` to `last` in groups; between two of them no read is open, so others can be looked up.

    Raises:
        StoreError, FormatError, OSError, Unavailable: it cannot be read on.

    """
    while first <= last:
        with closing(source.read(first)) as entries:
            read = list(islice(entries, GROUP - first % GROUP))
        if not read:
            return
        yield [held for held in read if held.seq <= last]
        first = read[-1].seq + 1


def entry_named(source: LineageSource, text: str) -> tuple[Held, ids.EntryId]:
    """The entry that a printed id names, with or without its digits, and the whole id; digits are checked.

    Raises:
        FormatError: id_malformed, id_mismatch.
        StoreError: it is not here.

    """
    named = ids.parse_typed(text)
    held = entry_at(source, named.seq)
    leaf = entry.entry_hash(held.raw)
    if named.digits:
        ids.check(named.digits, leaf)
    return held, ids.entry_id(leaf, named.seq, named.index, named.row)


def kind_of(raw: bytes) -> int | None:
    """The kind of an entry at a glance, a twentieth of the cost of decoding it; None where that cannot be told."""
    try:
        payload = entry.split(raw)[1]
    except FormatError:
        return None
    if payload[1:4] != b"\x01\x01\x02":  # keys 1 and 2 come first, and key 1 holds the version
        return None
    return payload[4] if payload[4] < 24 else payload[5] if payload[4] == 0x18 else None


def utc_ns_of(raw: bytes) -> int | None:
    """The recorder's UTC in an entry; None where it cannot be read."""
    try:
        time = cbor.load(entry.split(raw)[1])[5]
        return int(time[0])
    except (FormatError, TypeError, KeyError, IndexError, ValueError):
        return None


def identity_key(source: LineageSource) -> bytes | None:
    """The identity key that the first boot entry names; None where there is none to be read."""
    with closing(source.read(0)) as found:
        first = next(found, None)
    if first is None or kind_of(first.raw) not in IDENTITY_SIGNED:
        return None
    try:
        key: bytes | None = getattr(entry.decode(first.raw).header.control, "identity_key", None)
    except FormatError:
        return None
    return key
