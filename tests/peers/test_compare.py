"""The comparison with peers runs; its figures are for those who read them."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from mcap.reader import make_reader
from nacl.signing import VerifyKey

from tests.peers import compare as peers
from tests.peers.writers import GROUP, Mcap, Promise, Sqlite


def test_all_of_them_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tiny round of each, and its line in the table."""
    pytest.importorskip("vouch", reason="needs the development packages of group peers")
    outcomes = peers.compare(tmp_path, 1, 1.0)
    assert len({one.name for one in outcomes}) == 13
    assert all(one.rate > 0 for one in outcomes)
    peers.show(outcomes)
    printed = capsys.readouterr().out
    assert all(one.name in printed for one in outcomes)


def test_the_picture(tmp_path: Path) -> None:
    """A PNG, whatever the figures are."""
    pytest.importorskip("matplotlib", reason="needs the development packages of group peers")
    from tests.peers.plot import plot

    promises = [Promise(durable, "each", by_socket=True) for durable in ("each", "group", "chunk", "no")]
    outcomes = [
        peers.Outcome(f"{of} {at}", of, promise, (10.0**at + 100, 10.0**at + 300))
        for of in (peers.COMMITS, peers.ROWS)
        for at, promise in enumerate(promises)
    ]
    plot(outcomes, "2026-01-01", tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("group", "sign_each", "signed"), [(1, True, 1), (GROUP, True, GROUP), (GROUP, False, 1)])
def test_sqlite_does_what_is_said_of_it(tmp_path: Path, group: int, sign_each: bool, signed: int) -> None:
    """Its rows are chained, and signed each or once a group; else the comparison would not be fair."""
    bodies = [b"one", b"two"]
    writer = Sqlite(tmp_path / "db", bodies, group, sign_each=sign_each)
    key: VerifyKey = writer._key.verify_key
    assert writer.run(0).records == group
    assert writer._database.execute("PRAGMA synchronous").fetchone() == (2,)
    writer.close()
    prev, signatures = bytes(32), 0
    for seq, before, body, signature in sqlite3.connect(tmp_path / "db").execute("SELECT * FROM records ORDER BY seq"):
        assert (before, body) == (prev, bodies[seq % 2])
        prev = sha256(before + body).digest()
        if signature is not None:
            key.verify(prev, signature)
            signatures += 1
    assert signatures == signed


@pytest.mark.parametrize("synced", [True, False])
def test_mcap_has_its_messages(tmp_path: Path, synced: bool) -> None:
    """All that was counted is in the file; where it is synced, whole chunks were so before it was finished."""
    path = tmp_path / "m.mcap"
    writer = Mcap(path, [bytes(1000)], synced=synced)
    done = writer.run(0)
    on_disk, given = path.stat().st_size, writer._file.tell()
    writer.close()
    with path.open("rb") as file:
        assert sum(1 for _ in make_reader(file).iter_messages()) == done.records == GROUP
    if synced:
        assert on_disk == given > (GROUP - 66) * 1000
