"""The next segment is made in small steps beside the commits, and in haste when they need it soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.store import prepare
from recorder.store.layout import DATA, segment_dir
from tests.running import wait_until

MAP_BYTES = 16 * prepare.CHUNK_BYTES


@pytest.fixture
def preparer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> prepare.Preparer:
    """One that would never end if it paused."""
    monkeypatch.setattr(prepare, "PAUSE_S", 3600.0)
    return prepare.Preparer(tmp_path, MAP_BYTES)


def test_it_pauses_while_there_is_time(tmp_path: Path, preparer: prepare.Preparer) -> None:
    """With an empty live segment it goes as far as its lead and one step; given up, it leaves nothing."""
    path = segment_dir(tmp_path, 1)
    growing = path.with_name(path.name + ".tmp") / DATA
    steps = int(prepare.LEAD * MAP_BYTES / prepare.CHUNK_BYTES) + 1
    preparer.start(1)
    wait_until(lambda: growing.exists() and growing.stat().st_size >= steps * prepare.CHUNK_BYTES)
    assert growing.stat().st_size < (steps + 1) * prepare.CHUNK_BYTES
    assert preparer.is_busy()
    preparer.abort()
    assert not path.exists()
    assert not growing.parent.exists()


def test_it_hurries_when_the_live_segment_fills_up(tmp_path: Path, preparer: prepare.Preparer) -> None:
    """Else a roll would wait for it, and with it every commit."""
    preparer.live_share = 0.9
    preparer.start(1)
    preparer.wait()
    assert preparer.failure is None
    assert (segment_dir(tmp_path, 1) / DATA).stat().st_size == MAP_BYTES


def test_it_does_not_hurry_on_a_disk_that_is_nearly_full(
    tmp_path: Path, preparer: prepare.Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes room, in small steps too, must be able to keep pace; else requests would be refused."""
    monkeypatch.setattr(prepare, "ROOMY", 2**40)
    preparer.live_share = 0.9
    preparer.start(1)
    growing = segment_dir(tmp_path, 1).with_name(segment_dir(tmp_path, 1).name + ".tmp") / DATA
    wait_until(lambda: growing.exists() and growing.stat().st_size >= prepare.CHUNK_BYTES)
    assert preparer.is_busy()
    preparer.abort()
    assert preparer.failure is None
