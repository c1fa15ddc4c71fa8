"""Catching up over real HTTP: near and far, cut in the middle, from peers that lie, within the room that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.exchange import Answer
from mesh.node.config import Archiving
from mesh.node.places import NotKeptError
from mesh.node.post import Post, below
from recorder.core.merkle import prove_inclusion, verify_inclusion
from tests.mesh.fleet import NEXT_ORIGIN, ORIGIN, hashes, head_of, note_of
from tests.node.following import Node, nodes, together

LEAVES = hashes(9_000)


def test_hashes_near_a_head_are_pulled(tmp_path: Path) -> None:
    """Of any peer; what comes is the log's tree, its tiles and its order, and further peers may have it from there."""

    async def story(peers: list[Node]) -> None:
        first, second, third = peers
        await first.told(LEAVES[:3_000])
        head = note_of(LEAVES[:3_000])
        assert await second.follow(head, first.url)
        assert await third.follow(head, second.url)
        log = third.log()
        assert (log.size, log.archive.missing) == (3_000, [])
        proof = prove_inclusion(log.reader(), 700, 3_000)
        verify_inclusion(LEAVES[700], 700, 3_000, proof, head_of(LEAVES[:3_000]).root)
        assert len([path for path in second.asked if "/hashes/" in path]) == 2

    together(story, nodes(tmp_path, 3))


def test_a_month_takes_one_proof(tmp_path: Path) -> None:
    """More than 100,000 entries apart: one proof and the partial tiles; then tiles are filled in, the upper ones first."""
    leaves = hashes(103_000)

    async def story(peers: list[Node]) -> None:
        first, second = peers
        await first.told(leaves)
        await second.told(leaves[:700])
        first.asked.clear()
        assert await second.follow(note_of(leaves), first.url)
        assert [path.split("/")[5] for path in first.asked if "/log/" in path] == ["proof", "tile", "tile", "tile"]
        assert second.log().archive.missing == [(512, 102_912)]
        while second.log().archive.missing:
            before = second.log().archive.holds
            await second.following.pulling.fill(ORIGIN)
            assert second.log().archive.holds > before
        assert second.log().hashes(100_000, 100_300) == b"".join(leaves[100_000:100_300])
        assert second.following.pulling.counts["jumps"] == 1

    together(story, nodes(tmp_path, 2))


def test_a_pull_that_was_cut_goes_on(tmp_path: Path) -> None:
    """After a kill in the middle what was pulled is not pulled again, and nothing is counted that is not there."""

    async def story(peers: list[Node]) -> None:
        first, second = peers
        await first.told(LEAVES)
        cut = 0

        def falls_silent(path: str, answer: Answer) -> Answer:
            nonlocal cut
            cut += "/hashes/" in path
            return answer if cut <= 1 else Answer(503, "text/plain", b"")

        first.lie = falls_silent
        assert await second.follow(note_of(LEAVES), first.url)
        await second.following.pulling.fill(ORIGIN)
        held = second.log().archive.holds
        assert held == 2_048
        await second.stop(kill=True)
        first.lie = None
        await second.start()
        assert (second.log().size, second.log().archive.holds) == (9_000, held)
        first.asked.clear()
        await second.following.pulling.fill(ORIGIN)
        assert second.log().archive.missing == []
        assert len(first.asked) == 4, "8,960 hashes less 2,048, in answers of 2,048"

    together(story, nodes(tmp_path, 2))


def flipped(answer: Answer) -> Answer:
    return answer._replace(body=answer.body[:-1] + bytes([answer.body[-1] ^ 1]))


