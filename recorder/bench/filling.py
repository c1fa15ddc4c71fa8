"""Entries without a recorder's process: written as it would, to have a lineage of some size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder import config as configs
from recorder.bench.acts import WHAT, WHERE, WHO
from recorder.clock import SystemClock
from recorder.core.kinds import Kind
from recorder.daemon import boot, identity
from recorder.daemon.randomness import ReadAhead
from recorder.store import prepare
from recorder.store.layout import segment_dir
from recorder.store.tail import Op
from recorder.writer.journal import Journal

BODY = {"who": WHO, "what": WHAT, "where": WHERE}  # about the bytes of an actuation
ENTRIES_A_RECORD = 4


@contextmanager
def filling(state: Path) -> Iterator[Journal]:
    """Start on a state, give its journal, and stop as a recorder stops."""
    started = boot.start(state, configs.load(state), identity.load(state), SystemClock(), ReadAhead())
    journal = started.context.journal
    try:
        yield journal
        journal.draft(Kind.STOP, {15: ["filled"]})
        journal.move(Op.STOP)
        journal.tick()
        journal.write()
    finally:
        journal.store.close()


def write_some(journal: Journal) -> None:
    """One record with a few entries."""
    for _ in range(ENTRIES_A_RECORD):
        body = journal.family("body", BODY)
        journal.draft(Kind.MARK, {11: body.digest}, {11: body.claims})
    journal.tick()
    journal.write()


def seal(journal: Journal, segment_bytes: int) -> None:
    """Begin another segment, and have the one after it made at once: the store would take its time over it."""
    following = segment_dir(journal.store.lineage, journal.store.segments + 2)
    if not following.exists():
        prepare.create(following, segment_bytes)
    journal.store.seal()
