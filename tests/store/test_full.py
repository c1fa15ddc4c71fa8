"""A disk without room for the next segment: the store says so in time, and goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.store.layout import SEGMENT_MIN_BYTES, SEGMENTS, segment_dir
from recorder.store.opening import create_store
from recorder.store.store import Store
from tests.running import wait_until
from tests.store.test_store import ORIGIN, append, reopened

PADDING = 64 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB with a ballast that leaves room for one segment."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        (disk / "ballast").write_bytes(bytes(9 * 1024 * 1024))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def filled(disk: Path) -> Store:
    """A store whose live segment is nearly full."""
    store = create_store(disk, ORIGIN, SEGMENT_MIN_BYTES)
    wait_until(lambda: store.prepare_failure is not None)
    assert not store.is_full
    while store.live_free_bytes >= store.record_max_bytes:
        append(store, padding=PADDING)
    return store


def test_a_further_attempt_is_no_reason_to_take_more(small_disk: Path) -> None:
    """Full until the segment is there: what is taken during the attempt would need it."""
    store = filled(small_disk)
    assert store.is_full
    assert "No space left" in str(store.prepare_failure)
    assert not list((small_disk / SEGMENTS).glob("*.tmp"))  # else the disk would stay full for everyone
    (small_disk / "ballast").unlink()
    store.prepare_next()
    assert store.is_full
    wait_until(lambda: not store.is_full)
    assert store.prepare_failure is None
    assert segment_dir(small_disk, 2).exists()
    append(store, 30, padding=PADDING)
    assert store.segments == 2
    store.close()


def test_a_start_with_a_nearly_full_segment_knows_at_once(small_disk: Path) -> None:
    """Nothing is accepted in the hope of a segment that cannot be made."""
    filled(small_disk).close()
    store = reopened(small_disk)
    assert store.is_full
    store.close()
    (small_disk / "ballast").unlink()
    store = reopened(small_disk)
    assert not store.is_full
    assert segment_dir(small_disk, 2).exists()
    store.close()
