"""Archives: a peer's tree is the log's tree or nothing, whoever sends what; a jump, a fill, and room are stated."""

from __future__ import annotations

import signal
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.ahead import AHEAD_MAX
from mesh.archive import Archive, State
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import verify_fork
from recorder.core.merkle import node_hash, prove_consistency, prove_inclusion, root_at, verify_inclusion
from recorder.core.tiles import Tile, TileReader, TileTree, partial_widths
from tests.mesh.fleet import FLEET, IDENTITY, NEXT_ORIGIN, ORIGIN, Leaves, hashes, head_of, note_of

LEAVES = hashes(1400)
OTHER = hashes(700, "other", common=300)


class Store:
    """Tiles as they left the archive, and the partial ones out of its state."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}

    def put(self, tiles: list[Tile]) -> None:
        self.tiles |= {(tile.level, tile.index): tile.hashes for tile in tiles}

    def reader(self, archive: Archive) -> TileReader:
        partial = archive.state().partial

        def fetch(level: int, index: int, width: int) -> bytes:
            return self.tiles[level, index] if width == 256 else partial[level]

        return TileReader(fetch, archive.size)


def proved(size: int, leaves: list[bytes] = LEAVES) -> tuple[Archive, Store]:
    """An archive that was sent everything in order."""
    archive, store = Archive(ORIGIN), Store()
    for end in [*range(256, size, 256), size]:
        archive.claim(archive.size, leaves[archive.size : end])
        archive.add_head(note_of(leaves[:end]))
        store.put(archive.advance().tiles)
    assert archive.size == size
    return archive, store


def partial_of(leaves: list[bytes]) -> list[bytes]:
    tree = TileTree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.snapshot()


@settings(max_examples=25)
@given(st.data())
def test_in_any_order_with_any_loss(data: st.DataObject) -> None:
    """Ranges in any order, doubled, some wrong: the tree that is proved is always the log's, and pulling gaps ends it."""
    archive = Archive(ORIGIN)
    for _ in range(data.draw(st.integers(0, 12))):
        first = data.draw(st.integers(0, 60))
        sent = LEAVES[first : first + data.draw(st.integers(0, 20))]
        if sent and data.draw(st.integers(0, 3)) == 0:
            sent[data.draw(st.integers(0, len(sent) - 1))] = bytes(32)
        archive.claim(first, sent)
        size = data.draw(st.integers(1, 80))
        assert archive.add_head(note_of(LEAVES[:size])) is None
        archive.advance()
        if archive.size:
            assert archive.state().partial == partial_of(LEAVES[: archive.size])
    archive.add_head(note_of(LEAVES[:80]))
    for _ in range(3):
        for first, end in archive.gaps(100):
            archive.claim(first, LEAVES[first:end])
        archive.advance()
    assert archive.size == 80
    assert archive.waiting <= 20
    assert archive.gaps(100) == []


def test_tiles_rebuild_the_tree_of_a_log_that_is_gone() -> None:
    """From tiles alone, existence and order of every entry are proved against the head that the log signed."""
    archive, store = proved(1300)
    tree = store.reader(archive)
    head = head_of(LEAVES[:1300])
    for seq in (0, 255, 256, 1279, 1280, 1299):
        verify_inclusion(LEAVES[seq], seq, 1300, prove_inclusion(tree, seq, 1300), head.root)
    assert [(tile[0], tile[1]) for tile in store.tiles] == [(0, index) for index in range(5)]


def test_claims_are_counted() -> None:
    """New, known, contradicting and far ones are told apart; the first claim for an entry stays until a head decides."""
    archive = Archive(ORIGIN)
    assert archive.claim(0, LEAVES[:5]) == (5, 0, 0, 0)
    assert archive.claim(3, [LEAVES[3], bytes(32), LEAVES[5]]) == (1, 1, 1, 0)
    assert archive.claim(AHEAD_MAX - 1, LEAVES[:3]) == (1, 0, 0, 2)
    archive.add_head(note_of(LEAVES[:6]))
    assert archive.advance().proved == head_of(LEAVES[:6])
    assert archive.claim(5, [bytes(32), LEAVES[6]]) == (1, 1, 0, 0)
    with pytest.raises(Misuse):
        archive.claim(0, [bytes(31)])


def test_a_wrong_hash_holds_nothing_up() -> None:
    """Hashes that do not lead to the head are let go, named, and pulled again; what was proved stays."""
    archive, _ = proved(10)
    archive.claim(10, [*LEAVES[10:14], bytes(32), *LEAVES[15:20]])
    archive.add_head(note_of(LEAVES[:14]))
    archive.add_head(note_of(LEAVES[:20]))
    advance = archive.advance()
    assert (advance.proved, advance.unproved, archive.size) == (head_of(LEAVES[:14]), [(14, 20)], 14)
    assert archive.gaps(5) == [(14, 20)]
    archive.claim(14, LEAVES[14:20])
    assert archive.advance().proved == head_of(LEAVES[:20])


