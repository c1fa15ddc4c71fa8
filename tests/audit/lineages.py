"""Lineages in state directories and bundles, for the tests of what reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from recorder.audit.extract import Extracted, extract
from recorder.audit.live import Logged
from recorder.audit.opening import open_source
from recorder.audit.target import VOLUME_BYTES
from recorder.client.answers import Page
from recorder.client.errors import NotRecorded
from recorder.core.entry import entry_hash
from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from recorder.core.message_replies import Head
from recorder.store.layout import CURRENT, HEAD, SEGMENT_MIN_BYTES, lineage_dir
from recorder.store.opening import create_store
from tests.credential_builder import delegated, from_root
from tests.lineage_builder import ORIGIN, WHY, LineageBuilder

NOW_NS = 1_760_000_100_000_000_000


def small(commits: int = 20, *, origin: str = ORIGIN) -> LineageBuilder:
    """Two boots, cycles, single commits on two actuators, rows, an event, a refusal."""
    lineage = LineageBuilder(origin=origin).setup(1, 2)
    schema = lineage.schema()
    cycle = lineage.cycle([1, 2], max_commits=10_000)
    for number in range(commits):
        lineage.commit(cycle, [1 + number % 2])
    lineage.rows(cycle, schema)
    lineage.refuse(cycle)
    lineage.event([2])
    lineage.end(cycle)
    lineage.stop()
    lineage.boot()
    lineage.policy()
    cycle = lineage.cycle([1])
    lineage.commit(cycle, [1])
    lineage.end(cycle)
    return lineage


class Authorised(NamedTuple):
    """A lineage with all that an act can stand on, and the seqs of what is in it."""

    lineage: LineageBuilder
    parent: int  # credential
    credential: int  # delegated from it
    sensed: int  # observation, an input of cycle `first` by its printed id
    used: int  # observation, which cycle `second` names in key 12
    first: int  # cycle under the credential, which carries who
    commits: int  # two of it
    second: int  # cycle that supersedes it, with the same who
    commit: int  # of it
    confirmation: int  # of the second one of `commits`
    end: int  # of the first cycle
    other: int  # cycle of somebody else, without a delegation
    delegation: bytes  # hash of `credential`


def authorised(**options: Any) -> Authorised:
    """Credentials, observations, cycles that use them, commits, a confirmation, and somebody else's cycle."""
    lineage = LineageBuilder(**options).setup(1, 2)
    ann = from_root("ann")
    bob = delegated(ann, "bob")
    parent, credential = [
        lineage.control(Kind.CREDENTIAL, one.hash, body={"credential": one.signed.raw}) for one in (ann, bob)
    ]
    sensed, used = [lineage.control(Kind.OBSERVATION, bytes([at]) * 32, body={"nearest_m": 0.5 + at}) for at in (1, 2)]
    lineage.acting(operator="bob", delegation=bob.hash.hex(), task="pick")
    named = str(entry_id(lineage.hash_of(sensed), sensed))
    first = lineage.cycle((1, 2), why={**WHY, "inputs": [{"name": "lidar.nearest_m", "value": 1.5, "entry": named}]})
    commits = lineage.commit(first, (1, 2))
    references = {
        3: [[None, used, lineage.hash_of(used)]],
        4: [[None, first.carrier, lineage.hash_of(first.carrier)]],
    }
    second = lineage.breaking(lambda header: header.update({12: references})).cycle()
    commit = lineage.commit(second)
    confirmed = {2: [[None, commits, lineage.hash_of(commits), 1]]}
    confirmation = lineage.control(Kind.CONFIRMATION, bytes(32), body={"frames": b"\x01"}, refs=confirmed)
    end = lineage.end(first)
    lineage.end(second)
    lineage.acting(operator="eve")
    other = lineage.cycle()
    lineage.commit(other)
    return Authorised(
        lineage, parent, credential, sensed, used, first.carrier, commits, second.carrier, commit, confirmation, end,
        other.carrier, bob.hash,
    )  # fmt: skip


def write_state(
    state: Path,
    lineage: LineageBuilder,
    *,
    head: int | None = -1,
    segment_bytes: int = SEGMENT_MIN_BYTES,
    entries_a_record: int = 7,
    seal_at: tuple[int, ...] = (),
) -> Path:
    """Store a lineage as a recorder would.

    Args:
        state: directory to make.
        lineage: what to store.
        head: size of the checkpoint in the head file, -1 for all of it, None for no head file.
        segment_bytes: size of a segment.
        entries_a_record: entries that one transaction holds.
        seal_at: seqs before which the segment is rolled.

    """
    incarnation = lineage.origin.rpartition("/")[2]
    directory = lineage_dir(state, incarnation)
    directory.mkdir(parents=True)
    store = create_store(directory, lineage.origin, segment_bytes)
    at = 0
    while at < lineage.seq:
        end = min([lineage.seq, at + entries_a_record, *(seq for seq in seal_at if seq > at)])
        records = lineage.records[at:end]
        raws = [one.raw for one in records]
        store.append(raws, list(map(entry_hash, raws)), [one.claims or b"" for one in records], [], {}, {})
        at = end
        if at in seal_at:
            store.seal()
    store.close()
    if head is not None:
        (directory / HEAD).write_bytes(lineage.checkpoint(None if head < 0 else head))
    (state / CURRENT).write_text(f"{incarnation}\n")
    return state


def to_bundle(
    state: Path,
    to: Path,
    since: str | None = None,
    until: str | None = None,
    *,
    utc_ns: int = NOW_NS,
    volume_bytes: int = VOLUME_BYTES,
) -> Extracted:
    """Extract a stopped recorder's lineage."""
    source = open_source(None, state)
    try:
        return extract(source, to, since, until, utc_ns=utc_ns, volume_bytes=volume_bytes)
    finally:
        source.close()


def rezipped(bundle: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The same bundle with members changed, or left out where `change` gives None."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return to


class LiveLineage:
    """A running recorder, as far as `audit.live.Live` asks for one, on a lineage in memory."""

    def __init__(self, lineage: LineageBuilder, *, may_extract: bool = True, a_page: int = 3) -> None:
        self.lineage = lineage
        self.may_extract = may_extract
        self.sealed = 0
        self.closed = False
        self._a_page = a_page

    @property
    def origin(self) -> str:
        return self.lineage.origin

    @property
    def actuators(self) -> dict[str, int | None]:
        return {"joint1": 1, "unused": None}

    def checkpoint(self) -> bytes:
        return self.lineage.checkpoint()

    def seal(self) -> bytes:
        self.sealed += 1
        return self.lineage.checkpoint()

    def read(self, seq: int) -> Page:
        found = self.lineage.records[seq : seq + self._a_page]
        return Page(seq + len(found), [(one.raw, one.claims) for one in found])

    def holds(self) -> dict[int, tuple[int, int | None]]:
        return {}

    def log_extraction(self, ranges: list[tuple[int, int]], manifest: bytes) -> Logged:
        if not self.may_extract:
            raise NotRecorded("not_permitted", "uid 1000 may not append extraction")
        seq = self.lineage.control(Kind.EXTRACTION, [list(item) for item in ranges], None, sha256(manifest).digest())
        return Logged(seq)

    def heads(self) -> Iterator[Head]:
        yield Head(self.lineage.seq, [], 0)

    def close(self) -> None:
        self.closed = True
