"""One lineage read from a stopped state, from a running recorder and from bundles: always the same entries."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from recorder.audit.carried import BundleSource
from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.audit.source import LineageSource, entry_at, entry_named, identity_key, kind_of
from recorder.audit.state import StateSource, open_state
from recorder.client.errors import Unavailable
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.entry import decode, entry_hash
from recorder.core.errors import FormatError, LineageError, Misuse
from recorder.core.ids import entry_id
from recorder.core.merkle import verify_inclusion
from recorder.core.note import parse_note
from recorder.store.errors import StoreError
from recorder.store.layout import StateLock
from tests.audit.lineages import LiveLineage, small, to_bundle, write_state
from tests.lineage_builder import LineageBuilder


def running(state: Path, live: LiveLineage) -> tuple[StateLock, StateSource]:
    """A state that another process holds: flock counts descriptors, so ours will do."""
    lock = StateLock(state)
    return lock, open_state(state, connect=lambda _: live)


def check_same(source: LineageSource, lineage: LineageBuilder) -> None:
    assert source.origin == lineage.origin
    assert source.size == lineage.seq
    assert [held.raw for held in source.read()] == [record.raw for record in lineage.records]
    for first in (1, 6, 7, 8, lineage.seq - 1):
        with closing(source.read(first)) as entries:
            assert next(entries).seq == first
    assert identity_key(source) == lineage.identity.public_key


@pytest.mark.parametrize("seal_at", [(), (9, 20)])
def test_a_stopped_state_is_read_whole(tmp_path: Path, seal_at: tuple[int, ...]) -> None:
    """All segments are read in order, and the head file is the checkpoint."""
    lineage = small()
    with closing(open_source(None, write_state(tmp_path / "s", lineage, seal_at=seal_at))) as source:
        check_same(source, lineage)
        assert [held.claims or None for held in source.read()] == [record.claims for record in lineage.records]
        assert source.checkpoints == [lineage.checkpoint()]
        assert not source.is_running
        assert source.actuators() == ({1: "joint1", 2: "joint2"} if not seal_at else {})


def test_a_running_recorder_is_read_through_its_socket_and_sealed_segments(tmp_path: Path) -> None:
    """What is sealed comes from files, the rest over the socket, in one order."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage, seal_at=(9, 20))
    live = LiveLineage(lineage)
    lock, source = running(state, live)
    with closing(source):
        assert source.is_running
        check_same(source, lineage)
        assert source.tiles_below() == 9
        assert source.actuators() == {1: "joint1"}
    assert live.closed
    lock.close()