def test_gaps_are_what_is_to_be_pulled() -> None:
    """Ranges that are not there, up to the largest head in reach, and no more of them than asked for."""
    archive = Archive(ORIGIN)
    archive.claim(3, LEAVES[3:5])
    archive.claim(8, LEAVES[8:9])
    assert archive.gaps(9) == []
    archive.add_head(note_of(LEAVES[:12]))
    assert archive.gaps(9) == [(0, 3), (5, 8), (9, 12)]
    assert archive.gaps(2) == [(0, 3), (5, 8)]


def test_forks_that_an_archive_finds() -> None:
    """A second head of one size, a smaller one that is not in the tree, one that a larger head contradicts."""
    archive, store = proved(700)
    assert archive.contradiction(note_of(LEAVES[:290]), store.reader(archive)) is None
    same = archive.add_head(note_of(OTHER[:700]))
    beside = archive.contradiction(note_of(OTHER[:310]), store.reader(archive))
    archive.claim(700, LEAVES[700:720])
    archive.add_head(note_of(hashes(710, "third", common=701)))
    archive.add_head(note_of(LEAVES[:720]))
    advance = archive.advance()
    store.put(advance.tiles)
    assert advance.proved == head_of(LEAVES[:720])
    assert advance.unproved == []
    assert advance.contradicted == [note_of(hashes(710, "third", common=701))]
    passed = archive.contradiction(advance.contradicted[0], store.reader(archive))
    for fork in (same, beside, passed):
        assert fork is not None
        verify_fork(fork, FLEET.trust)
    with pytest.raises(Misuse):
        Archive(ORIGIN).contradiction(note_of(LEAVES), Leaves(LEAVES))


def test_a_jump_over_a_month() -> None:
    """One proof and the partial tiles lead to a head far ahead; what was jumped over is stated, and can be filled in."""
    archive, store = proved(300)
    head = note_of(LEAVES)
    archive.add_head(head)
    archive.claim(310, LEAVES[310:320])
    proof = prove_consistency(Leaves(LEAVES), 300, 1400)
    assert archive.jump(head, proof, partial_of(LEAVES)) == (256, 1280)
    assert (archive.size, archive.missing, archive.waiting) == (1400, [(256, 1280)], 0)
    archive.claim(1400, hashes(1402)[1400:])
    archive.add_head(note_of(hashes(1402)))
    assert archive.advance().proved == head_of(hashes(1402))
    for index in (2, 4, 1, 3):
        tile = archive.fill(0, index, LEAVES[index * 256 : (index + 1) * 256], store.reader(archive))
        store.put([tile])
    assert archive.missing == []
    tree = store.reader(archive)
    verify_inclusion(LEAVES[700], 700, 1402, prove_inclusion(tree, 700, 1402), head_of(hashes(1402)).root)
    with pytest.raises(FormatError, match="tile_unproved"):
        archive.fill(0, 1, LEAVES[:256], tree)
    for level, index, width in ((0, 5, 256), (1, 0, 256), (0, 0, 255), (0, -1, 256)):
        with pytest.raises(Misuse):
            archive.fill(level, index, LEAVES[:width], tree)


def test_jumps_refused() -> None:
    """A head of another history, partial tiles of another tree, a head that nobody added: nothing moves."""
    archive, _ = proved(310)
    archive.add_head(note_of(LEAVES))
    archive.add_head(note_of(OTHER[:699]))
    proof, partial = prove_consistency(Leaves(LEAVES), 310, 1400), partial_of(LEAVES)
    for note, its_proof, its_partial, error in (
        (note_of(LEAVES), [], partial, "consistency_proof"),
        (
            note_of(OTHER[:699]),
            prove_consistency(Leaves(OTHER), 310, 699),
            partial_of(OTHER[:699]),
            "consistency_proof",
        ),
        (note_of(LEAVES), proof, partial[:1], "tree_state"),
        (note_of(LEAVES), proof, [partial[0][:-32] + bytes(32), *partial[1:]], "tree_state"),
    ):
        with pytest.raises(FormatError, match=error):
            archive.jump(note, its_proof, its_partial)
    for note in (note_of(LEAVES[:310]), note_of(LEAVES[:1399])):
        with pytest.raises(Misuse):
            archive.jump(note, proof, partial)
    assert (archive.size, archive.missing) == (310, [])


