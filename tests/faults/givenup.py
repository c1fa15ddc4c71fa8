"""Claims that were given up before a power cut: named by a durable deletion entry and gone with the next sweep, or all there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import msgspec

from recorder.config import Config
from recorder.core.controls import Deletion
from recorder.core.entry import decode
from recorder.core.header import Header
from recorder.core.kinds import Kind
from recorder.daemon import room, sweep
from recorder.store.layout import SEGMENTS
from recorder.store.store import Store
from recorder.writer.context import Context

SENT_MAX = 8  # children until nothing is left to do


class Here:
    """The sweeper's child's work in this process: an interpreter's start for each of thousands of states is too long."""

    def __init__(self) -> None:
        self._outcome: sweep.Outcome | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an outcome was not fetched."""
        return self._outcome is not None

    def start(self, order: sweep.Order) -> None:
        """Do all of it; an error is the caller's, and so a finding."""
        self._outcome = sweep.Outcome()
        sent = msgspec.json.decode(msgspec.json.encode(order), type=sweep.Order)
        sweep.carry_out(sent, self._outcome, lambda _: None)

    def fetch(self) -> sweep.Outcome | None:
        """What came of it."""
        outcome, self._outcome = self._outcome, None
        return outcome


def without_reason(store: Store) -> list[str]:
    """Acts whose claims are gone and that no deletion entry names; to be asked before anything is swept."""
    named = list(_deletions(store))
    return [
        f"the claims of entry {header.seq} are gone and no deletion entry names them"
        for header, is_held in _acts(store)
        if not is_held and not any(_names(deletion, header) for _, deletion in named)
    ]


def swept(context: Context, config: Config) -> list[str]:
    """What is wrong once the recorder's own upkeep has nothing left to erase."""
    journal, said, here = context.journal, list[str](), Here()

    def write() -> None:
        journal.write()

    for ordinal in range(1, journal.store.segments):
        journal.store.forget(ordinal)  # LMDB opens a file only once in one process
    with mock.patch.object(room, "Sweeper", return_value=here):
        upkeep = room.Room(context, config, said.append, time.monotonic())
    for _ in range(SENT_MAX):
        upkeep.tick(time.monotonic(), write)
        if not here.is_busy:
            break
    else:
        said.append(f"sweeps without an end: {SENT_MAX} times")
    found = [f"the next sweep: {line}" for line in said]
    if journal.tail.erasures:
        found.append(f"announced and not carried out by the next start: {sorted(journal.tail.erasures)}")
    acts = list(_acts(journal.store))
    for seq, deletion in _deletions(journal.store):
        left = [header.seq for header, is_held in acts if is_held and _names(deletion, header)]
        if left:
            found.append(f"deletion entry {seq} names entries that keep their claims: {left[:5]}")
    return found


def begun(lineage: Path) -> list[str]:
    """Files and directories that somebody began and nobody ends; of a recorder that was closed."""
    return [f"{path} is left over" for path in sorted((lineage / SEGMENTS).rglob("*.tmp"))]


def _acts(store: Store) -> Iterator[tuple[Header, bool]]:
    """Headers of entries with commits, and whether their claims are held: no other entry shares anything of these."""
    for _, raw, claims in store.read(0):
        header = decode(raw).header
        if header.commits:
            yield header, bool(claims)


def _deletions(store: Store) -> Iterator[tuple[int, Deletion]]:
    for seq, raw, _ in store.read(0):
        header = decode(raw).header
        if header.kind == Kind.DELETION:
            yield seq, header.control


def _names(deletion: Deletion, header: Header) -> bool:
    return (
        deletion.first <= header.seq <= deletion.last
        and header.classes is not None
        and header.classes.retention_class == deletion.retention_class
    )