def test_a_segment_that_was_not_marked_as_sealed_comes_over_the_socket(tmp_path: Path) -> None:
    """A crash between rolling and marking leaves no hole."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage, seal_at=(9, 20))
    second = next((state / "lineages").iterdir()) / "segments" / "00000002" / "data.mdb"
    second.chmod(0o600)
    lock, source = running(state, LiveLineage(lineage))
    with closing(source):
        check_same(source, lineage)
    lock.close()


def test_a_running_recorder_that_does_not_answer_is_one_clear_error(tmp_path: Path) -> None:
    """The lock says that one runs, the socket that it does not answer; nothing is read beside it."""
    state = write_state(tmp_path / "s", small())

    def nobody(path: Path) -> LiveLineage:
        raise Unavailable(f"no recorder at {path}")

    lock = StateLock(state)
    with pytest.raises(StoreError, match=r"in use by a running recorder.*no recorder at"):
        open_state(state, connect=nobody)
    lock.close()


def test_reading_a_state_keeps_others_from_writing_it(tmp_path: Path) -> None:
    """While a stopped state is read, no recorder starts on it; afterwards it may."""
    state = write_state(tmp_path / "s", small())
    with closing(open_state(state)), pytest.raises(StoreError):
        StateLock(state)
    StateLock(state).close()


def test_reading_leaves_the_state_as_it_is(tmp_path: Path) -> None:
    """But for the lock file, no byte and no name changes."""
    state = write_state(tmp_path / "s", small(300), seal_at=(100,))

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in state.rglob("*") if path.is_file() and path.name != "lock"}

    before = content()
    to_bundle(state, tmp_path / "b.lineage")
    to_bundle(state, tmp_path / "c.lineage", "20", "30")
    assert content() == before


@pytest.mark.parametrize("seal_at", [(), (100, 301)])
def test_proofs_come_from_stored_tiles_and_lead_to_the_root(tmp_path: Path, seal_at: tuple[int, ...]) -> None:
    """Entries all over the tree are proven from a stopped state, a running one and a bundle."""
    lineage = small(600)
    state = write_state(tmp_path / "s", lineage, seal_at=seal_at)
    to_bundle(state, tmp_path / "b.lineage")

    def proven(source: LineageSource) -> None:
        checkpoint = parse_checkpoint(parse_note(source.checkpoints[-1]).text)
        for seq in (0, 255, 256, 511, 600, lineage.seq - 1):
            proof = source.prove(seq, lineage.hash_of(seq))
            assert proof is not None
            verify_inclusion(lineage.hash_of(seq), seq, checkpoint.size, proof.hashes, checkpoint.root)

    for one in (open_source(None, state), open_source(tmp_path / "b.lineage")):
        with closing(one):
            proven(one)
    lock, source = running(state, LiveLineage(lineage, a_page=50))
    with closing(source):
        proven(source)
    lock.close()


def test_what_lies_after_the_checkpoint_has_no_proof(tmp_path: Path) -> None:
    """There is no root yet that would cover it."""
    lineage = small()
    with closing(open_state(write_state(tmp_path / "s", lineage, head=10))) as source:
        assert source.prove(10, lineage.hash_of(10)) is None
        assert source.prove(9, lineage.hash_of(9)) is not None
    with closing(open_state(write_state(tmp_path / "t", lineage, head=None))) as source:
        assert source.prove(0, lineage.hash_of(0)) is None
        assert source.checkpoints == []


def test_entries_are_found_by_id(tmp_path: Path) -> None:
    """A seq or a printed id names an entry; wrong digits do not."""
    lineage = small()
    with closing(open_state(write_state(tmp_path / "s", lineage))) as source:
        assert entry_named(source, "5") == (entry_at(source, 5), entry_id(lineage.hash_of(5), 5))
        assert entry_named(source, "6.0.2")[1] == entry_id(lineage.hash_of(6), 6, 0, 2)
        held, named = entry_named(source, str(entry_id(lineage.hash_of(6), 6, 0)))
        assert (held.seq, named.index) == (6, 0)
        for text, error in (("6-00000000", FormatError), ("six", FormatError), ("99999", StoreError)):
            with pytest.raises(error):
                entry_named(source, text)
        with pytest.raises(StoreError, match=f"lineage of {lineage.seq}"):
            entry_at(source, lineage.seq)


def test_the_kind_is_seen_at_a_glance() -> None:
    """The fast look agrees with decoding, and says nothing of what is no entry."""
    lineage = small()
    for record in lineage.records:
        assert kind_of(record.raw) == decode(record.raw).header.kind
    assert kind_of(b"garbage") is None


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda path: None, "no state directory"),
        (lambda path: path.mkdir(), "holds no lineage yet"),
        (lambda path: (path.mkdir(), (path / "current").write_text("../../etc\n")), "16 hex digits"),
        (lambda path: (path.mkdir(), (path / "current").write_text("0123456789abcdef\n")), "no segments"),
    ],
)
def test_what_is_no_state_is_one_clear_error(tmp_path: Path, prepare: Callable[[Path], object], said: str) -> None:
    """Nothing there, nothing begun, a damaged name: each says so."""
    prepare(tmp_path / "s")
    with pytest.raises(LineageError, match=said):
        open_state(tmp_path / "s")


def test_one_thing_is_opened_at_a_time(tmp_path: Path) -> None:
    """Neither nothing nor two; a directory that is given like a bundle is a state."""
    with pytest.raises(Misuse):
        open_source(None)
    with pytest.raises(Misuse):
        open_source(tmp_path, tmp_path)
    with closing(open_source(write_state(tmp_path / "s", small()))) as source:
        assert isinstance(source, StateSource)


def test_a_socket_alone_is_enough(tmp_path: Path) -> None:
    """Who may not see the state directory reads everything over the socket, proofs included."""
    lineage = small(300)
    with closing(StateSource(tmp_path / "no-files", live=LiveLineage(lineage, a_page=50))) as source:
        check_same(source, lineage)
        assert source.prove(7, lineage.hash_of(7)) is not None
        assert check_source(source).exit_status() == 0
    with pytest.raises(LineageError, match="no such socket"):
        open_source(None, None, tmp_path / "recorder.sock")


# --- Bundles


def test_a_bundle_holds_the_same_entries(tmp_path: Path) -> None:
    """Whole: all of them, more than one tile's worth."""
    lineage = small(600)
    to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage")
    with closing(open_source(tmp_path / "b.lineage")) as source:
        assert isinstance(source, BundleSource)
        check_same(source, lineage)
        assert source.actuators() == {1: "joint1", 2: "joint2"}
        assert source.checkpoint_size() == lineage.seq
        assert source.faults() == []