def test_a_jump_within_a_tile_or_from_nothing() -> None:
    """Within the last tile nothing is missing; from nothing on, the full tiles are."""
    archive, _ = proved(260)
    archive.add_head(note_of(LEAVES[:300]))
    proof = prove_consistency(Leaves(LEAVES), 260, 300)
    assert archive.jump(note_of(LEAVES[:300]), proof, partial_of(LEAVES[:300])) is None
    fresh = Archive(ORIGIN)
    fresh.add_head(note_of(LEAVES[:300]))
    assert fresh.jump(note_of(LEAVES[:300]), [], partial_of(LEAVES[:300])) == (0, 256)


class Alike:
    """A tree of any size whose leaves are all the same: every node is known without making the log."""

    def node(self, level: int, index: int) -> bytes:
        return alike(level)


@lru_cache(None)
def alike(level: int) -> bytes:
    return node_hash(alike(level - 1), alike(level - 1)) if level else bytes(32)


def test_a_log_may_say_that_it_has_any_number_of_entries() -> None:
    """A jump over 2^60 entries and room for a few of them take no longer than what is held."""
    archive, sizes = Archive(ORIGIN), (1 << 60, (1 << 61) + 300, (1 << 61) + 2_348)
    heads = [Checkpoint(ORIGIN, size, root_at(Alike(), size)) for size in sizes]
    signal.alarm(30)  # else it would go on for ever
    try:
        for head in heads[:2]:
            note = sign_checkpoint(head, IDENTITY).encode()
            archive.add_head(note)
            partial = [alike(8 * level) * width for level, width in enumerate(partial_widths(head.size))]
            archive.jump(note, prove_consistency(Alike(), archive.size, head.size), partial)
        archive.claim(archive.size, [bytes(32)] * 2_048)
        archive.add_head(sign_checkpoint(heads[2], IDENTITY).encode())
        assert len(archive.advance().tiles) == 8
        assert archive.shed(1_024) == [(1 << 53) + at for at in range(1, 5)]
        assert archive.missing == [(0, (1 << 61) + 5 * 256)]
    finally:
        signal.alarm(0)


def test_far_behind() -> None:
    """Where no head is in reach of what may wait, there is nothing to pull: only a jump helps."""
    archive = Archive(ORIGIN)
    seen = []
    for size in (0, AHEAD_MAX + 1, AHEAD_MAX):
        if size:
            archive.add_head(note_of(hashes(size)))
        seen.append(archive.gaps(9))
    assert seen == [[], [], [(0, AHEAD_MAX)]]


def test_room_is_bounded() -> None:
    """The oldest tiles of hashes go first, and which is stated; shedding again sheds no more."""
    archive, store = proved(1300)
    assert archive.shed(1280) == []
    assert archive.shed(600) == [0, 1, 2]
    assert archive.missing == [(0, 768)]
    assert archive.shed(600) == []
    store.put([archive.fill(0, 1, LEAVES[256:512], store.reader(archive))])
    assert archive.missing == [(0, 256), (512, 768)]
    assert archive.shed(0) == [1, 3, 4]
    assert archive.missing == [(0, 1280)]


def test_the_proved_head_stays() -> None:
    """However many heads come before their hashes, the one that the tree stands on is kept."""
    archive = Archive(ORIGIN)
    for size in range(1, 41):
        archive.add_head(note_of(LEAVES[:size]))
    archive.claim(0, LEAVES[:40])
    archive.advance()
    for size in range(41, 141):
        archive.add_head(note_of(LEAVES[:size]))
    assert Archive(ORIGIN, archive.state()).size == 40


def test_kept_and_taken_up_again() -> None:
    """State and tiles are all that it stands on; a state whose tree is not that of a signed head is refused."""
    archive, _ = proved(300)
    archive.add_head(note_of(LEAVES[:310]))
    state = archive.state()
    again = Archive(ORIGIN, state)
    assert (again.state(), again.size, len(again.heads)) == (state, 300, 3)
    again.claim(300, LEAVES[300:310])
    assert again.advance().proved == head_of(LEAVES[:310])
    for wrong in (
        state._replace(partial=[state.partial[0][:-32] + bytes(32), state.partial[1]]),
        state._replace(notes=state.notes[:1]),
        state._replace(size=301),
    ):
        with pytest.raises(FormatError, match=r"^(archive|tree)_state"):
            Archive(ORIGIN, wrong)
    assert Archive(ORIGIN, State(0, [], [], [], 0)).size == 0
    with pytest.raises(Misuse):
        archive.add_head(note_of(LEAVES[:5], NEXT_ORIGIN))