@pytest.mark.parametrize(
    ("part", "known", "seen"),
    [("hashes", 100, 3_000), ("proof", 100, 9_000), ("tile", 100, 9_000), ("hashes", 0, 9_000)],
)
def test_a_peer_that_answers_wrongly_is_left_alone_and_another_is_asked(
    tmp_path: Path, part: str, known: int, seen: int
) -> None:
    """Wrong hashes, proofs, tiles, near and far: who answered them is named, nothing wrong is kept, and the end is the same."""

    def lies(path: str, answer: Answer) -> Answer:
        if f"/{part}/" not in path or answer.status != 200:
            return answer
        return answer._replace(body=b"AAAA\n") if part == "proof" else flipped(answer)

    async def story(peers: list[Node]) -> None:
        liar, honest, late = peers
        for one in (liar, honest):
            await one.told(LEAVES[:seen])
        if known:
            await late.told(LEAVES[:known])
        liar.lie = lies
        assert await late.follow(note_of(LEAVES[:seen]), liar.url, honest.url)
        for urls in ([liar.url], [liar.url, honest.url]):
            late.table.urls = urls
            await late.following.pulling.fill(ORIGIN)
        assert late.log().hashes(seen - 300, seen) == b"".join(LEAVES[seen - 300 : seen])
        assert late.log().archive.missing == []
        (named,) = late.following.status()["answered_wrongly"]
        assert (named["url"], named["count"]) == (liar.url, 1)
        liar.asked.clear()
        await late.compare()
        assert liar.asked == [], "it is left alone for a while"
        assert late.forks.names() == []

    together(story, nodes(tmp_path, 3))


def test_wrong_hashes_of_a_third_are_not_held_against_a_peer(tmp_path: Path) -> None:
    """What waited before may be wrong: then all is pulled from the peer, which is right."""

    async def story(peers: list[Node]) -> None:
        first, second = peers
        await first.told(LEAVES[:3_000])
        await second.told(LEAVES[:100])
        await second.archives.learn(ORIGIN, 100, [bytes(32)] * 50, [])
        assert await second.follow(note_of(LEAVES[:3_000]), first.url)
        assert second.log().size == 3_000
        assert second.following.status()["answered_wrongly"] == []

    together(story, nodes(tmp_path, 2))


def test_who_shows_no_proof_is_reported_as_that_and_it_is_no_fork_yet(tmp_path: Path) -> None:
    """A head that the log signed and nobody leads to: told with who was asked.  Once as much is proved, it convicts the log."""

    async def story(peers: list[Node]) -> None:
        first, second = peers
        await first.told(LEAVES[:500])
        await second.told(LEAVES[:400])
        assert not await second.follow(note_of(hashes(8_000, "nobody's", 400)))
        assert not await second.follow(note_of(hashes(450, "nobody's", 400)))
        (told,) = second.following.status()["suspicions"]
        assert (told["offered"], told["peer"]) == (450, first.url)
        assert second.forks.names() == []
        assert second.following.status()["answered_wrongly"] == [], "it never said that it has this head"
        assert await second.follow(note_of(LEAVES[:500]), first.url)
        assert second.log().size == 500
        assert second.following.status()["suspicions"] == []
        assert len(second.forks.names()) == 1
        assert not await second.follow(note_of(LEAVES[:600]), first.url), "it stands still"

    together(story, nodes(tmp_path, 2))


def test_nothing_is_taken_up_again_that_no_key_signed(tmp_path: Path) -> None:
    """Logs of no platform of the fleet, and heads that are signed by another key, whoever tells them."""

    async def story(peers: list[Node]) -> None:
        first, second = peers
        await first.told(LEAVES[:500])
        first.lie = lambda path, answer: (
            answer._replace(body=answer.body.replace(b" 500 ", b" 501 ")) if path == "/heads" else answer
        )
        await second.compare()
        with pytest.raises(NotKeptError):
            second.log()
        assert second.following.gossip.counts["note_signature"] == 1

    together(story, nodes(tmp_path, 2))


