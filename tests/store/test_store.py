"""The store: what it checks on opening, how it rolls, and what a reader sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from stat import S_IMODE

import lmdb
import pytest

from recorder.core import entry
from recorder.core.checkpoint import Checkpoint
from recorder.core.keys import SeedSigner
from recorder.store import record as records
from recorder.store.errors import StoreDamagedError, StoreError, SyncFailedError
from recorder.store.layout import SEGMENT_MIN_BYTES, StateLock, replace_file, segment_dir
from recorder.store.opening import create_store, open_store
from recorder.store.record import Record
from recorder.store.segment import RECORD, Segment
from recorder.store.store import Store
from recorder.store.tail import Op
from recorder.store.view import View

ORIGIN = "acme/arm-7/0123456789abcdef"
SIGNER = SeedSigner(bytes(range(32)))
AAD = entry.external_aad(ORIGIN)


def append(store: Store, count: int = 1, padding: int = 200) -> None:
    """Append `count` entries, each in its own transaction."""
    for _ in range(count):
        operations = []
        if store.tail.size == 0:
            operations = [[Op.BOOT, 1, bytes(16), SIGNER.public_key, SIGNER.public_key]]
            store.tail.apply(operations[0])
        header = {1: 1, 2: 2, 3: store.tail.size, 4: store.tail.head, 5: [1, 2, 1, 0, None], 15: ["x"]}
        raw = entry.sign(header, AAD, SIGNER)
        store.append([raw], [entry.entry_hash(raw)], [b"c" * padding], operations, {}, {})


@pytest.fixture
def lineage(tmp_path: Path) -> Path:
    """A stopped lineage of 40 entries."""
    store = create_store(tmp_path, ORIGIN, SEGMENT_MIN_BYTES)
    append(store, 40)
    store.close()
    return tmp_path


def reopened(lineage: Path, known: Checkpoint | None = None) -> Store:
    """Open as the recorder does."""
    return open_store(lineage, ORIGIN, known, SEGMENT_MIN_BYTES)


def damage(lineage: Path, seq: int, value: bytes | None) -> None:
    """Replace or remove a record behind the store's back."""
    env = lmdb.open(str(segment_dir(lineage, 1)), map_size=SEGMENT_MIN_BYTES, lib_version=0)
    with env.begin(write=True) as transaction:
        key = RECORD + seq.to_bytes(8, "big")
        if value is None:
            transaction.delete(key)
        else:
            transaction.put(key, value)
    env.close()


def stored(lineage: Path, seq: int) -> Record:
    """The record at a seq."""
    segment = Segment(segment_dir(lineage, 1), 0, live=False)
    try:
        return next(record for first, record in segment.records(seq) if first == seq)
    finally:
        segment.close()


def test_reopening_finds_the_same_tail(lineage: Path) -> None:
    """The tail after recovery is the tail before it, to the last field, and appending goes on."""
    store = reopened(lineage)
    assert store.tail.size == 40
    append(store, 3)
    before = store.tail.snapshot()
    store.close()
    store = reopened(lineage)
    assert store.tail.snapshot() == before
    assert [seq for seq, _, _ in store.read(38)] == [38, 39, 40, 41, 42]
    store.close()


def test_rolling_keeps_everything_and_seals(tmp_path: Path) -> None:
    """Entries over several segments read back in order; sealed ones are readable by the group, the live one is not."""
    store = create_store(tmp_path, ORIGIN, SEGMENT_MIN_BYTES)
    append(store, 400, padding=30_000)
    assert store.segments >= 4
    root, segments = store.tail.tree.root(), store.segments
    assert [seq for seq, _, _ in store.read(0)] == list(range(400))
    assert entry.decode(store.entry(7)).header.seq == 7
    store.close()
    modes = [S_IMODE((segment_dir(tmp_path, at) / "data.mdb").stat().st_mode) for at in range(1, segments + 1)]
    assert modes == [0o640] * (segments - 1) + [0o600]
    assert S_IMODE((segment_dir(tmp_path, segments) / "lock.mdb").stat().st_mode) == 0o600
    store = reopened(tmp_path)
    assert (store.tail.size, store.tail.tree.root(), store.segments) == (400, root, segments)
    store.close()
    assert len(list(View(tmp_path, with_live=True).read())) == 400
    assert 0 < len(list(View(tmp_path, with_live=False).read())) < 400
    assert [seq for seq, _, _ in View(tmp_path, with_live=True).read(399)] == [399]


