"""Archives in files: whatever a crash leaves behind goes on, damage is thrown away and said, nothing wrong is served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.node.archivestore import ArchiveStore
from mesh.node.forkbook import ForkBook
from mesh.node.places import NotKeptError
from mesh.node.unkept import Unkept
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import prove_consistency, root_at, root_of
from recorder.core.note import ED25519, VerifierKey
from recorder.core.tiles import TileTree, partial_widths
from tests.mesh.fleet import FLEET, IDENTITY, NEXT_ORIGIN, ORIGIN, Leaves, hashes, listed, note_of, policy, signer
from tests.mesh.test_archive import Alike, alike

LEAVES = hashes(70_000)
NOTES = {size: note_of(LEAVES[:size]) for size in (600, 1_500, 1_530, 2_900, 70_000)}
ROOM = 2_048 * HASH_BYTES / (1 << 20)


def store(tmp_path: Path, say: Callable[[str], None] = print, room: float = ROOM) -> ArchiveStore:
    return ArchiveStore(
        tmp_path / "archives", FLEET, ForkBook(tmp_path / "forks", FLEET, say, Unkept(say)), (room, 1_024), say
    )


def partial_of(size: int) -> list[bytes]:
    tree = TileTree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    return tree.snapshot()


def tile(level: int, index: int) -> list[bytes]:
    """A full tile of the log, of level 0 or 1."""
    if level == 0:
        return LEAVES[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
    assert index == 0
    return TILE_1_0


PARTIAL = partial_of(70_000)
PROOFS = {size: prove_consistency(Leaves(LEAVES), size, 70_000) for size in (0, *NOTES)}
TILE_1_0 = [root_of(LEAVES[at : at + TILE_WIDTH]) for at in range(0, 65_536, TILE_WIDTH)]


class Cut(Exception):
    """The power is cut here."""


class Disk:
    """What was written and not synced when the power is cut is lost, torn, or there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cut_at: int) -> None:
        self.steps = 0
        self.loose: set[Path] = set()
        self._cut_at = cut_at
        replace, unlink = Path.replace, Path.unlink

        def step() -> None:
            self.steps += 1
            if self.steps == cut_at:
                raise Cut

        def put(path: Path, target: Path) -> Path:
            step()
            self.loose.add(target)
            return replace(path, target)

        def sync(path: Path) -> None:
            step()
            self.loose.discard(path)

        def whole(path: Path, content: bytes, mode: int) -> None:
            step()
            temporary = path.with_name("state.tmp")
            temporary.write_bytes(content)
            step()
            temporary.rename(path)

        def gone(path: Path, missing_ok: bool = False) -> None:
            step()
            self.loose.discard(path)
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "replace", put)
        monkeypatch.setattr(Path, "unlink", gone)
        monkeypatch.setattr("mesh.node.archivefiles.sync_file", sync)
        monkeypatch.setattr("mesh.node.archivefiles.sync_dir", lambda _: step())
        monkeypatch.setattr("mesh.node.archivefiles.replace_file", whole)

    def lose(self, how: str) -> None:
        """What the power cut left of files that were not synced."""
        for path in self.loose:
            if how == "lost":
                path.unlink()
            elif how == "torn":
                path.write_bytes(path.read_bytes()[:5_000])


def life(kept: ArchiveStore) -> None:
    """An archive that grows, is saved, outgrows its room, jumps, and is filled in."""
    kept.learn(ORIGIN, 0, LEAVES[:600], [NOTES[600]])
    kept.keep()
    kept.learn(ORIGIN, 600, LEAVES[600:1_530], [NOTES[1_500], NOTES[1_530]])
    kept.keep()
    kept.learn(ORIGIN, 1_530, LEAVES[1_530:2_900], [NOTES[2_900]])
    kept.keep()
    jump_and_fill(kept)
    kept.keep()


def jump_and_fill(kept: ArchiveStore) -> None:
    size = kept.size(ORIGIN)
    if size < 70_000:
        proof = PROOFS[size]
        kept.jump(ORIGIN, size, NOTES[70_000], proof, PARTIAL)
    while wanted := kept.wanted(ORIGIN, 3):
        level = max(wanted)[0]
        kept.fill(ORIGIN, [(*one, tile(*one)) for one in wanted if one[0] == level])


