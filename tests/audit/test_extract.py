"""Writing bundles: whole or not at all, with a receipt where a recorder runs."""

from __future__ import annotations

import errno
import os
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recorder.audit.carried import BundleSource
from recorder.audit.check import check_source
from recorder.audit.extract import Extracted, extract
from recorder.audit.opening import open_source
from recorder.audit.part import ExtractionError
from recorder.audit.state import open_state
from recorder.core import bundle, cbor
from recorder.core.errors import LineageError, Misuse
from recorder.store.errors import StoreDamagedError
from recorder.store.layout import StateLock
from tests.audit.lineages import NOW_NS, LiveLineage, small, to_bundle, write_state


def from_running(state: Path, live: LiveLineage, to: Path, since: str | None = None) -> Extracted:
    lock = StateLock(state)
    try:
        with closing(open_state(state, connect=lambda _: live)) as source:
            return extract(source, to, since, None, utc_ns=NOW_NS)
    finally:
        lock.close()


def verified(path: Path) -> tuple[int, dict[str, int]]:
    with closing(open_source(path)) as source:
        report = check_source(source)
        return report.exit_status(), report.problem_counts


def test_a_stopped_state_gives_an_unsigned_bundle_that_verifies(tmp_path: Path) -> None:
    """Nobody logs it, and the bundle says so."""
    lineage = small(300)
    made = to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage")
    assert (made.entries, made.whole, made.recorded) == (lineage.seq, True, None)
    assert any("unsigned" in remark for remark in made.remarks)
    assert made.bytes == (tmp_path / "b.lineage").stat().st_size
    assert verified(tmp_path / "b.lineage") == (0, {})
    with closing(BundleSource(tmp_path / "b.lineage")) as source:
        assert not source.manifest.recorded
        assert check_source(source).notes["unsigned_bundle"] == 1


def test_two_extractions_of_the_same_are_the_same(tmp_path: Path) -> None:
    """No time, user or machine slips into the file but what the manifest says."""
    state = write_state(tmp_path / "s", small())
    to_bundle(state, tmp_path / "a.lineage")
    to_bundle(state, tmp_path / "b.lineage")
    assert (tmp_path / "a.lineage").read_bytes() == (tmp_path / "b.lineage").read_bytes()


@pytest.mark.parametrize("since", [None, "15"])
def test_a_running_recorder_seals_and_logs_the_extraction(tmp_path: Path, since: str | None) -> None:
    """The receipt names the manifest's hash, and the bundle verifies with it."""
    lineage = small()
    live = LiveLineage(lineage)
    size = lineage.seq
    made = from_running(write_state(tmp_path / "s", lineage, seal_at=(9,)), live, tmp_path / "b.lineage", since)
    assert live.sealed == 1
    assert made.recorded is not None
    assert made.recorded.startswith(f"{size}-")
    assert made.remarks == []
    assert verified(tmp_path / "b.lineage")[0] == (0 if since is None else 3)
    with closing(BundleSource(tmp_path / "b.lineage")) as source:
        assert source.is_recorded


def test_a_receipt_names_the_epoch_in_force(tmp_path: Path) -> None:
    """An epoch key that came after the checkpoint is introduced by its own entry."""
    lineage = small()

    class Renewing(LiveLineage):
        def seal(self) -> bytes:
            note = super().seal()
            self.lineage.new_epoch()
            return note

    made = from_running(write_state(tmp_path / "s", lineage, seal_at=(9,)), Renewing(lineage), tmp_path / "b.lineage")
    assert made.recorded is not None
    assert verified(tmp_path / "b.lineage") == (0, {})


def test_a_recorder_that_may_not_log_it_leaves_the_bundle_unsigned(tmp_path: Path) -> None:
    """The evidence is carried away all the same, and says what it lacks."""
    lineage = small()
    live = LiveLineage(lineage, may_extract=False)
    made = from_running(write_state(tmp_path / "s", lineage), live, tmp_path / "b.lineage")
    assert made.recorded is None
    assert any("not_permitted" in remark for remark in made.remarks)
    assert verified(tmp_path / "b.lineage") == (0, {})