def test_room_is_bounded_and_what_is_dropped_is_stated(tmp_path: Path) -> None:
    """The oldest hashes go; status and answers say which; what is there is proved still, and is not pulled again."""
    room = Archiving(per_peer_mib=0.0625, interval_s=86_400, save_s=3_600)  # 2,048 hashes

    async def story(peers: list[Node]) -> None:
        small, late = peers
        await small.told(LEAVES)
        assert small.log().archive.holds == 2_048
        assert small.log().archive.missing == [(0, 6_912)]
        (shown,) = (await small.archives.status())["archives"]
        assert (shown["missing"], shown["missing_entries"]) == ([[0, 6_912]], 6_912)
        tiles = small.log()._files.indexes()
        small.log().keep()
        assert (len(tiles), len(small.log()._files.indexes())) == (35, 8), "deleted after the state that says so"
        head = head_of(LEAVES)
        proof = prove_inclusion(small.log().reader(), 8_000, 9_000)
        verify_inclusion(LEAVES[8_000], 8_000, 9_000, proof, head.root)
        assert await late.follow(note_of(LEAVES), small.url)
        await late.following.pulling.fill(ORIGIN)
        assert late.log().archive.missing == [(0, 6_912)]
        small.asked.clear()
        await late.compare()
        assert not [path for path in small.asked if "/log/" in path]

    together(story, nodes(tmp_path, 2, room))


def test_answers_are_bounded_and_what_is_not_there_is_404(tmp_path: Path) -> None:
    """Of hashes, tiles, proofs and checkpoints; claimed hashes are told too."""

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        await one.told(LEAVES[:3_000])
        await one.archives.learn(ORIGIN, 3_000, LEAVES[3_000:3_010], [])
        post = Post(60)

        async def get(path: str, origin: str = ORIGIN) -> tuple[int, bytes]:
            answer = await post.get(below(one.url, f"log/{origin}/{path}"))
            return answer.status, answer.body if answer.status == 200 else answer.body.partition(b":")[0]

        assert await get("checkpoint") == (200, note_of(LEAVES[:3_000]))
        assert await get("hashes/0-9000") == (200, b"".join(LEAVES[:2_048]))
        assert await get("hashes/2990-9000") == (200, b"".join(LEAVES[2_990:3_010]))
        assert await get("tile/1/000.p/11") == (200, one.log().tile(1, 0, 11))
        assert (await get("proof/700-2900"))[0] == 200
        for path in ("hashes/3010-3020", "hashes/5-5", "hashes/9-1", "hashes/01-2", "proof/0-9", "proof/9-3001", "proof/9-8",
                     "tile/0/011.p/185", "tile/9/000", "tile/x", "hashes/-1-2"):  # fmt: skip
            assert await get(path) == (404, b"tile_unknown"), path
        for path in ("checkpoint", "hashes/0-9"):
            assert await get(path, NEXT_ORIGIN) == (404, b"origin_unknown")
        assert await get("entries/0") == (404, b"path_unknown")
        await post.close()

    together(story, nodes(tmp_path, 1))


def test_incarnations_that_are_over_keep_what_they_have(tmp_path: Path) -> None:
    """The one in force gives way first, down to half of the platform's share."""
    room = Archiving(per_peer_mib=0.0625, interval_s=86_400, save_s=3_600)

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        await one.told(LEAVES[:1_100])
        for size in (1_000, 3_000):
            old = 0 if size == 1_000 else 1_000
            note = note_of(LEAVES[:size], NEXT_ORIGIN)
            await one.archives.learn(NEXT_ORIGIN, old, LEAVES[old:size], [note])
        assert (one.log().archive.holds, one.log(NEXT_ORIGIN).archive.holds) == (1_024, 1_024)

    together(story, nodes(tmp_path, 1, room))


def test_waiting_hashes_are_bounded_over_all_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has most of them waits without."""
    monkeypatch.setattr("mesh.node.archivestore.CLAIMED_MAX", 1_000)

    async def story(peers: list[Node]) -> None:
        (one,) = peers
        other = note_of(LEAVES[:100], NEXT_ORIGIN)
        await one.told(LEAVES[:100])
        await one.archives.learn(NEXT_ORIGIN, 0, LEAVES[:100], [other])
        await one.archives.learn(ORIGIN, 200, LEAVES[:900], [])
        await one.archives.learn(NEXT_ORIGIN, 200, LEAVES[:200], [])
        assert (one.log().archive.waiting, one.log(NEXT_ORIGIN).archive.waiting) == (0, 200)
        assert one.archives.store.let_go == 1

    together(story, nodes(tmp_path, 1))