def check(kept: ArchiveStore) -> None:
    """Whatever is served is right, and what is not served is stated."""
    log = kept.get(ORIGIN)
    assert log.size in {*NOTES, 0}
    missing = log.archive.missing
    for index in range(log.size // TILE_WIDTH):
        waits = log.size == 70_000 and index < TILE_WIDTH and not log._files.has(1, 0)  # what leads to it
        if waits or any(first <= index * TILE_WIDTH < end for first, end in missing):
            with pytest.raises(NotKeptError):
                log.tile(0, index)
        else:
            assert log.tile(0, index) == b"".join(tile(0, index))


def steps_of_a_life(tmp_path: Path) -> int:
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(monkeypatch, 0)
        life(store(tmp_path))
    return disk.steps


@pytest.mark.parametrize("how", ["lost", "torn", "whole"])
def test_the_power_is_cut_at_any_step(tmp_path: Path, how: str) -> None:
    """What is found then is a state that was saved, nothing in it is wrong or gone, and pulling on ends where it would have."""
    said: list[str] = []
    (tmp_path / "whole").mkdir()
    steps = steps_of_a_life(tmp_path / "whole")
    assert steps > 60
    for cut_at in range(1, steps + 1, 1 if how == "lost" else 3):
        place = tmp_path / str(cut_at)
        place.mkdir()
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = Disk(monkeypatch, cut_at)
            with pytest.raises(Cut):
                life(store(place))
        disk.lose(how)
        again = store(place, said.append)
        if ORIGIN in [one.origin for one in again.summaries()]:
            check(again)
        jump_and_fill(again)
        check(again)
        assert again.get(ORIGIN).archive.missing == [(0, 67_840)], "the newest 2,048 in whole tiles are held"
        assert said == [], "nothing was counted that was not durable"


def test_damage_is_thrown_away_and_said_once(tmp_path: Path) -> None:
    """A tile that does not lead to the node above it, or is gone, is missing from then on, and taken when it comes again."""
    said: list[str] = []
    kept = store(tmp_path, said.append)
    kept.learn(ORIGIN, 0, LEAVES[:1_500], [NOTES[1_500]])
    kept.keep()
    files = kept.get(ORIGIN)._files
    (files.directory / "tile/0/001").write_bytes(bytes(8_192))
    (files.directory / "tile/0/002").unlink()
    (files.directory / "tile/0/003").write_bytes(b"short")
    log = store(tmp_path, said.append).get(ORIGIN)
    for _ in range(2):
        for index in (1, 2, 3):
            with pytest.raises(NotKeptError):
                log.tile(0, index)
    assert log.archive.missing == [(256, 1_024)]
    assert len(said) == 3
    assert log.wanted(9, 2_048) == [(0, 3), (0, 2), (0, 1)]
    for index in (1, 2, 3):
        log.fill(0, index, tile(0, index))
    assert log.hashes(0, 1_500) == b"".join(LEAVES[:1_500])


def test_a_state_that_is_damaged_begins_anew_and_its_tiles_are_used_again(tmp_path: Path) -> None:
    """Every byte of it counts; the file of another log is damage too."""
    said: list[str] = []
    kept = store(tmp_path)
    kept.learn(ORIGIN, 0, LEAVES[:1_500], [NOTES[1_500]])
    kept.learn(NEXT_ORIGIN, 0, LEAVES[:600], [note_of(LEAVES[:600], NEXT_ORIGIN)])
    kept.keep()
    path, other = (kept.get(origin)._files.directory / "state" for origin in (ORIGIN, NEXT_ORIGIN))
    sound = path.read_bytes()
    for wrong in (sound[:-1], sound[:700] + b"x" + sound[701:], b"", other.read_bytes()):
        path.write_bytes(wrong)
        said.clear()
        again = store(tmp_path, said.append)
        assert again.size(ORIGIN) == 0
        assert again.size(NEXT_ORIGIN) == 600
        again.learn(ORIGIN, 0, [], [NOTES[1_500]])
        assert "damaged" in said[0]
        again.jump(ORIGIN, 0, NOTES[1_500], [], partial_of(1_500))
        assert again.get(ORIGIN).archive.missing == [], "what was there is counted again"
        assert again.get(ORIGIN).hashes(0, 1_500) == b"".join(LEAVES[:1_500])


def test_after_a_failed_write_it_goes_on_from_what_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory may not be on the disk."""
    kept = store(tmp_path)
    kept.learn(ORIGIN, 0, LEAVES[:600], [NOTES[600]])
    kept.keep()
    kept.learn(ORIGIN, 600, LEAVES[600:1_500], [NOTES[1_500]])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mesh.node.archivefiles.sync_file", fail)
    with pytest.raises(OSError, match="No space"):
        kept.keep()
    kept.forget()
    assert kept.size(ORIGIN) == 600
    monkeypatch.undo()
    kept.learn(ORIGIN, 600, LEAVES[600:1_500], [NOTES[1_500]])
    kept.keep()
    assert store(tmp_path).size(ORIGIN) == 1_500


def test_hashes_of_nobody_are_not_kept(tmp_path: Path) -> None:
    """A log counts from its first signed head on, and only one of the fleet list."""
    kept = store(tmp_path)
    kept.learn(ORIGIN, 0, LEAVES[:300])
    kept.learn("acme/cart-9/0123456789abcdef", 0, LEAVES[:300], [note_of(LEAVES[:300], "acme/cart-9/0123456789abcdef")])
    assert kept.summaries() == []
    assert list((tmp_path / "archives").iterdir()) == []


def test_a_tile_that_comes_again_before_it_went_stays(tmp_path: Path) -> None:
    """What was let go is deleted after the next state; not what that state counts."""
    kept = store(tmp_path)
    kept.learn(ORIGIN, 0, LEAVES[:1_500], [NOTES[1_500]])
    kept.keep()
    log = kept.get(ORIGIN)
    log.shed(0)
    log.fill(0, 2, tile(0, 2))
    kept.keep()
    again = store(tmp_path).get(ORIGIN)
    assert again.archive.missing == [(0, 512), (768, 1_280)]
    assert again.tile(0, 2) == b"".join(tile(0, 2))


def test_what_a_replaced_key_signed_is_not_told_as_the_log(tmp_path: Path) -> None:
    """Under a list that names another key nothing of it counts; under the one before it is there again."""
    kept = store(tmp_path)
    kept.learn(ORIGIN, 0, LEAVES[:600], [NOTES[600]])
    kept.keep()
    line, after = "acme/arm-7", signer("the next key")
    old, new = (str(VerifierKey.derive(line, ED25519, one.public_key)) for one in (IDENTITY, after))
    fleet = listed(policy().replace(old, new), 4)
    other = ArchiveStore(
        tmp_path / "archives", fleet, ForkBook(tmp_path / "forks", fleet, print, Unkept(print)), (ROOM, 1_024), print
    )
    assert other.summaries() == []
    learned = other.learn(ORIGIN, 0, LEAVES[100:700], [note_of(LEAVES[100:700], by=after)])
    assert (learned.forks, other.size(ORIGIN)) == ([], 600)
    other.keep()
    assert store(tmp_path).note(ORIGIN) == NOTES[600]


def test_tiles_above_the_hashes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that says to have ever more entries has peers pull what leads to the newest: the oldest of that goes."""
    monkeypatch.setattr("mesh.node.archiveroom.ABOVE_MIN", 8)
    kept, size, seen, wanted = store(tmp_path), 0, set(), (0, 0)
    for at in range(1, 7):
        head = Checkpoint(ORIGIN, at << 40, root_at(Alike(), at << 40))
        partial = [alike(8 * level) * width for level, width in enumerate(partial_widths(head.size))]
        note = sign_checkpoint(head, IDENTITY).encode()
        kept.jump(ORIGIN, size, note, prove_consistency(Alike(), size, head.size), partial)
        size = head.size
        while (wanted := max(kept.wanted(ORIGIN, 8)))[0]:
            kept.fill(ORIGIN, [(*wanted, [alike(8 * wanted[0])] * TILE_WIDTH)])
            seen.add(wanted)
        assert kept.get(ORIGIN).above <= 8
    assert len(seen) == 24
    kept.fill(ORIGIN, [(*wanted, [alike(0)] * TILE_WIDTH)])
    assert kept.get(ORIGIN).tile(*wanted) == alike(0) * TILE_WIDTH
    kept.keep()
    again = store(tmp_path)
    assert again.get(ORIGIN).above == 8
    assert again.get(ORIGIN).tile(*wanted) == alike(0) * TILE_WIDTH
