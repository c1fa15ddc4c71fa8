"""Histories compared over real HTTP: a log that shows two of them is found by all, and nobody else is accused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mesh.exchange import Answer
from mesh.node.post import Post, below
from recorder.core.forks import fork_of, parse_fork, verify_fork
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, hashes, note_of, signer
from tests.node.following import Node, meet, nodes, together

COMMON = 400
ONE, TWO = hashes(9_000, "one", COMMON), hashes(9_000, "two", COMMON)


async def rounds(peers: list[Node], count: int) -> None:
    """So many rounds, all peers at once."""
    for _ in range(count):
        await asyncio.gather(*(one.compare() for one in peers))


@pytest.mark.parametrize("sizes", [(700, 700), (700, 2_900), (401, 8_000)])
@pytest.mark.parametrize("is_spread", [True, False])
def test_two_histories_are_found_by_every_peer_within_two_rounds(
    tmp_path: Path, sizes: tuple[int, int], *, is_spread: bool
) -> None:
    """Of whatever sizes, near and far apart; also where proofs are only asked for.  Then both archives stand still."""

    async def story(peers: list[Node]) -> None:
        halves = peers[:3], peers[3:]
        for half, leaves, size in zip(halves, (ONE, TWO), sizes, strict=True):
            meet(*half)
            await half[0].told(leaves[:size])
            await rounds(half, 2)
            assert [one.log().size for one in half] == [size] * 3
        assert not any(one.forks.names() for one in peers)
        meet(*peers)
        if not is_spread:
            for one in peers:
                one.following.gossip._spread = {*one.forks.names(), "all"}
                one.following.gossip.found = lambda: None  # type: ignore[method-assign]
        await rounds(peers, 2)
        for one in peers:
            assert one.forks.is_forked(ORIGIN)
            for name in one.forks.names():
                text = one.forks.text(name)
                assert text is not None
                assert verify_fork(parse_fork(text), FLEET.trust).origin == ORIGIN
            assert len([said for said in one.said if "FORK" in said]) == 1
        before = [one.log().size for one in peers]
        await peers[0].archives.learn(ORIGIN, before[0], ONE[before[0] : 8_500], [note_of(ONE[:8_500])])
        await rounds(peers, 1)
        assert [one.log().size for one in peers] == before
        assert all(one.following.status()["answered_wrongly"] == [] for one in peers)

    together(story, nodes(tmp_path, 6))


def test_one_history_at_different_sizes_is_none(tmp_path: Path) -> None:
    """Peers that are differently far end at one head, and accuse nobody."""

    async def story(peers: list[Node]) -> None:
        for one, size in zip(peers, (COMMON, 5_000, 401), strict=True):
            await one.told(ONE[:size])
        await rounds(peers, 2)
        for one in peers:
            assert one.log().size == 5_000
            assert one.log().archive.missing == []
            assert one.forks.names() == []
            assert one.following.status()["answered_wrongly"] == []

    together(story, nodes(tmp_path, 3))


def test_a_fork_survives_a_restart_and_a_peer_that_was_away_learns_of_it(tmp_path: Path) -> None:
    """What is proved is proved for good."""

    async def story(peers: list[Node]) -> None:
        first, second, away = peers
        await first.told(ONE[:500])
        await first.archives.prove([fork_of(note_of(ONE[:450]), note_of(TWO[:450]))], "here")  # type: ignore[list-item]
        await first.stop()
        await first.start()
        assert first.forks.is_forked(ORIGIN)
        await away.compare()
        await second.compare()
        assert away.forks.names() == second.forks.names() == first.forks.names()

    together(story, nodes(tmp_path, 3))


def test_a_proof_that_proves_nothing_is_refused_and_its_bearer_left_alone(tmp_path: Path) -> None:
    """One history, a log that nobody knows, a key that is not the log's, nonsense."""
    thief = signer("thief")
    wrong = [
        fork_of(note_of(ONE[:500], by=thief), note_of(TWO[:500], by=thief)),
        fork_of(note_of(ONE[:500], "acme/cart-9/0123456789abcdef"), note_of(TWO[:500], "acme/cart-9/0123456789abcdef")),
    ]

    async def story(peers: list[Node]) -> None:
        first, second = peers
        post = Post(5)
        said = []
        for one in wrong:
            assert one is not None
            said.append(await post.send(below(first.url, "forks"), one.encode(), "text/plain"))
        said.append(await post.send(below(first.url, "forks"), b"nonsense", "text/plain"))
        await post.close()
        assert [(one.status, one.body.partition(b":")[0]) for one in said] == [
            (422, b"note_signature"),
            (200, b"known\n"),
            (422, b"fork_malformed"),
        ]
        assert first.forks.names() == []

        def lies(path: str, answer: Answer) -> Answer:
            return answer._replace(status=200, body=b"ab" * 32 + b"\n") if "/forks" in path else answer

        second.lie = lies
        await first.compare()
        (named,) = first.following.status()["answered_wrongly"]
        assert named["url"] == second.url

    together(story, nodes(tmp_path, 2))


def test_forks_are_bounded_and_repeats_cost_nothing(tmp_path: Path) -> None:
    """Four proofs of one log are kept, the rest is not even verified; who sends many different ones has to wait."""

    def proof(at: int, origin: str = ORIGIN) -> bytes:
        found = fork_of(note_of(ONE[: 500 + at], origin), note_of(TWO[: 500 + at], origin))
        assert found is not None
        return found.encode()

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        post = Post(5)

        async def send(text: bytes) -> bytes:
            return (await post.send(below(one.url, "forks"), text, "text/plain")).body.partition(b":")[0]

        assert [await send(proof(at)) for at in range(6)] == [b"kept\n"] * 4 + [b"known\n"] * 2
        assert len(one.forks.names()) == 4
        forged = proof(9, NEXT_ORIGIN).replace(b"\n500\n", b"\n501\n")
        bad = forged[:-40] + (b"A" if forged[-40:-39] != b"A" else b"B") + forged[-39:]
        said = [await send(bad) for _ in range(40)]
        await post.close()
        assert said[:28] == [b"note_signature"] * 28
        assert said[28:] == [b"forks_busy"] * 12

    together(story, nodes(tmp_path, 1))
