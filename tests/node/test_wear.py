"""What a listed platform, or a thief of its keys, can have peers write: bounded, told, and in nobody else's way."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from mesh.bucket import Rate
from mesh.exchange import OK, TEXT_TYPE, Answer, cosigned, put_off
from mesh.node.archivestore import ArchiveStore
from mesh.node.aside import Aside
from mesh.node.config import Limits
from mesh.node.forkbook import ForkBook
from mesh.node.incarnations import BEGUN, KEPT_MAX, STAY
from mesh.node.ownlog import Head, OwnLog
from mesh.node.post import Post
from mesh.node.proofs import OwnProofs
from mesh.node.saves import JUMPS, SAVES_BURST, SAVES_PER_INTERVAL, Saves
from mesh.node.server import HttpServer
from mesh.node.submitting import Submission, Witness, cosignature_by
from mesh.node.unkept import Unkept
from mesh.submission import Done
from recorder.core.cosignature import cosign
from recorder.core.errors import FormatError
from recorder.core.forks import fork_of
from recorder.core.merkle import prove_consistency
from tests.mesh.fleet import FLEET, ORIGIN, TIME_S, WITNESSES, Leaves, hashes, head_of, note_of, signer
from tests.node.test_archivefiles import partial_of
from tests.node.test_server import free_port, raw, served

LEAVES = hashes(300)
LINE, OTHER = "acme/arm-7", "acme/arm-8"
DAY_S, SAVE_S = 86_400, 60.0


class Kept:
    """Archives with a clock of their own; counts how often one was made durable."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.synced = 0
        self.said: list[str] = []
        self.directory = directory / "archives"
        self.forks = ForkBook(directory / "forks", FLEET, self.said.append, Unkept(self.said.append))
        self.store = self.opened()
        monkeypatch.setattr("mesh.node.archivefiles.replace_file", self._replaced)

    def opened(self) -> ArchiveStore:
        room = (1.0, 1_024.0)
        return ArchiveStore(self.directory, FLEET, self.forks, room, self.said.append, SAVE_S, lambda: self.now_s)

    def grow(self, origin: str, size: int) -> bool:
        """A head of this many entries comes, with its hashes; whether it was taken."""
        note = note_of(LEAVES[:size], origin, signer(f"identity {origin.rpartition('/')[0]}"))
        return self.store.learn(origin, 0, LEAVES[:size], [note]).moved

    def _replaced(self, path: Path, content: bytes, mode: int) -> None:
        self.synced += 1
        path.write_bytes(content)
        path.chmod(mode)


def incarnation(at: int, line: str = LINE) -> str:
    return f"{line}/{at:016x}"


def test_growth_in_many_incarnations_at_once_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many saves as the platform has left, however many of its logs grow; another platform's is taken all the same."""
    monkeypatch.setattr("mesh.node.saves.SAVES_BURST", 6)
    kept = Kept(tmp_path, monkeypatch)
    assert [kept.grow(incarnation(at), 5) for at in range(8)] == [True] * 6 + [False] * 2
    assert all(kept.grow(incarnation(at), 9) for at in range(6)), "what is taken until then is saved with it"
    kept.store.keep()
    assert kept.synced == 6
    assert not kept.grow(incarnation(0), 12)
    assert not kept.store.may_follow(incarnation(0)), "so nobody is asked for it"
    assert kept.store.wanted(incarnation(0), 8) == []
    assert kept.store.saves.put_off == {LINE: 4}
    assert kept.grow(incarnation(0, OTHER), 5)
    kept.now_s += SAVE_S / SAVES_PER_INTERVAL + 0.1
    assert [kept.grow(incarnation(at), 12) for at in range(2)] == [True, False]
    kept.store.keep()
    assert kept.synced == 8