def test_entries_after_the_last_checkpoint_are_carried_too(tmp_path: Path) -> None:
    """What came before a crash is what everybody wants to see."""
    lineage = small()
    made = to_bundle(write_state(tmp_path / "s", lineage, head=10), tmp_path / "b.lineage")
    assert (made.entries, made.checkpoint_size) == (lineage.seq, 10)
    assert any("after the last checkpoint" in remark for remark in made.remarks)
    assert verified(tmp_path / "b.lineage") == (0, {})
    made = to_bundle(write_state(tmp_path / "t", lineage, head=None), tmp_path / "c.lineage")
    assert made.checkpoint_size is None
    assert verified(tmp_path / "c.lineage") == (0, {})


def test_a_selection_is_a_declared_loss(tmp_path: Path) -> None:
    """It verifies, and completeness says that it is a part."""
    state = write_state(tmp_path / "s", small(400))
    to_bundle(state, tmp_path / "b.lineage", "300", "350")
    assert verified(tmp_path / "b.lineage") == (3, {"selection_partial": 1})


def test_a_bundle_can_be_narrowed_again(tmp_path: Path) -> None:
    """An inspector passes on a part of what was carried away."""
    to_bundle(write_state(tmp_path / "s", small(100)), tmp_path / "b.lineage")
    with closing(open_source(tmp_path / "b.lineage")) as source:
        extract(source, tmp_path / "part.lineage", "40", "50", utc_ns=NOW_NS)
    assert verified(tmp_path / "part.lineage") == (3, {"selection_partial": 1})


def test_no_secret_is_in_a_bundle(tmp_path: Path) -> None:
    """Claims leave in transport form only."""
    lineage = small()
    to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage")
    whole = (tmp_path / "b.lineage").read_bytes()
    for number in range(1, lineage._secrets + 1):
        assert lineage.octets(f"secret {number}", 16) not in whole


def test_claims_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    """They might hold a secret."""
    lineage = small()
    at = next(seq for seq, one in enumerate(lineage.records) if one.claims)
    lineage.records[at] = lineage.records[at]._replace(claims=cbor.encode([b"secret secret 16"]))
    made = to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage")
    assert any("claims of 1 entries" in remark for remark in made.remarks)
    assert b"secret secret 16" not in (tmp_path / "b.lineage").read_bytes()


@pytest.mark.parametrize(
    ("since", "until", "head", "error"),
    [
        ("99999", None, -1, "no entries in that span"),
        ("20", "10", -1, "no entries in that span"),
        ("20", None, 10, "covers entries 0 to 9"),
        ("5", None, None, "no checkpoint covers a selection"),
        ("yesterday", None, -1, "is not a seq"),
        ("2026-11-21T08:00:00", None, -1, "offset"),
    ],
)
def test_a_span_with_nothing_in_it_is_one_clear_error(
    tmp_path: Path, since: str, until: str | None, head: int | None, error: str
) -> None:
    """And leaves no file."""
    state = write_state(tmp_path / "s", small(), head=head)
    with pytest.raises((ExtractionError, Misuse), match=error):
        to_bundle(state, tmp_path / "b.lineage", since, until)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_a_name_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    """Neither a file nor a link that leads nowhere is written over."""
    state = write_state(tmp_path / "s", small())
    (tmp_path / "b.lineage").write_text("mine")
    (tmp_path / "link.lineage").symlink_to(tmp_path / "nowhere")
    for name in ("b.lineage", "link.lineage"):
        with pytest.raises(ExtractionError, match="is there already"):
            to_bundle(state, tmp_path / name)
    assert (tmp_path / "b.lineage").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_an_earlier_extraction_left_is_replaced_not_followed(tmp_path: Path) -> None:
    """A `.part` that is a link, on a stick that somebody prepared, leads us nowhere else."""
    state = write_state(tmp_path / "s", small())
    (tmp_path / "target").write_text("precious")
    (tmp_path / "b.lineage.part").symlink_to(tmp_path / "target")
    to_bundle(state, tmp_path / "b.lineage")
    assert (tmp_path / "target").read_text() == "precious"
    assert verified(tmp_path / "b.lineage") == (0, {})


