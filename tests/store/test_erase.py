"""Erasing claims of sealed segments: what goes, what stays, and a crash at every step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest

from recorder.core.entry import decode
from recorder.store import erase as erasing
from recorder.store import summary as summaries
from recorder.store.erase import erase, trim
from recorder.store.layout import DATA, segment_dir
from recorder.store.opening import open_store
from recorder.store.segment import Segment
from recorder.store.tail import Erasure
from recorder.store.view import View
from tests.daemon.filling import Filler
from tests.running import Running, lineage_of, make_state, origin_of

CLASS = 'retention = "short"'
Records = list[tuple[int, bytes, bytes]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped lineage of three segments, most of it rows of class short; a cycle reaches over each seam."""
    state = make_state(tmp_path_factory.mktemp("erase") / "s", motion=CLASS, rows_window_ms=0)
    with Running(state) as running:
        filler = Filler(running.socket)
        filler.fill(2)
        filler.event()
        filler.close()
        assert running.stop() == 0
    return lineage_of(state)


@pytest.fixture
def lineage(recorded: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(recorded, tmp_path / recorded.name)
    return tmp_path / recorded.name


def rest(_count: int) -> None:
    """Nobody else is here."""


def records(lineage: Path) -> Records:
    """Seq, entry and claims of everything."""
    return list(View(lineage, with_live=True).read())


def raw_segment(path: Path) -> tuple[list[Any], list[Any]]:
    """What is no record, and the operations of those that are."""
    segment = Segment(path, 0, live=False)
    try:
        return list(segment.beside_records()), [
            (first, record.entries, record.operations) for first, record in segment.records()
        ]
    finally:
        segment.close()


def whole(lineage: Path, ordinal: int = 1, name: str = "short", *, rows_only: bool = False) -> Erasure:
    """The erasure of a class out of a whole segment."""
    found = summaries.make(segment_dir(lineage, ordinal), rest)
    return Erasure(ordinal, found.first, found.last, name, rows_only)


def test_claims_go_and_all_else_stays(lineage: Path) -> None:
    """Entries, tiles, the head and the operations are byte for byte what they were; claims of the class are gone."""
    path = segment_dir(lineage, 1)
    before, stored = records(lineage), raw_segment(path)
    size = (path / DATA).stat().st_size
    found = erase(path, [whole(lineage)], [], rest)
    assert raw_segment(path) == stored
    after = records(lineage)
    assert [item[:2] for item in after] == [item[:2] for item in before]
    for (seq, raw, had), (_, _, has) in zip(before, after, strict=True):
        header = decode(raw).header
        goes = seq <= found.last and header.classes is not None and header.classes.retention_class == "short"
        assert has == (b"" if goes else had), seq
    assert (path / DATA).stat().st_size < size // 10
    assert S_IMODE((path / DATA).stat().st_mode) == 0o640
    assert sorted(item.name for item in path.iterdir()) == ["data.mdb", "lock.mdb", "summary.json"]
    assert found.classes["short"].bytes == 0
    assert summaries.find(path) == found
    open_store(lineage, origin_of(lineage), None, 4 << 20).close()


def test_whys_that_others_share_stay(lineage: Path) -> None:
    """The cycle that entries in the next segment share keeps its claims; the rest of its class does not."""
    found = summaries.make(segment_dir(lineage, 2), rest)
    shared = found.classes["short"].below
    assert len(shared) == 1
    assert set(shared) <= set(found.open_cycles)
    left = erase(segment_dir(lineage, 1), [whole(lineage)], shared, rest)
    held = {seq for seq, raw, claims in records(lineage) if claims and seq <= left.last and decode(raw).header.classes}
    assert held == set(shared)
    assert left.classes["short"].carriers == shared
    assert left.classes["short"].bytes > 0


def test_whys_of_entries_that_stay_in_the_same_segment_stay(lineage: Path) -> None:
    """Where only rows go, commits keep their claims, and so does the cycle that they share."""
    left = erase(segment_dir(lineage, 1), [whole(lineage, rows_only=True)], [], rest)
    kinds = {"rows": 0, "others": 0}
    for seq, raw, claims in records(lineage):
        header = decode(raw).header
        if seq <= left.last and header.classes is not None:
            has_rows = summaries.has_rows(header)
            kinds["rows" if has_rows else "others"] += 1
            assert bool(claims) is not has_rows
    assert min(kinds.values()) > 0
    assert left.classes["short"].rows_bytes == 0


def test_a_range_bounds_what_goes(lineage: Path) -> None:
    """Outside the range of the deletion entry nothing goes."""
    item = whole(lineage)._replace(first=20, last=30)
    before = records(lineage)
    erase(segment_dir(lineage, 1), [item], [], rest)
    changed = [seq for (seq, _, had), (_, _, has) in zip(before, records(lineage), strict=True) if had != has]
    assert changed
    assert set(changed) <= set(range(20, 31))


def test_who_reads_meanwhile_reads_on(lineage: Path) -> None:
    """A reader that has the old file open sees all of it, and nothing of the new one."""
    path = segment_dir(lineage, 1)
    item = whole(lineage)
    reader = Segment(path, 0, live=False)
    found = reader.records()
    had = [next(found)]
    code = (
        "import sys; from pathlib import Path; from recorder.store.erase import erase; from recorder.store.tail import Erasure;"
        "erase(Path(sys.argv[1]), [Erasure(1, 0, int(sys.argv[2]), 'short', False)], [], lambda _: None)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(item.last)], check=True)
    had += found
    reader.close()
    assert sum(bool(claims) for _, record in had for claims in record.claims) > 50


def test_erasing_again_changes_nothing(lineage: Path) -> None:
    """A start that does not know how far the last one came does it once more."""
    path = segment_dir(lineage, 1)
    item = whole(lineage)
    erase(path, [item], [], rest)
    once = records(lineage)
    erase(path, [item], [], rest)
    assert records(lineage) == once


def test_trimming_gives_back_what_is_not_used(lineage: Path) -> None:
    """The file ends with its last page; all that was in it can still be read, and a second time frees nothing."""
    path = segment_dir(lineage, 1)
    before = records(lineage)
    trim(path)
    used = (path / DATA).stat().st_size
    os.truncate(path / DATA, 4 << 20)  # as it was while it was live
    assert trim(path) == (4 << 20) - used > 0
    assert trim(path) == 0
    assert records(lineage) == before


def test_a_note_that_does_not_fit_is_not_used(lineage: Path) -> None:
    """A summary of another version of the file, or one that cannot be read, counts for nothing."""
    path = segment_dir(lineage, 1)
    made = summaries.make(path, rest)
    assert summaries.find(path) == made
    os.utime(path / DATA)
    assert summaries.find(path) is None
    (path / "summary.json").write_text("[")
    assert summaries.find(path) is None


def _dies_at(number: int, lineage: Path, item: Erasure) -> bool:
    """Erase in a child that ends before (odd) or after (even) one of its steps; returns whether it came so far."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 9)
        return status == 9
    left = (number + 1) // 2

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and number % 2:
                os._exit(9)
            mine = left
            result = step(*arguments, **named)
            if mine == 0:
                os._exit(9)
            return result

        return run

    try:
        Segment.put = counted(Segment.put)  # type: ignore[method-assign]
        Path.rename = counted(Path.rename)  # type: ignore[method-assign]
        for name in ("_cut", "sync_dir", "write"):
            setattr(erasing, name, counted(getattr(erasing, name)))
        shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
        erase(segment_dir(lineage, 1), [item], [], rest)
    except BaseException:  # noqa: BLE001
        os._exit(1)
    os._exit(0)


def test_a_crash_at_any_step_leaves_a_whole_segment(recorded: Path, tmp_path: Path) -> None:
    """Killed before and after each write, rename and sync: the old segment or the new one, and the next start goes on."""
    before = records(recorded)
    item = whole(recorded)
    clean = tmp_path / "clean"
    shutil.copytree(recorded, clean)
    erase(segment_dir(clean, 1), [item], [], rest)
    after = records(clean)
    assert after != before
    seen = {"old": 0, "new": 0}
    number = 0
    came_so_far = True
    while came_so_far:
        number += 1
        copy = tmp_path / f"at-{number}"
        shutil.copytree(recorded, copy)
        came_so_far = _dies_at(number, copy, item)
        open_store(copy, origin_of(copy), None, 4 << 20).close()
        assert list((copy / "segments").glob("*.tmp")) == []
        found = records(copy)
        assert found in (before, after)
        seen["old" if found == before else "new"] += 1
        erase(segment_dir(copy, 1), [item], [], rest)
        assert records(copy) == after
        shutil.rmtree(copy)
    assert min(seen.values()) > 2, seen
