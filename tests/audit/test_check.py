"""Verification of sources: what is wrong is named with step and place, whatever it lies in."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import lmdb
import pytest

from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.audit.pool import BATCH_JOBS, JobPool
from recorder.core import bundle, cbor
from recorder.core.cosignature import cosigner_key
from recorder.core.errors import FormatError, LineageError
from recorder.core.keys import SeedSigner
from recorder.core.note import Note, parse_note
from recorder.core.trust import Trust
from recorder.core.verdict import Report
from recorder.core.verify import Checked, Verifier, check_jobs
from recorder.store import segment as segments
from tests.audit.lineages import rezipped, small, to_bundle, write_state
from tests.audit.trust import cosigned, trusting
from tests.lineage_builder import LineageBuilder


def checked(path: Path, trust: Trust | None = None, known: Sequence[bytes] = ()) -> Report:
    with closing(open_source(path)) as source:
        return check_source(source, trust=trust, known=known)


def errors(report: Report) -> set[str]:
    return set(report.problem_counts)


def test_a_sound_state_passes_and_what_has_no_subject_says_so(tmp_path: Path) -> None:
    """Four verdicts; nothing is passed that was not checked."""
    lineage = small(300)
    report = checked(write_state(tmp_path / "s", lineage, seal_at=(100,)))
    assert (report.integrity, report.completeness) == ("pass", "pass")
    assert (report.authority, report.witnessing) == ("nothing", "nothing")
    assert (report.entries, report.exit_status(), report.identity) == (lineage.seq, 0, "unpinned")


def test_a_trust_file_pins_the_identity(tmp_path: Path) -> None:
    """The right key passes pinned; another key, or another platform, is found."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage)
    assert checked(state, trusting(lineage)).identity == "pinned"
    thief = SeedSigner(bytes(32)).public_key
    assert "identity_untrusted" in errors(checked(state, trusting(lineage, key=thief)))
    report = checked(state, trusting(lineage, name="acme/arm-70"))
    assert errors(report) == {"identity_untrusted"}
    assert report.exit_status() == 1


def test_a_known_checkpoint_finds_a_tail_that_was_cut(tmp_path: Path) -> None:
    """Both in a state and in a bundle."""
    lineage = small()
    known = lineage.checkpoint()
    del lineage.records[-3:]
    lineage._hashes[:] = lineage._hashes[:-3]
    state = write_state(tmp_path / "s", lineage)
    to_bundle(state, tmp_path / "b.lineage")
    for path in (state, tmp_path / "b.lineage"):
        assert checked(path).exit_status() == 0, "on its own it looks like a recorder that still runs"
        report = checked(path, known=[known])
        assert "truncated" in errors(report)
        assert report.exit_status() == 1


def test_cosignatures_are_held_against_the_quorum(tmp_path: Path) -> None:
    """Enough witnesses pass and shorten the unwitnessed tail; too few say nothing; a false one fails."""
    lineage = small()
    keys = [cosigner_key(name, lineage.signer(name).public_key) for name in ("w1", "w2")]
    trust = trusting(lineage, f"witness w1 {keys[0]}", f"witness w2 {keys[1]}", "group both all w1 w2", "quorum both")
    state = write_state(tmp_path / "s", lineage)
    note = lineage.checkpoint(lineage.seq - 4)
    report = checked(state, trust, [cosigned(lineage, note, "w1", "w2")])
    assert (report.witnessing, report.unwitnessed.entries, report.exit_status()) == ("pass", 4, 0)
    report = checked(state, trust, [cosigned(lineage, note, "w1")])
    assert (report.witnessing, report.unwitnessed.entries) == ("nothing", lineage.seq)
    good = parse_note(cosigned(lineage, note, "w1"))
    other = parse_note(cosigned(lineage, lineage.checkpoint(3), "w1"))
    false = Note(good.text, (good.signatures[0], other.signatures[1])).encode()
    assert checked(state, trust, [false]).exit_status() == 1


# --- Every member of a bundle


def sorts(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as opened:
        return opened.namelist()


EXPECTED = {
    "checkpoint": {"member_digest"},
    "tile": {"member_digest", "tile_mismatch"},
    "entries": {"member_digest"},
    "claims": {"member_digest"},
}


def broken(directory: Path, member: str, change: Callable[[str, bytes], bytes | None]) -> Report | None:
    """What is found in the bundle after a change to a member; None where it cannot be read any more, as may be."""
    try:
        return checked(rezipped(directory / "b.lineage", directory / "broken.lineage", change))
    except FormatError as error:
        assert error.error == "bundle_malformed"
        assert member in ("manifest.cbor", "checkpoint")
        return None


@pytest.mark.parametrize("span", [(None, None), ("10", "20")])
def test_a_flipped_byte_in_any_member_is_found(tmp_path: Path, span: tuple[str | None, str | None]) -> None:
    """Exit 1 with a named problem, or unreadable; never passed."""
    to_bundle(write_state(tmp_path / "s", small(270)), tmp_path / "b.lineage", *span)
    chance = random.Random(7)
    for wanted in sorts(tmp_path / "b.lineage"):

        def flip(name: str, data: bytes, wanted: str = wanted) -> bytes:
            if name != wanted:
                return data
            at = chance.randrange(len(data))
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]

        report = broken(tmp_path, wanted, flip)
        if report is None:
            continue
        assert report.exit_status() == 1, wanted
        assert EXPECTED.get(bundle.member(wanted).sort, set()) <= errors(report), (wanted, errors(report))


