"""Peers that answer slowly, again and again, or never: they hold up what is about themselves and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from mesh.histories import told_of
from mesh.node.archives import Behind
from mesh.node.config import Archiving
from mesh.node.pulling import PER_LOG_MAX
from tests.mesh.fleet import NEXT_ORIGIN, ORIGIN, hashes, note_of
from tests.node.following import Node, nodes, together

LEAVES = hashes(600)
SOON_S = 200.0  # less than one request may take that is not answered
LONG_S = 600.0
SHORT_S = 1.0  # what a quiet machine needs many times


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent is given up so late that nobody is taken for him who has no processor."""
    monkeypatch.setattr("mesh.node.following.REQUEST_S", LONG_S)
    monkeypatch.setattr("mesh.node.pulling.SOURCE_S", LONG_S)


@asynccontextmanager
async def silent(answer: Callable[[str], bytes | None] = lambda _: None) -> AsyncIterator[tuple[str, list[str]]]:
    """A peer that takes requests, and answers those alone for which there is something; its URL, and paths asked."""
    asked: list[str] = []
    ended = asyncio.Event()
    serving: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        asked.append(path)
        body = answer(path)
        if body is None:
            await ended.wait()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", asked
    finally:
        ended.set()
        listener.close()
        await asyncio.gather(*serving)
        for _ in range(3):  # turns in which what was closed goes
            await asyncio.sleep(0)


def test_a_log_that_nobody_leads_to_holds_up_no_other(tmp_path: Path) -> None:
    """However many heads of it there are: they wait for each other, and take one place of those that there are."""

    async def story(peers: list[Node]) -> None:
        honest, late = peers
        await honest.told(LEAVES)
        late.table.urls = []
        pulling = late.following.pulling
        async with silent() as (slow, asked):
            heads = [note_of(LEAVES[:size], NEXT_ORIGIN) for size in range(10, 30)]
            held_up = [asyncio.create_task(late.follow(head, slow)) for head in heads]
            for head in heads:
                pulling.behind(Behind(told_of(head), head))
            assert len(pulling._pending) == PER_LOG_MAX
            while not asked:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.01)
            # With one slow pull there is a place left for another.
            async with asyncio.timeout(SOON_S):
                assert await late.follow(note_of(LEAVES), honest.url)
            assert late.log(ORIGIN).size == len(LEAVES)
            for one in held_up:
                one.cancel()
            await asyncio.gather(*held_up, return_exceptions=True)

    together(story, nodes(tmp_path, 2, Archiving(interval_s=86_400, save_s=3_600, pulls=2)))


def test_what_is_behind_is_pulled_while_another_log_is_held_up(tmp_path: Path) -> None:
    """Digests told of both; the one that is served comes, the other goes on waiting."""

    async def story(peers: list[Node]) -> None:
        honest, late = peers
        await honest.told(LEAVES)
        pulling = late.following.pulling
        async with silent() as (slow, asked):
            late.table.urls = [slow]
            stuck, good = note_of(LEAVES[:10], NEXT_ORIGIN), note_of(LEAVES)
            pulling.behind(Behind(told_of(stuck), stuck))
            async with asyncio.timeout(SOON_S):
                while not asked:  # noqa: ASYNC110 -- it tells nobody
                    await asyncio.sleep(0.01)
                late.table.urls = [honest.url]
                pulling.behind(Behind(told_of(good), good))
                while late.archives.store.size(ORIGIN) < len(LEAVES):  # noqa: ASYNC110 -- the same
                    await asyncio.sleep(0.01)

    together(story, nodes(tmp_path, 2))


@pytest.mark.alone
def test_a_round_ends_whoever_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that lists proofs of forks and does not give them: it has its time, and the others are asked in the next."""
    monkeypatch.setattr("mesh.node.gossip.PEER_S", SHORT_S)
    names = "".join(f"fork {sha256(bytes([at])).hexdigest()}\n" for at in range(8)).encode()

    async def story(peers: list[Node]) -> None:
        honest, late = peers
        await honest.told(LEAVES)
        async with silent(lambda path: names if path == "/heads" else None) as (slow, asked):
            late.table.urls = [slow]
            async with asyncio.timeout(SOON_S):
                await late.compare()
            assert asked
        assert late.following.gossip.counts["too_slow"] == 1
        monkeypatch.setattr("mesh.node.gossip.PEER_S", 60.0)
        late.table.urls = [honest.url]
        await late.compare()
        assert late.log(ORIGIN).size == len(LEAVES)

    together(story, nodes(tmp_path, 2))


@pytest.mark.alone
def test_filling_in_ends_whoever_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was jumped over is filled in for a while; the rest waits for the next round."""
    monkeypatch.setattr("mesh.node.gossip.FILL_S", SHORT_S)
    leaves = hashes(9_000)

    async def story(peers: list[Node]) -> None:
        honest, late = peers
        await honest.told(leaves)
        assert await late.follow(note_of(leaves), honest.url)
        missing = late.log(ORIGIN).archive.missing
        assert missing
        async with silent(lambda path: b"" if path == "/heads" else None) as (slow, asked):
            late.table.urls = [slow]
            async with asyncio.timeout(SOON_S):
                await late.compare()
            assert asked
        assert late.log(ORIGIN).archive.missing == missing
        late.table.urls = [honest.url]
        monkeypatch.setattr("mesh.node.gossip.FILL_S", 60.0)
        await late.compare()
        assert late.log(ORIGIN).archive.missing == []

    together(story, nodes(tmp_path, 2))