@pytest.mark.parametrize("at", [0, 1, 4, 10])
def test_a_full_stick_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Wherever it fills up: one clear error, and the `.part` is gone."""
    from recorder.audit import part

    state = write_state(tmp_path / "s", small(300))
    real = part._Sink.write
    calls = 0

    def full(self: Any, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > at and self.failure is None:
            self.failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise self.failure
        return real(self, data)

    monkeypatch.setattr(part._Sink, "write", full)
    with pytest.raises(ExtractionError, match="No space left on device"):
        to_bundle(state, tmp_path / "b.lineage")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_a_failing_flush_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A medium that fails when it has to write for good is noticed."""
    state = write_state(tmp_path / "s", small())

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(ExtractionError, match="Input/output error"):
            to_bundle(state, tmp_path / "b.lineage")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_a_medium_that_reads_back_other_bytes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody leaves with a stick that only seems to hold the evidence."""
    from recorder.audit import part

    real = part.Part.settle

    def faulty(self: part.Part) -> None:
        real(self)
        at = self.path.read_bytes().index(b"acme/arm-7")
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(b"ACME")

    monkeypatch.setattr(part.Part, "settle", faulty)
    with pytest.raises(ExtractionError, match="medium is faulty"):
        to_bundle(write_state(tmp_path / "s", small()), tmp_path / "b.lineage")
    assert not (tmp_path / "b.lineage").exists()
    assert not (tmp_path / "b.lineage.part").exists()


def test_no_permission_is_one_clear_error(tmp_path: Path) -> None:
    """A directory that is not there stands for any that cannot be written."""
    with pytest.raises(ExtractionError, match="cannot write"):
        to_bundle(write_state(tmp_path / "s", small()), tmp_path / "absent" / "b.lineage")


def test_a_damaged_store_gives_no_bundle_of_a_part(tmp_path: Path) -> None:
    """The damage is named; a bundle that silently ends there would look whole."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage)
    data = next((state / "lineages").iterdir()) / "segments" / "00000001" / "data.mdb"
    raw = bytearray(data.read_bytes())
    at = raw.index(lineage.records[15].raw[20:60])
    raw[at + 30] ^= 1
    data.write_bytes(raw)
    with pytest.raises(StoreDamagedError) as caught:
        to_bundle(state, tmp_path / "b.lineage")
    assert caught.value.seq == 14
    assert not (tmp_path / "b.lineage").exists()


def test_members_are_stored_under_names_of_the_grammar(tmp_path: Path) -> None:
    """Any ZIP tool opens it, and the manifest lists each member but itself."""
    to_bundle(write_state(tmp_path / "s", small(300)), tmp_path / "b.lineage")
    with zipfile.ZipFile(tmp_path / "b.lineage") as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        manifest = bundle.parse_manifest(opened.read("manifest.cbor"))
    assert set(names) == {*manifest.members, "manifest.cbor"}
    assert {bundle.member(name).sort for name in names} == {
        *("checkpoint", "tile", "entries", "claims", "manifest.cbor")
    }
    assert isinstance(manifest, bundle.Manifest)
    assert manifest.made_utc_ns == NOW_NS


def test_an_unreadable_source_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    """The error says which side failed."""
    state = write_state(tmp_path / "s", small())
    with closing(open_source(None, state)) as source:

        def broken(from_seq: int = 0) -> Any:
            raise OSError(errno.EIO, "the source")

        source.read = broken  # type: ignore[method-assign]
        with pytest.raises((OSError, LineageError), match="the source"):
            extract(source, tmp_path / "b.lineage", None, None, utc_ns=NOW_NS)
    assert not (tmp_path / "b.lineage.part").exists()