@pytest.mark.parametrize("span", [(None, None), ("10", "20")])
def test_a_member_that_is_missing_is_found(tmp_path: Path, span: tuple[str | None, str | None]) -> None:
    """The manifest says what should be here."""
    to_bundle(write_state(tmp_path / "s", small(270)), tmp_path / "b.lineage", *span)
    for wanted in sorts(tmp_path / "b.lineage"):

        def leave_out(name: str, data: bytes, wanted: str = wanted) -> bytes | None:
            return None if name == wanted else data

        report = broken(tmp_path, wanted, leave_out)
        if report is None:
            continue
        assert report.exit_status() == 1, wanted
        assert "member_digest" in errors(report)


def test_damage_on_a_stick_still_names_the_entry(tmp_path: Path) -> None:
    """A byte that flipped in the file, checksums untouched: the entry is named, all others are checked."""
    lineage = small()
    to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage")
    data = bytearray((tmp_path / "b.lineage").read_bytes())
    at = data.index(lineage.records[12].raw) + len(lineage.records[12].raw) - 10
    data[at] ^= 4
    (tmp_path / "b.lineage").write_bytes(data)
    report = checked(tmp_path / "b.lineage")
    assert report.exit_status() == 1
    assert report.entries == lineage.seq
    assert ("signature_invalid", 12) in {(found.error, found.seq) for found in report.problems}