def test_full_tiles_are_stored_once(tmp_path: Path) -> None:
    """After 600 entries the two full tiles of level 0 lie in the store, hash for hash."""
    store = create_store(tmp_path, ORIGIN, SEGMENT_MIN_BYTES)
    append(store, 600, padding=1)
    hashes = b"".join(entry.entry_hash(raw) for _, raw, _ in store.read(0))
    store.close()
    segment = Segment(segment_dir(tmp_path, 1), 0, live=False)
    assert list(segment.tiles()) == [(0, 0, hashes[:8192]), (0, 1, hashes[8192:16384])]
    segment.close()


def test_sealing_on_request(lineage: Path) -> None:
    """`seal` puts all entries into sealed segments; a second one without new entries does nothing."""
    store = reopened(lineage)
    store.seal()
    store.seal()
    assert store.segments == 2
    assert len(list(View(lineage, with_live=False).read())) == 40
    append(store)
    store.close()
    store = reopened(lineage)
    assert store.tail.size == 41
    store.close()


@pytest.mark.parametrize("flip", [0, 5, 60, 200, -1])
def test_a_changed_record_is_named(lineage: Path, flip: int) -> None:
    """One flipped bit of a stored record: opening names the entry and changes nothing."""
    value = bytearray(records.encode(stored(lineage, 17)))
    value[flip] ^= 1
    damage(lineage, 17, bytes(value))
    with pytest.raises(StoreDamagedError, match="record at entry 17") as caught:
        reopened(lineage)
    assert caught.value.seq == 17


def test_a_missing_record_is_named(lineage: Path) -> None:
    """A record that is gone leaves a hole with a name."""
    damage(lineage, 17, None)
    with pytest.raises(StoreDamagedError, match="entries 17 to 17 are missing"):
        reopened(lineage)


def test_an_entry_of_another_chain_is_named(lineage: Path) -> None:
    """A well-formed record whose entry does not follow the one before is not taken."""
    record = stored(lineage, 17)
    damage(lineage, 18, records.encode(record))
    with pytest.raises(StoreDamagedError, match="entry 18 does not follow"):
        reopened(lineage)


def test_a_last_entry_that_we_did_not_sign_is_named(lineage: Path) -> None:
    """A forged last entry that fits the chain fails by its signature."""
    record = stored(lineage, 39)
    forged = bytearray(record.entries[0])
    forged[-1] ^= 1
    damage(lineage, 39, records.encode(record._replace(entries=[bytes(forged)])))
    with pytest.raises(StoreDamagedError, match="the signature of entry 39 is not ours"):
        reopened(lineage)


def test_a_root_that_was_not_signed_is_named(lineage: Path) -> None:
    """A live segment whose root at the known checkpoint differs is damaged; the right one is not."""
    store = reopened(lineage)
    root = store.tail.tree.root()
    store.close()
    reopened(lineage, Checkpoint(ORIGIN, 40, root)).close()
    with pytest.raises(StoreDamagedError, match="the root at 40 entries"):
        reopened(lineage, Checkpoint(ORIGIN, 40, bytes(32)))


def test_a_foreign_store_and_a_missing_segment(lineage: Path, tmp_path: Path) -> None:
    """Another origin's store, an empty directory and a lost segment each have their own message."""
    with pytest.raises(StoreError, match="a foreign store"):
        open_store(lineage, "acme/arm-8/0123456789abcdef", None)
    with pytest.raises(StoreError, match="no segments"):
        open_store(tmp_path / "nowhere", ORIGIN, None)
    store = reopened(lineage)
    store.seal()
    append(store)
    store.close()
    shutil.rmtree(segment_dir(lineage, 1))
    with pytest.raises(StoreDamagedError, match=r"lacks segments \[1\]"):
        reopened(lineage)


def test_an_all_zero_segment_is_refused(lineage: Path) -> None:
    """What a power cut may leave of a file that LMDB never wrote ends in one message, not in a crash."""
    data = segment_dir(lineage, 1) / "data.mdb"
    data.write_bytes(bytes(data.stat().st_size))
    with pytest.raises(StoreError, match="is damaged"):
        reopened(lineage)


