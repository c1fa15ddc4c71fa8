"""Opening what a power cut left with the recorder's own recovery, and everything that must hold then."""

from __future__ import annotations

from pathlib import Path
from stat import S_IMODE

from msgspec.structs import replace

from recorder import config as configs
from recorder.clock import SystemClock
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.entry import decode, entry_hash
from recorder.core.errors import LineageError
from recorder.core.kinds import Kind
from recorder.core.note import parse_note
from recorder.daemon import boot, identity
from recorder.daemon.randomness import ReadAhead
from recorder.store.layout import DATA, HEAD, TRUST, ordinals, segment_dir
from recorder.store.sessions import REQUESTS_MAX
from recorder.store.store import SEALED_MODE, Store
from tests.faults import authority, givenup
from tests.faults.replay import Promised
from tests.running import lineage_of, records_of, verified

UNCLEAN = frozenset({"unclean_stop"})  # what a power cut or a kill may leave in a report


def findings(
    state: Path, promised: Promised, written: list[bytes] | None = None, *, losses: frozenset[str] = UNCLEAN
) -> list[str]:
    """What is wrong after a start on this state; empty where all holds.

    Args:
        state: what the power cut left.
        promised: what had been acknowledged before it.
        written: all entries that the run wrote in the end, in order, where that is known.
        losses: problems that the report may name.

    """
    config = configs.load(state)
    try:
        # Without rules: what was announced is carried out whatever they say now, and nothing else goes.
        started = boot.start(state, replace(config, retention={}), identity.load(state), SystemClock(), ReadAhead())
    except (LineageError, OSError) as error:
        return [f"the recorder does not start: {error}"]
    store = started.context.journal.store
    found = []
    if (
        started.remark is not None and promised.entries
    ):  # with nothing promised, it is one that was put back before this run
        found.append(f"taken for an older copy: {started.remark}")
    before = store.tail.size - 2  # the start wrote a boot entry and a policy entry
    found += _forgotten(store)
    unsealed = _unsealed(store)
    is_governed = (state / TRUST).exists()
    if is_governed:
        found += authority.findings(started.context)
    if config.retention:
        found += givenup.without_reason(store)
        found += givenup.swept(started.context, config)
    store.close()
    if config.retention:
        found += givenup.begun(store.lineage)
    found += _changed(state, before, promised, written)
    report = authority.audited(state) if is_governed else verified(state)
    if report.integrity != "pass" or not set(report.problem_counts) <= losses:
        found.append(f"does not verify: integrity {report.integrity}, {report.problem_counts}")
    return found + unsealed


def _changed(state: Path, before: int, promised: Promised, written: list[bytes] | None) -> list[str]:
    """Of the entries before a start: those that are gone, altered, twice, or that nobody wrote."""
    kept = [raw for raw, _ in records_of(state)]
    if written is not None and kept[:before] != written[:before]:
        at = next((at for at in range(before) if at >= len(written) or kept[at] != written[at]), before)
        return [f"entry {at} of {before} is not the one that was written"]
    found = []
    for seq, digest in promised.entries.items():
        if seq >= before:
            found.append(f"entry {seq} was acknowledged and is gone: {before} are there")
        elif not entry_hash(kept[seq]).startswith(digest):
            found.append(f"entry {seq} was acknowledged with another hash")
    head = lineage_of(state) / HEAD
    size = parse_checkpoint(parse_note(head.read_bytes()).text).size if head.exists() else 0
    if size < promised.checkpoint:
        found.append(f"a checkpoint of {promised.checkpoint} left the recorder, the head file says {size}")
    return found


def _forgotten(store: Store) -> list[str]:
    """Stored requests that a repeat would not be recognised by, or that are stored twice."""
    found = []
    seen: set[bytes] = set()
    for seq, raw, _ in store.read(0):
        header = decode(raw).header
        if header.kind != Kind.ACTUATION:
            continue
        for commit in header.commits or []:
            if commit.request in seen:
                found.append(f"request {commit.request.hex()} is there twice, again in entry {seq}")
            seen.add(commit.request)
            session, counter = commit.request[:8], int.from_bytes(commit.request[8:], "big")
            sessions = store.tail.sessions
            answered = sessions.find(session, counter)
            if answered is None and (
                sessions.is_closed(session) or counter <= sessions.last_counter(session) - REQUESTS_MAX
            ):
                continue  # a repeat is refused: too old to be told from a new one
            if answered is None or answered.seq != seq:
                found.append(f"a repeat of the request in entry {seq} would be taken for a new one")
    return found


def _unsealed(store: Store) -> list[str]:
    """Older segments that readers of the group may not open."""
    paths = [segment_dir(store.lineage, at) / DATA for at in ordinals(store.lineage) if at < store.segments]
    return [
        f"{path.parent.name} is older than the live segment and not sealed"
        for path in paths
        if S_IMODE(path.stat().st_mode) != SEALED_MODE
    ]