@pytest.mark.parametrize("span", [(None, None), ("6", "8")])
@pytest.mark.parametrize("every", [97, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_no_byte_inside_a_member_can_be_flipped(
    tmp_path: Path, span: tuple[str | None, str | None], every: int
) -> None:
    """Bytes of the ZIP's own headers may (dates, flags); of what they hold, none. No error but ours comes out."""
    made = tmp_path / "b.lineage"
    to_bundle(write_state(tmp_path / "s", small(2)), made, *span)
    sound = checked(made).exit_status()
    whole = made.read_bytes()
    with zipfile.ZipFile(made) as opened:
        starts = [(one.header_offset + 30 + len(one.filename), one.file_size) for one in opened.infolist()]
    held = {at for start, length in starts for at in range(start, start + length)}
    for at in range(0, len(whole), every):
        (tmp_path / "x.lineage").write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        try:
            status = checked(tmp_path / "x.lineage").exit_status()
        except LineageError:
            status = 2
        assert status in (1, 2) or (at not in held and status == sound), at


def remade(source: Path, to: Path, change: Any) -> Path:
    """A bundle changed by someone who also makes the manifest anew."""
    digests: dict[str, bytes] = {}

    def changed(name: str, data: bytes) -> bytes | None:
        if name == "manifest.cbor":
            value = cbor.decode(data)
            return cbor.encode({**value, "members": digests})
        new: bytes | None = change(name, data)
        if new is not None and name != "extraction":
            digests[name] = sha256(new).digest()
        return new

    return rezipped(source, to, changed)


def test_a_forger_who_makes_the_manifest_anew_is_found_by_the_entries(tmp_path: Path) -> None:
    """Tiles, claims and entries are judged by what the recorder signed, not by the manifest."""
    to_bundle(write_state(tmp_path / "s", small(300)), tmp_path / "b.lineage")

    def flip_last(wanted: str) -> Any:
        return lambda name, data: data[:-1] + bytes([data[-1] ^ 1]) if name.startswith(wanted) else data

    for wanted, error in (
        ("tile/0/000", "tile_mismatch"),
        ("tile/1/000", "tile_mismatch"),
        ("tile/entries/000", "signature_invalid"),
        ("claims/000", "claims_mismatch"),
        ("checkpoint", "checkpoint_malformed"),
    ):
        report = checked(remade(tmp_path / "b.lineage", tmp_path / "broken.lineage", flip_last(wanted)))
        assert error in errors(report), wanted
        assert report.exit_status() == 1


def test_a_receipt_that_was_taken_out_or_put_in_is_found(tmp_path: Path) -> None:
    """The manifest says whether the recorder logged the extraction."""
    to_bundle(write_state(tmp_path / "s", small()), tmp_path / "b.lineage")
    with zipfile.ZipFile(tmp_path / "b.lineage", "a") as opened:
        opened.writestr("extraction", b"\x82\x40\x40")
    report = checked(tmp_path / "b.lineage")
    assert errors(report) == {"extraction_receipt"}
    assert report.exit_status() == 1


def test_a_selection_is_compared_with_a_known_checkpoint(tmp_path: Path) -> None:
    """Same size and another root is a fork; another size cannot be compared; another log is said."""
    lineage = small()
    to_bundle(write_state(tmp_path / "s", lineage), tmp_path / "b.lineage", "10", "12")
    path = tmp_path / "b.lineage"
    assert checked(path, known=[lineage.checkpoint(), lineage.checkpoint(5)]).exit_status() == 3
    assert "checkpoint_fork" in errors(checked(path, known=[lineage.checkpoint(root=bytes(32))]))
    thief = lineage.checkpoint(signer=lineage.signer("thief"))
    assert "checkpoint_signature" in errors(checked(path, known=[thief]))
    other = LineageBuilder(origin="acme/arm-8/0123456789abcdef").setup()
    assert "origin_mismatch" in errors(checked(path, known=[other.checkpoint()]))
    assert "checkpoint_malformed" in errors(checked(path, known=[b"nonsense"]))


# --- States


def altered(state: Path, key: bytes, change: Any) -> None:
    """Change a value in the only segment, as someone with LMDB at hand would."""
    path = next((state / "lineages").iterdir()) / "segments" / "00000001"
    with lmdb.open(str(path), map_size=8 << 20, lib_version=0) as env, env.begin(write=True) as transaction:
        transaction.put(key, change(transaction.get(key)))


def test_a_stored_tile_that_was_changed_is_found(tmp_path: Path) -> None:
    """Proofs would be made of it."""
    state = write_state(tmp_path / "s", small(600))
    altered(state, segments.tile_key(0, 1), lambda tile: bytes([tile[0] ^ 1]) + tile[1:])
    report = checked(state)
    assert errors(report) == {"tile_mismatch"}
    assert report.problems[0].seq == 256


def test_a_record_that_was_damaged_is_found_and_placed(tmp_path: Path) -> None:
    """A torn or flipped record fails its checksum: exit 1, with the entry where it begins."""
    state = write_state(tmp_path / "s", small(), entries_a_record=5)
    altered(state, segments.RECORD + (10).to_bytes(8, "big"), lambda value: value[:-1] + bytes([value[-1] ^ 1]))
    report = checked(state)
    assert {"record_damaged", "truncated"} <= errors(report)
    assert next(found.seq for found in report.problems if found.error == "record_damaged") == 10
    assert report.entries == 10


def test_a_first_record_that_is_damaged_is_found(tmp_path: Path) -> None:
    """Not even the identity key can be read then."""
    state = write_state(tmp_path / "s", small(), entries_a_record=500)
    altered(state, segments.RECORD + bytes(8), lambda value: value[:-1] + bytes([value[-1] ^ 1]))
    report = checked(state)
    assert "record_damaged" in errors(report)
    assert report.exit_status() == 1


# --- The pool


def test_workers_find_what_one_process_finds(tmp_path: Path) -> None:
    """The same report, whether jobs are checked here or by processes, in whatever order they end."""
    lineage = small(3 * BATCH_JOBS)
    for seq in (50, 400, 700):
        raw = lineage.records[seq].raw
        lineage.records[seq] = lineage.records[seq]._replace(raw=raw[:-1] + bytes([raw[-1] ^ 1]))
    reports = []
    for workers, alone in ((1, 0), (2, 0), (2, 300)):
        verifier = Verifier(lineage.origin)
        with JobPool(check_jobs, verifier.take, workers, alone) as pool:
            for raw, held in lineage.records:
                job = verifier.feed(raw, held)
                assert job is not None
                pool.give(job)
            pool.finish()
        reports.append(verifier.finish())
    assert reports[0] == reports[1] == reports[2]
    assert {found.seq for found in reports[0].problems if found.error == "signature_invalid"} == {50, 400, 700}


def test_results_are_taken_while_jobs_are_given() -> None:
    """What is on its way is bounded, so memory does not grow with the log."""
    taken: list[Checked] = []
    lineage = small(20 * BATCH_JOBS)
    verifier = Verifier(lineage.origin)
    most_out = 0
    given = 0
    with JobPool(check_jobs, taken.append, 2, 0) as pool:
        for raw, held in lineage.records:
            job = verifier.feed(raw, held)
            assert job is not None
            pool.give(job)
            given += 1
            most_out = max(most_out, given - sum(one.jobs for one in taken))
        pool.finish()
    assert sum(one.jobs for one in taken) == given
    assert most_out <= 8 * BATCH_JOBS