def test_ordinary_growth_is_never_put_off() -> None:
    """A day of three logs of a platform that grow all the time, and jump once a minute: saved each minute, and at once."""
    now_s = 0.0
    saves = Saves(SAVE_S, lambda: now_s)
    for _ in range(DAY_S // 60):
        assert all(saves.may_take(LINE, incarnation(at)) for at in range(3) for _ in range(50))
        assert saves.may_save_jump(LINE)
        for at in range(3):
            saves.saved(incarnation(at))
        now_s += 60
    assert not saves.put_off
    assert SAVES_PER_INTERVAL / SAVE_S * DAY_S + SAVES_BURST == 6_080, "what DESIGN.md states, for a day"


def test_a_jump_beyond_what_may_be_saved_at_once_waits_for_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made all the same, and lost at worst in a crash."""
    monkeypatch.setattr("mesh.node.saves.JUMPS", Rate(JUMPS.per_s, 2))
    monkeypatch.setattr("mesh.node.saves.SAVES_BURST", 3)
    kept = Kept(tmp_path, monkeypatch)
    leaves = hashes(70_000)
    for jump, size in enumerate((600, 1_500, 2_900, 70_000)):
        held = kept.store.held(ORIGIN)
        proof = prove_consistency(Leaves(leaves), held.size, size)
        kept.store.jump(ORIGIN, held.size, note_of(leaves[:size]), proof, partial_of(size))
        assert kept.store.size(ORIGIN) == size
        assert kept.synced == min(jump + 1, 2)
    assert kept.opened().size(ORIGIN) == 1_500
    kept.store.keep()
    assert kept.opened().size(ORIGIN) == 70_000
    assert kept.store.wanted(ORIGIN, 8) == [], "what was jumped over is a save too"
    kept.now_s += SAVE_S / SAVES_PER_INTERVAL + 0.1
    assert kept.store.wanted(ORIGIN, 8)


def test_incarnations_are_bounded_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at once, then one an hour; those begun first stay, later ones make room, and nothing of a fork goes."""
    monkeypatch.setattr("mesh.node.archivestore.OPEN_MAX", 2)
    kept = Kept(tmp_path, monkeypatch)
    assert [kept.grow(incarnation(at), 3) for at in range(STAY + 5)] == [True] * STAY + [False] * 5
    assert kept.store.incarnations.refused == {LINE: 5}
    assert len(kept.store._open) == 2
    assert kept.grow(incarnation(0, OTHER), 3)
    fork = fork_of(note_of(hashes(4, "one"), incarnation(STAY)), note_of(hashes(4, "two"), incarnation(STAY)))
    assert fork is not None
    for at in range(STAY, KEPT_MAX + 3):
        kept.now_s += 1 / BEGUN.per_s + 1
        assert kept.grow(incarnation(at), 3)
        if at == STAY:
            assert kept.forks.keep(fork, "a test")
    dropped = [incarnation(at) for at in range(STAY + 1, STAY + 4)]
    assert list(kept.store.incarnations.dropped) == [(origin, 3) for origin in dropped]
    assert [origin for origin in dropped if not any(origin in said for said in kept.said)] == []
    there = {one.origin for one in kept.store.summaries() if one.line == LINE}
    assert there == {incarnation(at) for at in range(KEPT_MAX + 3)} - set(dropped)
    kept.store.keep()
    assert len(list(kept.directory.iterdir())) == KEPT_MAX + 1
    assert {one.origin for one in kept.opened().summaries()} == there | {incarnation(0, OTHER)}
    assert len(kept.forks.names()) == 1
    assert not kept.grow(dropped[0], 3), "one that went costs as much as any other"


def test_a_pull_of_a_new_incarnation_is_granted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the question whether to follow it to the first hashes; who never comes there keeps nobody else out for long."""
    monkeypatch.setattr("mesh.node.incarnations.BEGUN", Rate(BEGUN.per_s, 1))
    kept = Kept(tmp_path, monkeypatch)
    assert [kept.store.may_follow(incarnation(at)) for at in (1, 1, 2)] == [True, True, False]
    assert kept.grow(incarnation(1), 3)
    assert not kept.grow(incarnation(2), 3)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_removal_that_a_crash_cut_off_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    """Before the state went, the archive is whole; after it, the next start deletes the rest."""
    kept = Kept(tmp_path, monkeypatch)
    assert kept.grow(ORIGIN, 300)
    kept.store.keep()
    (path,) = kept.directory.iterdir()
    if not is_there:
        (path / "state").unlink()
    assert kept.opened().size(ORIGIN) == (300 if is_there else 0)
    assert path.exists() == is_there


# --- Who is told to come again


def test_when_to_come_again_goes_over_the_wire() -> None:
    """As a header, and in no other answer."""
    answer = put_off(FormatError("too_many_heads", "enough"), 6.2)

    async def respond(_method: str, path: str, _body: bytes) -> Answer:
        return answer if path == "/add-checkpoint" else Answer(OK, TEXT_TYPE, b"")

    async def use(port: int, _: HttpServer) -> None:
        post = Post(60.0)
        got = await post.send(f"http://127.0.0.1:{port}/add-checkpoint", b"", TEXT_TYPE)
        assert (got.status, got.body, got.retry_after_s) == (429, b"too_many_heads: enough\n", 7)
        assert (await post.get(f"http://127.0.0.1:{port}/held")).retry_after_s is None
        assert b"Retry-After" not in await raw(port, b"GET /held HTTP/1.1\r\nHost: w\r\n\r\n")
        await post.close()

    served(use, respond=respond)


def asked(
    state: Path, *answers: Answer, timeout_s: float = 120.0, times: int = 1, failures: int = 0
) -> tuple[Witness, Done | None, int]:
    """A witness that gives these answers, asked so often; what came of it last, and how many requests it had."""
    left = list(answers)

    async def respond(_method: str, _path: str, _body: bytes) -> Answer:
        return left.pop(0)

    async def ask() -> tuple[Witness, Done | None]:
        own = OwnLog(state / "no-recorder.sock", state / "logs", FLEET, print, Unkept(print))
        own.tree(ORIGIN).append(LEAVES)
        log = FLEET.log_of(ORIGIN)
        assert log is not None
        latest = Head(head_of(LEAVES), note_of(LEAVES), log)
        port, post, aside = free_port(), Post(60.0), Aside("own-log")
        server = HttpServer(Limits(), respond)
        await server.listen([f"127.0.0.1:{port}"])
        witness = Witness("arm-8", WITNESSES["arm-8"], [f"http://127.0.0.1:{port}"], failures=failures)
        submission = Submission(latest.head, OwnProofs(own, latest), post, aside, lambda: 0.0)
        done = None
        for _ in range(times):
            done = await cosignature_by(witness, submission, time.monotonic() + timeout_s)
        await post.close()
        await server.close()
        aside.close()
        return witness, done

    witness, done = asyncio.run(ask())
    return witness, done, len(answers) - len(left)


SIGNED = cosigned([cosign(head_of(LEAVES), WITNESSES["arm-8"].name, signer("witness arm-8"), TIME_S)])
ENOUGH = put_off(FormatError("too_many_heads", "enough"), 900.0)


def test_a_witness_that_says_when_is_asked_then(tmp_path: Path) -> None:
    """Within the time there is for it; it has not failed."""
    soon = ENOUGH._replace(retry_after_s=0)
    witness, done, count = asked(tmp_path, soon, soon, SIGNED)
    assert done is not None
    assert (witness.failures, witness.cosigned, count) == (0, 1, 3)


def test_a_witness_that_has_enough_is_left_alone_and_has_not_failed(tmp_path: Path) -> None:
    """Neither the next round nor one at once sends it anything before it said; that is told."""
    witness, done, count = asked(tmp_path, ENOUGH, failures=2)
    assert (done, witness.failures, count) == (None, 0, 1)
    assert witness.last == "not now: 429 too_many_heads; again in 900 s"
    witness, done, count = asked(tmp_path, ENOUGH, times=3)
    assert (done, witness.failures, count) == (None, 0, 1)
    assert witness.last.startswith("not now: it asked to be left alone for ")
    assert witness.put_off_s > time.monotonic() + 600
