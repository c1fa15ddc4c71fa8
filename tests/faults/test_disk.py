"""The model of a disk: what it may lose, reorder and tear, and what it may not."""

from __future__ import annotations

import random
from pathlib import Path, PurePosixPath

import pytest

from tests.faults.disk import SECTOR_BYTES, Data, Disk, sectors_of, torn
from tests.faults.states import left

FILE = PurePosixPath("file")


@pytest.fixture(params=[True, False], ids=["journaled", "unordered"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """A disk that holds one file, `file`, with the content `old`."""
    (tmp_path / "initial").mkdir()
    (tmp_path / "initial" / "file").write_bytes(b"old")
    disk = Disk(journaled=request.param)
    disk.load(tmp_path / "initial")
    return disk


def outcomes(disk: Disk, scratch: Path) -> list[dict[str, bytes]]:
    """Every tree that a power cut may leave, as contents by path."""
    found = []
    for number, choice in enumerate(left(disk.pending, random.Random(1), journaled=disk.journaled, thorough=True)):
        root = scratch / f"state{number}"
        disk.write_out(root, choice.kept)
        tree = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        if tree not in found:
            found.append(tree)
    return found


def sync(disk: Disk, path: PurePosixPath) -> None:
    """A sync that begins and returns."""
    disk.settle(disk.covered(path))


def test_a_write_may_be_lost_until_its_file_is_synced(disk: Disk, tmp_path: Path) -> None:
    """Two writes: any of them may be lost before the sync, none after it."""
    for at, content in ((0, b"new"), (3, b"er")):
        disk.returned(disk.write(FILE, at, content))
    contents = sorted(tree["file"] for tree in outcomes(disk, tmp_path))
    assert contents == [b"new", b"newer", b"old", b"older"]
    sync(disk, FILE)
    assert outcomes(disk, tmp_path / "after") == [{"file": b"newer"}]


def test_a_sync_covers_only_what_returned_before_it_began(disk: Disk, tmp_path: Path) -> None:
    """A write that is under way when a sync begins may still be lost when that returns."""
    first = disk.write(FILE, 0, b"new")
    covered = disk.covered(FILE)
    disk.returned(first)
    disk.settle(covered)
    assert {"file": b"old"} in outcomes(disk, tmp_path)


def test_a_synchronous_write_is_durable_when_it_returns(disk: Disk, tmp_path: Path) -> None:
    """O_DSYNC: undecided while under way, durable after."""
    write = disk.write(FILE, 0, b"new", durable_on_return=True)
    assert len(outcomes(disk, tmp_path)) == 2
    disk.returned(write)
    assert outcomes(disk, tmp_path / "after") == [{"file": b"new"}]


def test_a_write_is_torn_at_sectors(disk: Disk, tmp_path: Path) -> None:
    """Of two sectors either may arrive alone, and no part of one."""
    disk.returned(disk.write(FILE, 0, b"a" * SECTOR_BYTES + b"b" * SECTOR_BYTES))
    for tree in outcomes(disk, tmp_path):
        sectors = [tree["file"][at : at + SECTOR_BYTES] for at in range(0, len(tree["file"]), SECTOR_BYTES)]
        assert sectors[0] in (b"old", b"a" * SECTOR_BYTES, b"old" + bytes(SECTOR_BYTES - 3))
        assert sectors[1:] in ([], [b"b" * SECTOR_BYTES])
    assert {"file": b"old" + bytes(SECTOR_BYTES - 3) + b"b" * SECTOR_BYTES} in outcomes(disk, tmp_path / "again")


def test_sectors_are_those_of_the_device() -> None:
    """A write that begins inside a sector ends its first part where that sector ends."""
    write = Data(1, 500, b"x" * 600)
    assert sectors_of(write) == 3
    assert [(part.at, len(part.content)) for part in torn(write, range(3))] == [(500, 12), (512, 512), (1024, 76)]


def test_a_replaced_file_is_old_or_new(disk: Disk, tmp_path: Path) -> None:
    """Written under another name, synced, renamed: never a part; without the sync before the rename, it may be empty."""
    new = PurePosixPath("file.tmp")
    disk.returned(disk.make(new, is_dir=False, mode=0o600))
    disk.returned(disk.write(new, 0, b"new"))
    sync(disk, new)
    disk.returned(disk.rename(new, FILE))
    assert {tree["file"] for tree in outcomes(disk, tmp_path)} == {b"old", b"new"}
    sync(disk, PurePosixPath())
    assert outcomes(disk, tmp_path / "after") == [{"file": b"new"}]
    disk.returned(disk.make(new, is_dir=False, mode=0o600))
    disk.returned(disk.write(new, 0, b"newer"))
    disk.returned(disk.rename(new, FILE))
    assert {"file": b""} in outcomes(disk, tmp_path / "hasty")


def test_names_keep_their_order_on_a_journaled_disk_only(disk: Disk, tmp_path: Path) -> None:
    """Of two new files, the second one alone is found only where names are not ordered; any sync makes ordered ones durable."""
    for name in ("one", "two"):
        disk.returned(disk.make(PurePosixPath(name), is_dir=False, mode=0o600))
    alone = {"file": b"old", "two": b""}
    assert (alone in outcomes(disk, tmp_path)) != disk.journaled
    disk.returned(disk.write(FILE, 0, b"new"))
    sync(disk, FILE)
    assert (outcomes(disk, tmp_path / "after") == [{"file": b"new", "one": b"", "two": b""}]) == disk.journaled
    sync(disk, PurePosixPath())
    assert outcomes(disk, tmp_path / "end") == [{"file": b"new", "one": b"", "two": b""}]


def test_a_directory_without_its_name_takes_all_with_it(disk: Disk, tmp_path: Path) -> None:
    """A synced file in a synced directory is gone with the directory's own name, until the parent is synced."""
    below = PurePosixPath("dir/below")
    disk.returned(disk.make(below.parent, is_dir=True, mode=0o700))
    disk.returned(disk.make(below, is_dir=False, mode=0o600))
    disk.returned(disk.write(below, 0, b"x"))
    sync(disk, below)
    sync(disk, below.parent)
    assert ({"file": b"old"} in outcomes(disk, tmp_path)) != disk.journaled
    sync(disk, PurePosixPath())
    assert outcomes(disk, tmp_path / "after") == [{"file": b"old", "dir/below": b"x"}]


def test_a_file_replaced_out_of_another_directory_is_old_or_new(disk: Disk, tmp_path: Path) -> None:
    """Written and synced beside, renamed over: never gone; atomic where names are journaled, else it may have both names."""
    beside = PurePosixPath("beside")
    disk.returned(disk.make(beside, is_dir=True, mode=0o700))
    disk.returned(disk.make(beside / "file", is_dir=False, mode=0o600))
    disk.returned(disk.write(beside / "file", 0, b"new"))
    sync(disk, beside / "file")
    sync(disk, beside)
    sync(disk, PurePosixPath())
    disk.returned(disk.rename(beside / "file", FILE))
    left_over = "beside/file"
    found = {(tree["file"], left_over in tree) for tree in outcomes(disk, tmp_path)}
    assert found >= {(b"old", True), (b"new", False)}
    assert ((b"new", True) in found) != disk.journaled
    sync(disk, PurePosixPath())
    assert {tree["file"] for tree in outcomes(disk, tmp_path / "after")} == {b"new"}
