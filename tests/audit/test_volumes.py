"""Bundles in several volumes: a set is whole, or what it lacks is named."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit import part, target
from recorder.audit.carried import BundleSource
from recorder.audit.check import check_source
from recorder.audit.extract import Extracted, extract
from recorder.audit.opening import open_source
from recorder.audit.part import ExtractionError
from recorder.audit.state import open_state
from recorder.audit.volumes import last_path, volume_path
from recorder.core import bundle, cbor
from recorder.core.bundle import VOLUMES_MAX
from recorder.core.errors import FormatError
from recorder.core.verdict import Report
from recorder.core.volume import FORMAT, Volume, parse_volume, volume_count
from recorder.store.layout import StateLock
from tests.audit.lineages import NOW_NS, LiveLineage, rezipped, small, to_bundle, write_state
from tests.lineage_builder import LineageBuilder

VOLUME_BYTES = 256 << 10
CUT = 77  # status of a process that ends in the middle
PLACE = Volume(FORMAT, "acme/arm-7/0123456789abcdef", NOW_NS, 1)


@pytest.fixture(scope="module")
def lineage() -> LineageBuilder:
    return small(900)


@pytest.fixture(scope="module")
def made(lineage: LineageBuilder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a state, the bundle in one file, and the same in volumes."""
    directory = tmp_path_factory.mktemp("made")
    state = write_state(directory / "s", lineage)
    to_bundle(state, directory / "one.lineage")
    done = to_bundle(state, directory / "b.lineage", volume_bytes=VOLUME_BYTES)
    assert len(done.volumes) >= 4
    return directory


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The volumes by themselves, to spoil; returns the last one."""
    for path in made.glob("b.*lineage"):
        shutil.copy(path, tmp_path)
    return tmp_path / "b.lineage"


def checked(path: Path) -> Report:
    with closing(open_source(path)) as source:
        return check_source(source)


def said(path: Path) -> str:
    """What verification says of the volumes; it must fail for it."""
    report = checked(path)
    assert report.exit_status() == 1
    return "\n".join(found.detail for found in report.problems if found.error == "bundle_volume")


# --- What is written


def test_volumes_hold_what_one_file_holds(made: Path, lineage: LineageBuilder) -> None:
    """None is larger than asked for; each is a ZIP of stored members; together they have each member once."""
    paths = sorted(made.glob("b.*lineage"))
    names: list[str] = []
    for path in paths:
        assert path.stat().st_size <= VOLUME_BYTES
        with zipfile.ZipFile(path) as opened:
            assert opened.testzip() is None
            assert {one.compress_type for one in opened.infolist()} == {zipfile.ZIP_STORED}
            names += opened.namelist()
    with zipfile.ZipFile(made / "one.lineage") as opened:
        whole = opened.namelist()
    assert sorted(names) == sorted([*whole, *(f"volume/{number}" for number in range(1, len(paths)))])
    with closing(BundleSource(made / "b.lineage")) as source:
        assert [(held.raw, held.seq) for held in source.read()] == [
            (record.raw, seq) for seq, record in enumerate(lineage.records)
        ]


def test_every_volume_leads_to_the_set(made: Path, lineage: LineageBuilder) -> None:
    """Whichever file is pointed at, the same is verified: all of it."""
    whole = checked(made / "one.lineage")
    for path in made.glob("b.*lineage"):
        assert checked(path) == whole, path
    assert (whole.exit_status(), whole.entries) == (0, lineage.seq)


def test_a_bundle_that_fits_is_as_it_was_without_volumes(made: Path) -> None:
    """No file and no member tells that there could have been volumes."""
    with zipfile.ZipFile(made / "one.lineage") as opened:
        assert not [name for name in opened.namelist() if name.startswith("volume")]
    assert not list(made.glob("one.0*"))


def test_a_selection_goes_into_volumes_too(made: Path, tmp_path: Path) -> None:
    """Single entries and proofs are members like others."""
    done = to_bundle(made / "s", tmp_path / "part.lineage", "100", "500", volume_bytes=VOLUME_BYTES)
    assert len(done.volumes) > 1
    assert checked(done.volumes[0]).problem_counts == {"selection_partial": 1}


def test_the_receipt_vouches_for_the_volumes(tmp_path: Path) -> None:
    """A recorder logs the manifest, which lists the place of each volume; room for it is made before it is final."""
    state = write_state(tmp_path / "s", small(900))
    for volume_bytes in range(VOLUME_BYTES, VOLUME_BYTES + 60_000, 7_001):  # the end falls anywhere in a volume
        live = LiveLineage(small(900))
        lock = StateLock(state)
        try:
            with closing(open_state(state, connect=lambda _, live=live: live)) as source:  # type: ignore[misc]
                done = extract(source, tmp_path / "b.lineage", None, None, utc_ns=NOW_NS, volume_bytes=volume_bytes)
        finally:
            lock.close()
        assert done.recorded is not None
        assert all(path.stat().st_size <= volume_bytes for path in done.volumes)
        assert done.bytes == sum(path.stat().st_size for path in done.volumes)
        with closing(BundleSource(done.volumes[0])) as bundled:
            assert bundled.is_recorded
            assert check_source(bundled).exit_status() == 0
        for path in done.volumes:
            path.unlink()


def test_what_fits_no_volume_is_one_clear_error(made: Path, tmp_path: Path) -> None:
    """And leaves nothing, whether it is a member, the manifest or the number of volumes."""
    with pytest.raises(ExtractionError, match="do not fit into volumes of 9,000 bytes"):
        to_bundle(made / "s", tmp_path / "b.lineage", volume_bytes=9_000)
    with pytest.raises(ExtractionError, match="more than 500 volumes of 4,000 bytes"):
        to_bundle(made / "s", tmp_path / "b.lineage", "0", "900", volume_bytes=4_000)
    with pytest.raises(ExtractionError, match="manifest and receipt do not fit"):
        to_bundle(made / "s", tmp_path / "b.lineage", "0", "600", volume_bytes=40_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["b.lineage", "b.001.lineage", "b.217.lineage"])
def test_no_volume_is_written_over(made: Path, tmp_path: Path, taken: str) -> None:
    """A volume of another bundle is neither replaced nor mixed with ours."""
    (tmp_path / taken).write_text("mine")
    with pytest.raises(ExtractionError, match=f"{taken} is there already"):
        to_bundle(made / "s", tmp_path / "b.lineage", volume_bytes=VOLUME_BYTES)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_what_a_cut_extraction_left_is_cleared_away(made: Path, tmp_path: Path) -> None:
    """Its `.part` files are ours to remove."""
    for name in ("b.lineage.part", "b.001.lineage.part", "b.044.lineage.part"):
        (tmp_path / name).write_text("of an extraction that was cut short")
    done = to_bundle(made / "s", tmp_path / "b.lineage", volume_bytes=VOLUME_BYTES)
    assert sorted(tmp_path.iterdir()) == sorted(done.volumes)


def writing(state: Path, to: Path) -> Extracted:
    return to_bundle(state, to, volume_bytes=VOLUME_BYTES)


def test_wherever_an_extraction_ends_there_is_a_whole_bundle_or_none(made: Path, tmp_path: Path) -> None:
    """Cut before each rename and each fsync: what lies there then verifies as a whole, or is no bundle."""
    outcomes = set()
    for step in range(60):
        directory = tmp_path / str(step)
        directory.mkdir()
        child = os.fork()
        if not child:  # the power goes for it alone: nothing is cleared up after it
            try:
                _end_at(step)
                writing(made / "s", directory / "b.lineage")
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, CUT)
        for path in [path for path in directory.iterdir() if path.suffix != ".part"]:
            try:
                report = checked(path)
            except FormatError as error:
                assert "the last one" in str(error)
                outcomes.add("volumes of no bundle")
            else:
                assert report.exit_status() == 0
                outcomes.add("a bundle")
        if status == 0:
            break
    else:
        pytest.fail("it never came to an end")
    assert outcomes == {"volumes of no bundle", "a bundle"}


def _end_at(step: int) -> None:
    """Have this process end at one of its calls."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                os._exit(CUT)
            return real(*arguments)

        return call

    os.fsync = counted(os.fsync)
    Path.rename = counted(Path.rename)  # type: ignore[method-assign]