def test_a_selection_holds_what_was_asked_for_and_what_that_needs(tmp_path: Path) -> None:
    """Introductions, carriers, policy, actuators and schemas come along, each entry with a proof."""
    lineage = small()
    made = to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage", "20", "27")
    with closing(BundleSource(tmp_path / "b.lineage")) as source:
        seqs = [held.seq for held in source.read()]
        assert seqs == [0, 1, 2, 3, 4, 5, *range(20, 28)]
        assert made.entries == len(seqs)
        for held in source.read():
            assert source.prove(held.seq, entry_hash(held.raw)) is not None
        assert source.prove(10, bytes(32)) is None
        with pytest.raises(StoreError, match="no entry 10 in this selection"):
            entry_at(source, 10)


def zipped(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, data in members:
            made.writestr(name, data)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "members",
    [
        [],
        [("manifest.cbor", b"")],
        [("manifest.cbor", b"\xa0")],
        [("../manifest.cbor", b"\xa0")],
        [("checkpoint", b"a"), ("checkpoint", b"b")],
        [("tile/0/000", bytes(32 * 256 + 1))],
        [("entry/1", bytes(70_000))],
        [("report.html", b"<html>")],
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    """Names from outside the grammar, twice, too large or missing: one named error each."""
    with pytest.raises(FormatError) as caught:
        BundleSource(zipped(tmp_path / "b.lineage", members))
    assert caught.value.error == "bundle_malformed"


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """A small file never unfolds into a large one."""
    with pytest.raises(FormatError, match="compressed"):
        BundleSource(zipped(tmp_path / "b.lineage", [("checkpoint", bytes(100_000))], zipfile.ZIP_DEFLATED))


def test_a_bundle_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """A download or a stick that ended early is no bundle."""
    to_bundle(write_state(tmp_path / "s", small(2)), tmp_path / "b.lineage")
    whole = (tmp_path / "b.lineage").read_bytes()
    for length in range(0, len(whole) - 1, 97):
        (tmp_path / "cut.lineage").write_bytes(whole[:length])
        with pytest.raises(FormatError) as caught:
            BundleSource(tmp_path / "cut.lineage")
        assert caught.value.error == "bundle_malformed"


def test_a_state_on_a_read_only_file_system_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can write there, so a mounted copy is read as it is."""
    state = write_state(tmp_path / "s", small())
    real = os.statvfs(state)

    class ReadOnly:
        f_flag = real.f_flag | os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _: ReadOnly)
    with closing(open_state(state)) as source:
        assert source.size == small().seq
    assert not (state / "lock").exists()
