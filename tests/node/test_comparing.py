"""Histories compared over real HTTP: a log that shows two of them is found by all, and nobody else is accused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mesh.digest import Digest
from mesh.exchange import Answer
from mesh.histories import encode_heads, told_of
from mesh.node.config import Archiving
from mesh.node.gossip import PEERS_MAX
from mesh.node.post import Post, below
from recorder.core.forks import fork_of, parse_fork, verify_fork
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, hashes, note_of, signer
from tests.node.following import Node, meet, nodes, together, until

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
        end = before[0] + 100
        await peers[0].archives.learn(ORIGIN, before[0], ONE[before[0] : end], [note_of(ONE[:end])])
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


def test_of_many_peers_some_are_asked_in_a_round_and_all_in_the_end(tmp_path: Path) -> None:
    """What a round costs is bounded however many there are; who is asked is drawn each time."""

    async def story(peers: list[Node]) -> None:
        one, other = peers
        one.table.urls = [f"{other.url}/{number}" for number in range(PEERS_MAX + 8)]
        met: set[str] = set()
        for _ in range(16):
            other.asked.clear()
            await one.compare()
            assert len(other.asked) == len(set(other.asked)) == PEERS_MAX
            met |= set(other.asked)
        assert len(met) == PEERS_MAX + 8

    together(story, nodes(tmp_path, 2))


def test_who_appears_is_asked_at_once_and_alone(tmp_path: Path) -> None:
    """Many that start one after the other would else ask all for each; all are asked where its address is not known."""

    async def story(peers: list[Node]) -> None:
        one, near, other = peers
        appeared, rounds_before = Digest(ORIGIN, 1, 1, 0, b"", None, []), one.following.gossip.rounds
        one.table.platforms = {ORIGIN.rpartition("/")[0]: [near.url]}
        one.following.take(appeared, None)
        one.following.take(appeared, None)
        await until(lambda: near.asked)
        assert (near.asked, other.asked) == (["/heads"], [])
        one.following.take(appeared._replace(origin=NEXT_ORIGIN.replace("arm", "cart")), None)
        await until(lambda: one.following.gossip.rounds > rounds_before)
        assert (near.asked, other.asked) == (["/heads"] * 2, ["/heads"])

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
        post = Post(60)
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
            if path == "/heads":
                return answer._replace(body=b"fork " + b"ab" * 32 + b"\n" + answer.body)
            return answer._replace(status=200, body=b"nonsense") if "/forks/" in path else answer

        second.lie = lies
        await first.compare()
        (named,) = first.following.status()["answered_wrongly"]
        assert named["url"] == second.url

    together(story, nodes(tmp_path, 2))


def test_a_proof_that_one_peer_withholds_is_taken_of_another(tmp_path: Path) -> None:
    """Who lists it and does not give it, or gives something else, keeps it from nobody."""

    def withholds(path: str, answer: Answer) -> Answer:
        return answer._replace(status=404) if "/forks/" in path else answer

    async def story(peers: list[Node]) -> None:
        liar, honest, third = peers
        for one in (liar, honest):
            await one.archives.prove([fork_of(note_of(ONE[:450]), note_of(TWO[:450]))], "here")  # type: ignore[list-item]
        assert not third.forks.names()
        liar.lie = withholds
        for only in (liar, honest):
            third.table.urls = [only.url]
            await third.compare()
        assert third.forks.names() == honest.forks.names()

    several = nodes(tmp_path, 3)
    for one in several[:2]:
        one.table.urls = []
    together(story, several)


def test_heads_under_another_key_are_left_aside_and_the_others_compared(tmp_path: Path) -> None:
    """A peer that has another fleet list, or archives of a key that was replaced, tells no lie; its other heads count."""

    async def story(peers: list[Node]) -> None:
        first, second = peers
        foreign = told_of(note_of(TWO[:900], NEXT_ORIGIN, by=signer("the key before")))
        await first.told(ONE[:700])
        first.lie = lambda path, answer: (
            answer._replace(body=encode_heads([foreign]) + answer.body) if path == "/heads" else answer
        )
        await second.compare()
        assert second.log().size == 700
        assert second.following.gossip.counts["note_signature"] == 1
        assert second.following.status()["answered_wrongly"] == []

    together(story, nodes(tmp_path, 2))


def test_forks_are_bounded_and_repeats_cost_nothing(tmp_path: Path) -> None:
    """Four proofs of one log are kept, the rest is not even verified; who sends many different ones has to wait."""

    def proof(at: int, origin: str = ORIGIN) -> bytes:
        found = fork_of(note_of(ONE[: 500 + at], origin), note_of(TWO[: 500 + at], origin))
        assert found is not None
        return found.encode()

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        post = Post(60)

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


def test_a_head_that_a_witness_refused_convicts_later(tmp_path: Path) -> None:
    """The log signed it: when as much of the log is proved, by whomever, it is part of it or proves a fork."""

    async def story(peers: list[Node]) -> None:
        first, second = peers
        await second.told(ONE[:500])
        second.archives.offer(note_of(TWO[:900]))
        second.archives.offer(note_of(ONE[:450]))
        await until(lambda: second.following.status()["suspicions"])
        assert not second.forks.names()
        await first.told(ONE[:1_000])
        await second.compare()
        assert second.log().size == 1_000
        assert second.forks.is_forked(ORIGIN)
        assert second.following.status()["suspicions"] == []

    together(story, nodes(tmp_path, 2))


def test_a_head_below_ours_that_a_witness_refused_convicts_at_once(tmp_path: Path) -> None:
    """It is held against the tree."""

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        await one.told(ONE[:500])
        one.archives.offer(note_of(ONE[:450]))
        one.archives.offer(note_of(TWO[:450]))
        await until(lambda: one.forks.is_forked(ORIGIN))

    together(story, nodes(tmp_path, 1))


def test_our_own_heads_that_somebody_brings_are_not_archived(tmp_path: Path) -> None:
    """They are no secret: whoever sends them to our own witness would have us keep our log a second time."""

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        one.archives.own = lambda: ORIGIN
        one.archives.offer(note_of(ONE[:450]))
        one.archives.offer(note_of(TWO[:450], NEXT_ORIGIN))
        await until(one.archives.store.summaries)
        assert [each.origin for each in one.archives.store.summaries()] == [NEXT_ORIGIN]

    together(story, nodes(tmp_path, 1))


def test_a_head_that_is_passed_before_it_is_followed_is_compared(tmp_path: Path) -> None:
    """What the log signed is held against the tree, however fast that grew."""

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        await one.told(ONE[:500])
        assert await one.follow(note_of(TWO[:450]))
        assert one.forks.is_forked(ORIGIN)

    together(story, nodes(tmp_path, 1))


@pytest.mark.parametrize("is_other", [True, False])
def test_an_old_head_of_what_was_dropped_here_is_compared_by_a_peer_that_has_it(
    tmp_path: Path, *, is_other: bool
) -> None:
    """A proof from its size to ours says whose history it is."""
    room = Archiving(per_peer_mib=0.0625, interval_s=86_400, save_s=3_600)  # 2,048 hashes

    async def story(peers: list[Node]) -> None:
        small, old = peers
        (whole,) = nodes(tmp_path / "other", 1)
        await whole.start()
        meet(small, old, whole)
        await small.told(ONE[:8_000])
        await whole.told(ONE[:8_000])
        await old.told((TWO if is_other else ONE)[:1_001])
        old.table.urls = []
        await small.compare()
        assert small.forks.is_forked(ORIGIN) == is_other
        assert small.following.status()["answered_wrongly"] == []
        assert small.following.status()["suspicions"] == []
        await whole.stop()

    (tmp_path / "other").mkdir()
    together(story, nodes(tmp_path, 2, room))