@pytest.mark.parametrize("at", [0, 3, 9, 14])
def test_a_stick_that_fills_up_keeps_no_volume(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Those that were finished go as well."""
    real = part._Sink.write
    calls = 0

    def full(self: Any, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > at * 4 and self.failure is None:
            self.failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise self.failure
        return real(self, data)

    monkeypatch.setattr(part._Sink, "write", full)
    with pytest.raises(ExtractionError, match="No space left on device"):
        writing(made / "s", tmp_path / "b.lineage")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_appears_meanwhile_takes_all_volumes_back(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that had their names already."""
    real = target.Target._name

    def late(self: target.Target, from_part: Path, path: Path) -> None:
        if path.name == "b.003.lineage":
            path.write_text("somebody else's")
        real(self, from_part, path)

    monkeypatch.setattr(target.Target, "_name", late)
    with pytest.raises(ExtractionError, match="has appeared meanwhile"):
        writing(made / "s", tmp_path / "b.lineage")
    assert [path.name for path in tmp_path.iterdir()] == ["b.003.lineage"]


# --- What is read


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_volume_is_named(copied: Path, number: int) -> None:
    """With its file; what follows from it comes after it, and what the others hold is still checked."""
    volume_path(copied, number).unlink()
    report = checked(copied)
    assert report.exit_status() == 1
    assert report.problems[0].error == "bundle_volume" or report.problems[0].seq == 0
    assert f"volume {number} of " in said(copied)
    assert f"is missing: {volume_path(copied, number)}" in said(copied)
    assert report.entries > 300
    with closing(BundleSource(copied)) as source:
        assert any(source.read())


def test_without_the_last_volume_nothing_can_be_checked(copied: Path) -> None:
    """The others say so, and which is missing."""
    copied.unlink()
    with pytest.raises(FormatError, match=r"one volume of several.*the last one, b\.lineage, is not beside it"):
        open_source(volume_path(copied, 1))
    volume_path(copied, 1).rename(copied.with_name("renamed.lineage"))
    with pytest.raises(FormatError, match=r"one volume of several.*the last one is not beside it"):
        open_source(copied.with_name("renamed.lineage"))


def test_volumes_that_changed_places_are_named(copied: Path) -> None:
    """All of it is there and verifies, but the names are wrong."""
    one, two = volume_path(copied, 1), volume_path(copied, 2)
    one.rename(copied.with_name("x"))
    two.rename(one)
    copied.with_name("x").rename(two)
    found = said(copied)
    assert f"{one} is volume 2, which belongs under the name b.002.lineage" in found
    assert f"{two} is volume 1, which belongs under the name b.001.lineage" in found
    assert set(checked(copied).problem_counts) == {"bundle_volume"}


def test_the_last_volume_in_another_place_is_named(copied: Path) -> None:
    """It holds the manifest, so nothing can be said but that."""
    one = volume_path(copied, 1)
    one.rename(copied.with_name("x"))
    copied.rename(one)
    copied.with_name("x").rename(copied)
    with pytest.raises(FormatError, match="the last one is not beside it"):
        open_source(copied)
    count = len(list(copied.parent.glob("b.0*")))
    assert said(one).count("is missing") == count, "none lies where its name would be: b.001.001.lineage"


def test_a_volume_that_is_there_twice_is_named(copied: Path) -> None:
    """A copy under another's name is no second volume."""
    shutil.copy(volume_path(copied, 1), volume_path(copied, 2))
    found = said(copied)
    assert f"{volume_path(copied, 2)} is volume 1 once more; {volume_path(copied, 1)} is that already" in found
    assert f"is missing: {volume_path(copied, 2)}" in found


def test_a_foreign_volume_is_named(copied: Path, made: Path, tmp_path: Path) -> None:
    """Of another extraction, of another log, or no volume at all: none of its members counts."""
    to_bundle(made / "s", tmp_path / "later.lineage", utc_ns=NOW_NS + 10**9, volume_bytes=VOLUME_BYTES)
    shutil.copy(tmp_path / "later.002.lineage", volume_path(copied, 2))
    assert "does not belong to this bundle: it says that it is volume 2 of acme/arm-7/" in said(copied)
    shutil.copy(made / "one.lineage", volume_path(copied, 2))
    assert "does not belong to this bundle: it is a bundle by itself" in said(copied)
    rezipped(volume_path(copied, 3), volume_path(copied, 2), lambda name, data: None if "volume" in name else data)
    assert "does not belong to this bundle: it does not say which volume it is" in said(copied)
    shutil.copy(tmp_path / "later.002.lineage", volume_path(copied, 2))
    assert "claims_mismatch" not in checked(copied).problem_counts


def test_a_last_volume_of_another_bundle_makes_all_others_foreign(copied: Path, made: Path, tmp_path: Path) -> None:
    """The manifest decides what belongs to it."""
    to_bundle(made / "s", tmp_path / "later.lineage", utc_ns=NOW_NS + 10**9, volume_bytes=VOLUME_BYTES)
    shutil.copy(tmp_path / "later.lineage", copied)
    assert said(copied).count("does not belong to this bundle") == len(list(copied.parent.glob("b.0*")))
    shutil.copy(made / "one.lineage", copied)
    with pytest.raises(FormatError, match=r"b\.001\.lineage is no volume of .*b\.lineage, which names 0 others"):
        open_source(volume_path(copied, 1))


@pytest.mark.parametrize("left", [0, 100, 200_000, -1])
def test_a_truncated_volume_is_named(copied: Path, left: int) -> None:
    """Its directory stands at its end, so it cannot be read at all; the others are checked."""
    path = volume_path(copied, 2)
    path.write_bytes(path.read_bytes()[:left])
    assert f"volume 2 of {len(list(copied.parent.glob('b.*')))}: {path} is no readable bundle" in said(copied)
    copied.write_bytes(copied.read_bytes()[: min(left, 100)])
    with pytest.raises(FormatError, match=r"b\.lineage is no readable bundle"):
        open_source(copied)


def test_a_flipped_byte_costs_no_volume(copied: Path) -> None:
    """Not even in what says where it belongs: its members are checked one by one."""
    path = volume_path(copied, 2)
    data = bytearray(path.read_bytes())
    data[data.index(b"lineage/volume/1")] ^= 1
    path.write_bytes(data)
    report = checked(copied)
    assert report.problem_counts == {"member_digest": 1}
    assert "volume/2" in report.problems[0].detail
    assert report.entries == checked(copied).entries > 900


def test_members_moved_or_repeated_between_volumes_are_found(copied: Path, tmp_path: Path) -> None:
    """A member stands once in a bundle, and the place of a volume once in a volume."""
    one, two = volume_path(copied, 1), volume_path(copied, 2)
    with zipfile.ZipFile(one) as opened:
        name = opened.namelist()[1]
        data = opened.read(name)
    sound = two.read_bytes()
    with zipfile.ZipFile(two, "a") as opened:
        opened.writestr(name, data)
    with pytest.raises(FormatError, match="stands twice, in"):
        open_source(copied)
    two.write_bytes(sound)
    for extra in ("volume/1", "extraction"):
        two.write_bytes(sound)
        with zipfile.ZipFile(two, "a") as opened:
            opened.writestr(extra, b"\x80")
        assert "does not belong to this bundle" in said(copied)
    two.write_bytes(sound)
    with zipfile.ZipFile(copied, "a") as opened:
        opened.writestr("volume/2", b"\x80")
    with pytest.raises(FormatError, match="a volume and the last one at once"):
        open_source(copied)


# --- What a volume says of itself


def test_a_place_comes_back() -> None:
    """What was written is what is read."""
    assert parse_volume(PLACE.encode()) == PLACE
    assert PLACE.member == "volume/1"
    assert bundle.member(PLACE.member) == bundle.Member("volume", 1)


@pytest.mark.parametrize(
    "change",
    [{"format": "lineage/volume/2"}, {"number": 0}, {"number": VOLUMES_MAX + 1}, {"number": "1"}, {"x": 1}],
)
def test_other_places_are_refused(change: dict[str, Any]) -> None:
    """A key too many, or a value of another type, is no volume of this version."""
    with pytest.raises(FormatError) as caught:
        parse_volume(cbor.encode({**PLACE._asdict(), **change}))
    assert caught.value.error == "bundle_malformed"


@given(st.binary(max_size=100))
def test_any_bytes_are_a_place_or_refused(data: bytes) -> None:
    """Nothing but the named error comes out."""
    with pytest.raises(FormatError) as caught:
        parse_volume(data)
    assert caught.value.error == "bundle_malformed"


@pytest.mark.parametrize("name", ["volume/0", "volume/01", "volume/501", "volume/", "volume/1/", "volume/1000"])
def test_other_names_of_volumes_are_refused(name: str) -> None:
    """One spelling for each number, and no more of them than there may be."""
    with pytest.raises(FormatError):
        bundle.member(name)


def test_volumes_are_numbered_without_a_hole() -> None:
    """Else one could be left out of the manifest unseen."""
    assert volume_count(["checkpoint", "volume/2", "volume/1"]) == 2
    assert volume_count(["checkpoint"]) == 0
    with pytest.raises(FormatError, match="not numbered from 1"):
        volume_count(["volume/2", "volume/3"])


@pytest.mark.parametrize("name", ["arm-7.lineage", "arm-7", "a.b.lineage", "arm.007"])
def test_files_of_volumes_are_named_after_the_last(tmp_path: Path, name: str) -> None:
    """And lead back to it."""
    assert last_path(volume_path(tmp_path / name, 12)) == tmp_path / name
    assert last_path(tmp_path / "arm-7.lineage") is None
