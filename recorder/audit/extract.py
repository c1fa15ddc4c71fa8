"""Writing a bundle (FORMAT.md section 7): everything at a checkpoint, or a span with what it needs and proofs.

The source is only read; of a running recorder two things are asked: to seal its segment, and to log the extraction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from recorder.audit.carried import BundleSource
from recorder.audit.live import Live, read_live
from recorder.audit.part import ExtractionError, member_bytes
from recorder.audit.selection import needed_by
from recorder.audit.source import Held, LineageSource, entry_at, kind_of
from recorder.audit.span import Span, resolve
from recorder.audit.state import StateSource
from recorder.audit.target import VOLUME_BYTES, Target
from recorder.client.errors import NotRecorded, Unavailable
from recorder.core import bundle
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.entry import decode_in_order, entry_hash
from recorder.core.errors import FormatError
from recorder.core.ids import entry_id
from recorder.core.kinds import IDENTITY_SIGNED
from recorder.core.limits import ENTRY_MAX_BYTES, HASH_BYTES, TILE_WIDTH
from recorder.core.note import parse_note
from recorder.core.tiles import Tile, TileTree, encode_bundle, entries_path, tile_path

RECEIPT_MAX_BYTES = 2 * ENTRY_MAX_BYTES + 16
LISTED_BYTES = 64  # of the manifest for one volume more

Progress = Callable[[int, int], None]  # entries done, entries to do


def silent(_done: int, _total: int) -> None:
    """Show no progress."""


class Extracted(NamedTuple):
    """What was written."""

    path: Path
    volumes: list[Path]  # all files, of which `path` is the last
    bytes: int
    entries: int
    span: Span
    whole: bool
    checkpoint_size: int | None
    recorded: str | None  # printed id of the extraction entry; None: the bundle is unsigned
    remarks: list[str]  # what the one who carries it away should know


class _Writing:
    """What the steps of one extraction share."""

    def __init__(self, target: Target, progress: Progress) -> None:
        self.target = target
        self.progress = progress
        self.unreadable = 0  # entries whose claims could not be read, and so were left out
        self.introduction: Held | None = None

    def claims(self, held: Held) -> bytes:
        """The claims beside an entry as they may leave."""
        if not held.claims:
            return b""
        try:
            return bundle.to_transport(decode_in_order(held.raw).header, held.claims)
        except FormatError:
            self.unreadable += 1
            return b""

    def notice(self, held: Held) -> None:
        """Keep the latest introduction of a key, which a receipt needs."""
        if kind_of(held.raw) in IDENTITY_SIGNED:
            self.introduction = held


def extract(
    source: StateSource | BundleSource,
    to: Path,
    since: str | None,
    until: str | None,
    *,
    utc_ns: int,
    progress: Progress = silent,
    volume_bytes: int = VOLUME_BYTES,
) -> Extracted:
    """Write a bundle.

    Args:
        source: where from.
        to: the file to make, the last of several; must not be there.
        since: start of a selection (`span.resolve`).
        until: its end.
        utc_ns: the time now, for the manifest.
        progress: called now and then.
        volume_bytes: the most that one file may have; what does not fit goes into further volumes.

    Raises:
        ExtractionError: it cannot be written, or there is nothing to take.
        LineageError, OSError: the source cannot be read.

    """
    live = source.live if isinstance(source, StateSource) else None
    with Target(to, source.origin, utc_ns, volume_bytes) as target:
        if isinstance(source, StateSource) and live is not None:
            source.refresh(live.seal())
        writing = _Writing(target, progress)
        notes = source.checkpoints
        size = parse_checkpoint(parse_note(notes[-1]).text).size if notes else None
        whole = since is None and until is None and source.is_whole
        if notes:
            target.add(bundle.CHECKPOINT, notes[-1])
        remarks: list[str] = []
        if whole:
            span = Span(0, source.size - 1)
            entries = _write_whole(writing, source)
            if size is None:
                remarks.append("no checkpoint ever left this recorder, so none covers these entries")
            elif size < entries:
                remarks.append(
                    f"entries {size} to {entries - 1} lie after the last checkpoint: only keys vouch for them"
                )
        else:
            span, entries = _write_selection(writing, source, since, until, size)
        if writing.unreadable:
            remarks.append(f"claims of {writing.unreadable} entries could not be read and were left out")
        target.settle()
        recorded = _seal_bundle(writing, source, live, span, entries, whole=whole, utc_ns=utc_ns, remarks=remarks)
        written, volumes = target.finish()
    return Extracted(to, volumes, written, entries, span, whole, size, recorded, remarks)


def _write_whole(writing: _Writing, source: LineageSource) -> int:
    target, size = writing.target, source.size
    if not size:
        raise ExtractionError("there are no entries to extract")
    tree = TileTree()
    with closing(source.read(0)) as entries:
        for index, group in enumerate(_groups(entries)):
            first = index * TILE_WIDTH
            if [held.seq for held in group] != list(range(first, first + len(group))):
                raise ExtractionError(f"entries are missing between {first} and {group[-1].seq}; see `lineage verify`")
            parts: list[bytes] = []
            for held in group:
                writing.notice(held)
                claims = writing.claims(held)
                parts += (len(claims).to_bytes(bundle.LENGTH_BYTES, "big"), claims)
                for tile in tree.append(entry_hash(held.raw)):
                    target.add(tile_path(tile.level, tile.index), tile.hashes)
            target.add(entries_path(index, len(group)), encode_bundle([held.raw for held in group]))
            target.add(bundle.claims_path(index, len(group)), b"".join(parts))
            writing.progress(first + len(group), size)
    for tile in partial_tiles(tree):
        target.add(tile_path(tile.level, tile.index, len(tile.hashes) // HASH_BYTES), tile.hashes)
    return tree.size


def partial_tiles(tree: TileTree) -> Iterator[Tile]:
    """The tiles at the right edge of a tree that are not full."""
    size = tree.size
    for level, hashes in enumerate(tree.snapshot()):
        if hashes:
            yield Tile(level, size >> (8 * (level + 1)), hashes)


def _groups(entries: Iterator[Held]) -> Iterator[list[Held]]:
    while group := list(islice(entries, TILE_WIDTH)):
        yield group


def _write_selection(
    writing: _Writing, source: LineageSource, since: str | None, until: str | None, size: int | None
) -> tuple[Span, int]:
    if size is None:
        raise ExtractionError("no checkpoint covers a selection; extract everything, without --since and --until")
    span = resolve(source, since, until)
    if span is not None:
        span = Span(span.first, min(span.last, size - 1))
    if span is None or span.last < span.first:
        raise ExtractionError(f"no entries in that span: the last checkpoint covers entries 0 to {size - 1}")
    below = needed_by(source, span)
    total = len(below) + span.last - span.first + 1
    done = 0
    # Proofs read tiles, and a segment is opened once at a time: so entries come in groups, with no read left open.
    for seqs in (below, range(span.first, span.last + 1)):
        for at in range(0, len(seqs), TILE_WIDTH):
            for held in _taken(source, seqs[at : at + TILE_WIDTH]):
                _write_one(writing, source, held)
                done += 1
            writing.progress(done, total)
    return span, done


def _taken(source: LineageSource, seqs: list[int] | range) -> list[Held]:
    if isinstance(seqs, range):
        with closing(source.read(seqs.start)) as entries:
            return list(islice(entries, len(seqs)))
    return [entry_at(source, seq) for seq in seqs]


def _write_one(writing: _Writing, source: LineageSource, held: Held) -> None:
    proof = source.prove(held.seq, entry_hash(held.raw))
    if proof is None:
        raise ExtractionError(f"the checkpoint does not cover entry {held.seq}")
    writing.notice(held)
    writing.target.add(f"{bundle.ENTRY}/{held.seq}", held.raw)
    claims = writing.claims(held)
    if claims:
        writing.target.add(f"{bundle.CLAIM}/{held.seq}", claims)
    writing.target.add(f"{bundle.PROOF}/{held.seq}", proof.encode())


def _seal_bundle(
    writing: _Writing,
    source: LineageSource,
    live: Live | None,
    span: Span,
    entries: int,
    *,
    whole: bool,
    utc_ns: int,
    remarks: list[str],
) -> str | None:
    """Write the manifest, and the receipt if a recorder logs it; returns the id of its entry."""
    target, ranges = writing.target, [(span.first, span.last)]
    manifest = bundle.Manifest(
        bundle.FORMAT, source.origin, whole, entries, ranges, [], utc_ns, live is not None, target.members
    )  # fmt: skip
    receipt_bytes = 0 if live is None else member_bytes(bundle.EXTRACTION, RECEIPT_MAX_BYTES)
    manifest_bytes = member_bytes(bundle.MANIFEST, len(manifest.encode()) + LISTED_BYTES)
    target.make_room(manifest_bytes + receipt_bytes, "manifest and receipt")  # before the manifest is final
    recorded = None
    if live is not None:
        try:
            logged = live.log_extraction(ranges, manifest.encode())
            raw, introduction = _receipt(writing, source, live, logged.seq, whole=whole)
            target.add_last(bundle.EXTRACTION, bundle.encode_receipt(raw, introduction))
            recorded = str(entry_id(entry_hash(raw), logged.seq))
        except (NotRecorded, Unavailable) as error:
            manifest = manifest._replace(recorded=False)
            remarks.append(f"the recorder did not log this extraction, so the bundle is unsigned: {error}")
    else:
        remarks.append("no recorder runs that could log this extraction, so the bundle is unsigned")
    target.add_last(bundle.MANIFEST, manifest.encode())
    return recorded


def _receipt(writing: _Writing, source: LineageSource, live: Live, seq: int, *, whole: bool) -> tuple[bytes, bytes]:
    if not whole:  # a selection did not see all introductions
        with closing(source.read(0)) as stored:
            for held in stored:
                writing.notice(held)
    for held in read_live(live, source.size, seq + 1):
        writing.notice(held)
        if held.seq == seq and writing.introduction is not None:
            return held.raw, writing.introduction.raw
    raise Unavailable(f"the recorder did not give back entry {seq}")