def test_an_unfinished_preparation_is_removed(lineage: Path) -> None:
    """A crash while the next segment was being made leaves nothing behind after the next start."""
    stray = segment_dir(lineage, 7).with_name("00000007.tmp")
    stray.mkdir()
    (stray / "data.mdb").write_bytes(b"half")
    store = reopened(lineage)
    assert not stray.exists()
    store.close()


def test_a_failed_sync_is_an_error_of_its_own(lineage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An LMDB error while writing never looks like success."""
    store = reopened(lineage)

    def fail(*_: object, **__: object) -> None:
        raise lmdb.DiskError("mdb_txn_commit: Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(store._live, "_env", type("Env", (), {"begin": fail, "info": store._live._env.info})())
        with pytest.raises(SyncFailedError):
            append(store)
    store.close()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """The lock is held until it is closed, also against another process."""
    lock = StateLock(tmp_path)
    code = "import sys; from pathlib import Path; from recorder.store.layout import StateLock; StateLock(Path(sys.argv[1]))"
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "in use by a running recorder" in child.stderr
    lock.close()
    StateLock(tmp_path).close()


def test_replacing_a_file_leaves_no_other(tmp_path: Path) -> None:
    """The new content stands under the name and nothing else is left."""
    replace_file(tmp_path / "head", b"one")
    replace_file(tmp_path / "head", b"two", 0o640)
    assert [path.name for path in tmp_path.iterdir()] == ["head"]
    assert (tmp_path / "head").read_bytes() == b"two"


PAGES_16K = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
long sysconf(int name) {
    static long (*real)(int);
    if (!real) real = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE ? 16384 : real(name);
}
int getpagesize(void) { return 16384; }
"""


def test_sixteen_kib_pages(tmp_path: Path) -> None:
    """With the page size of a Pi 5 kernel a store is made, rolled and reopened; a kernel with 4 KiB pages reads it."""
    if shutil.which("gcc") is None:
        pytest.skip("no compiler")
    (tmp_path / "pages.c").write_text(PAGES_16K)
    shim = tmp_path / "pages.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, tmp_path / "pages.c", "-ldl"], check=True)
    code = (
        "import sys; from pathlib import Path; import tests.store.test_store as t;"
        "from recorder.store.opening import create_store;"
        "s = create_store(Path(sys.argv[1]), t.ORIGIN, 4 << 20); t.append(s, 60, 60000); assert s.segments > 1;"
        "print(s._live.page_bytes); s.close(); s = t.reopened(Path(sys.argv[1])); assert s.tail.size == 60; s.close()"
    )
    lineage = tmp_path / "lineage"
    lineage.mkdir()
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(lineage)], capture_output=True, text=True, check=False, env=environment
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "16384"), ran.stderr
    store = reopened(lineage)
    append(store)
    assert store.tail.size == 61
    assert store._live.page_bytes == 16384
    store.close()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: os.truncate(data, 65_536), "is cut short"),
        (lambda data: data.unlink(), "has no data.mdb, or an empty one"),
        (lambda data: os.truncate(data, 0), "has no data.mdb, or an empty one"),
        (lambda data: data.write_bytes(b"\xff" * 4_194_304), "is damaged"),
    ],
)
def test_a_harmed_file_is_one_error(lineage: Path, harm: Callable[[Path], object], message: str) -> None:
    """A segment's file cut short, gone, empty or overwritten is named as damage; nothing is made in its place."""
    data = segment_dir(lineage, 1) / "data.mdb"
    store = reopened(lineage)
    append(store, 200, padding=1000)
    store.close()
    shutil.rmtree(segment_dir(lineage, 2), ignore_errors=True)
    harm(data)
    before = data.stat().st_size if data.exists() else None
    with pytest.raises(StoreDamagedError, match=message):
        reopened(lineage)
    assert (data.stat().st_size if data.exists() else None) == before


def test_closing_does_not_wait_for_the_next_segment(tmp_path: Path) -> None:
    """A segment that is being made is given up when the store closes, and made anew at the next start."""
    store = create_store(tmp_path, ORIGIN, 64 * SEGMENT_MIN_BYTES)
    store.close()
    assert not segment_dir(tmp_path, 2).exists()
    assert list((tmp_path / "segments").glob("*.tmp")) == []
