"""Splits: two incarnations that follow the same one, each without a word of the other; found, spread, and read by anyone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mesh.node.boots import Boots
from mesh.node.desk import WitnessDesk
from mesh.node.forkbook import SPLITS_MAX, ForkBook
from mesh.node.standings import StandingFiles
from mesh.node.unkept import Unkept
from mesh.succession import Succession
from recorder.audit.forked import BroughtFork, judge_forks
from recorder.core.canonical import encode_base64
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, fork_of
from recorder.core.merkle import prove_inclusion
from recorder.core.proofs import parse_proof, verify_proof
from recorder.core.splits import BOOT_MAX_BYTES, Split, SplitProof, parse_split, split_of, verify_split
from tests.mesh.fleet import FLEET, IDENTITY, ORIGIN, TIME_S, Leaves, hashes, head_of, note_of, signer
from tests.mesh.incarnations import HELD, OLD, born, named, shown
from tests.mesh.witnessing import COSIGNER, LINE, request
from tests.node.following import Node, meet, nodes, together, until

FIRST, SECOND, THIRD = (f"{LINE}/{at:016x}" for at in (1, 2, 3))
_ROOT = head_of(OLD[:HELD]).root


def boot(origin: str, *previous: tuple[str, int, bytes | None], **more: Any) -> bytes:
    return born(previous, origin, **more)[0]


ONE, TWO = boot(FIRST, named(HELD)), boot(SECOND, named(30))
PROOF = SplitProof(FIRST, ONE, SECOND, TWO)


def test_two_that_follow_the_same_one() -> None:
    """In whichever order they came, after however many entries; whoever trusts the key needs nothing else."""
    assert split_of((SECOND, TWO), (FIRST, ONE)) == split_of((FIRST, ONE), (SECOND, TWO)) == PROOF
    split = verify_proof(parse_proof(PROOF.encode()), FLEET.trust, FLEET.foreign)
    assert isinstance(split, Split)
    assert (split.platform, split.origin, split.first, split.second) == (LINE, LINE, FIRST, SECOND)
    assert [(one.origin, one.size, other.size) for one, other in split.common] == [(ORIGIN, HELD, 30)]
    assert f"both follow {ORIGIN}, after 17 and 30 entries" in split.describe()
    fork = fork_of(note_of(hashes(3, "one")), note_of(hashes(3, "two")))
    assert fork is not None
    assert isinstance(parse_proof(fork.encode()), ForkProof)


@pytest.mark.parametrize(
    ("other", "previous"),
    [
        (SECOND, [named(HELD), (FIRST, 3, _ROOT)]),
        (SECOND, [(THIRD, 3, _ROOT)]),
        (SECOND, []),
        (FIRST, [named(30)]),
        ("acme/arm-8/0000000000000002", [named(HELD)]),
    ],
)
def test_what_lies_in_one_line_is_no_split(other: str, previous: Sequence[tuple[str, int, bytes | None]]) -> None:
    """One that names the other, whoever else it names; two that follow none in common; one log, and two platforms."""
    assert split_of((FIRST, ONE), (other, boot(other, *previous))) is None


def second(header: dict[int, Any]) -> None:
    header[3] = 1


@pytest.mark.parametrize(
    ("proof", "error"),
    [
        (SplitProof(FIRST, ONE, SECOND, boot(SECOND, named(HELD), (FIRST, 3, _ROOT))), "split_unproved"),
        (SplitProof(FIRST, boot(FIRST, named(HELD), (SECOND, 3, _ROOT)), SECOND, TWO), "split_unproved"),
        (SplitProof(FIRST, ONE, SECOND, boot(SECOND, (THIRD, 3, _ROOT))), "split_unproved"),
        (SplitProof(FIRST, ONE, SECOND, boot(THIRD, named(30))), "split_unproved"),
        (SplitProof(FIRST, ONE, SECOND, boot(SECOND, named(30), identity=signer("thief"))), "split_unproved"),
        (SplitProof(FIRST, ONE, SECOND, boot(SECOND, named(30), changed=second)), "split_unproved"),
        (SplitProof(FIRST, ONE, SECOND, TWO[:-1] + bytes([TWO[-1] ^ 1])), "split_unproved"),
        (SplitProof(FIRST, ONE, SECOND, b"x"), "split_unproved"),
        (SplitProof("acme/nobody/01", ONE, "acme/nobody/02", TWO), "split_origin"),
    ],
)
def test_what_proves_nothing_is_refused(proof: SplitProof, error: str) -> None:
    """Where one knows of the other, none is common, or an entry is not its platform's first boot under this very origin."""
    with pytest.raises(FormatError) as failure:
        verify_split(parse_split(proof.encode()), FLEET.trust)
    assert failure.value.error == error


GOOD = PROOF.encode()
_LINES = GOOD.split(b"\n")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.replace(b"split/1", b"split/2"),
        b"\n".join([_LINES[0], *_LINES[3:5], *_LINES[1:3], b""]),
        b"\n".join([*_LINES[:3], *_LINES[1:3], b""]),
        GOOD.replace(_LINES[2], _LINES[2] + b"="),
        GOOD.replace(SECOND.encode(), b"acme/arm-8/0000000000000002"),
        GOOD.replace(SECOND.encode(), b""),
        GOOD.replace(SECOND.encode(), b"\xff"),
        GOOD.replace(_LINES[2], encode_base64(bytes(60_000)).encode()),
    ],
)
def test_there_is_one_text_for_each(text: bytes) -> None:
    """Another order, other lines, other spelling or too much of it is none."""
    with pytest.raises(FormatError, match="split_malformed"):
        parse_split(text)
    with pytest.raises(Misuse):
        SplitProof(SECOND, TWO, FIRST, ONE).encode()


def succession(origin: str, *previous: tuple[str, int, bytes | None], **more: Any) -> Succession:
    return shown(previous, origin, **more)


class Witness:
    """A witness over files that has cosigned the old incarnation up to `HELD`."""

    def __init__(self, directory: Path) -> None:
        self.said: list[str] = []
        self.forks = ForkBook(directory / "forks", FLEET, self.said.append, Unkept(self.said.append))
        self._directory = directory
        self.begin()
        assert self.desk.add_checkpoint(request(0, HELD, OLD)).status == 200

    def begin(self) -> None:
        """Start, over what is kept."""
        (self._directory / "s").mkdir(exist_ok=True)
        self.desk = WitnessDesk(
            *(FLEET, StandingFiles(self._directory / "s"), self.forks, COSIGNER, lambda: TIME_S, self.said.append),
            boots=Boots(self._directory / "boots", Unkept(self.said.append)),
        )

    def show(self, one: Succession) -> int:
        return self.desk.add_incarnation(one.encode()).status


def test_a_witness_that_follows_one_proves_the_other(tmp_path: Path) -> None:
    """The one is cosigned and goes on; the other is refused, and what it showed is the proof, after a restart too."""
    witness = Witness(tmp_path)
    assert witness.show(succession(FIRST, named(HELD))) == 200
    assert witness.forks.names() == []
    witness.begin()
    for _ in range(2):
        assert witness.show(succession(SECOND, named(HELD))) == 422
    assert len(list((tmp_path / "boots").iterdir())) == 1, "of what is not followed nothing is kept but the proof"
    (name,) = witness.forks.names()
    text = witness.forks.text(name)
    assert text is not None
    assert verify_proof(parse_proof(text), FLEET.trust) == verify_split(
        SplitProof(FIRST, ONE, SECOND, boot(SECOND, named(HELD))), FLEET.trust
    )
    assert (witness.forks.splits_of(LINE), witness.forks.origins_of(LINE)) == (1, [])
    assert not witness.forks.is_forked(FIRST)
    assert len([said for said in witness.said if "SPLIT of acme/arm-7" in said]) == 1
    _, leaves = born([named(HELD)], FIRST, entries=5)
    assert witness.desk.add_checkpoint(request(3, 5, leaves, FIRST)).status == 200, "the one that is followed goes on"
    healed = succession(THIRD, named(HELD), (FIRST, 5, head_of(leaves, FIRST).root), (SECOND, 3, _ROOT))
    assert witness.show(healed) == 200, "one that names both"
    assert len(witness.forks.names()) == 1, "and is in one line with each"


def test_what_the_platform_did_not_sign_proves_nothing(tmp_path: Path) -> None:
    """A boot entry of a thief's key, under a head that the platform signed: refused, and nothing is kept of it."""
    witness = Witness(tmp_path)
    assert witness.show(succession(FIRST, named(HELD))) == 200
    forged, leaves = born([named(HELD)], SECOND, identity=signer("thief"))
    inclusion = tuple(prove_inclusion(Leaves(leaves), 0, len(leaves)))
    assert witness.show(Succession(forged, inclusion, (), note_of(leaves, SECOND, IDENTITY))) == 422
    assert witness.forks.names() == []
    assert len(list((tmp_path / "boots").iterdir())) == 1


def test_a_boot_entry_that_has_no_room_in_a_proof_is_not_followed(tmp_path: Path) -> None:
    """Else whoever begins another line would only have to name enough that never was."""
    much = [(f"{LINE}/{at:016x}", 1, bytes(32)) for at in range(10, 400)]
    large = boot(SECOND, named(HELD), *much)
    assert len(large) > BOOT_MAX_BYTES
    assert Witness(tmp_path).show(succession(SECOND, named(HELD), *much)) == 422
    assert len(boot(SECOND, *much[:256])) < BOOT_MAX_BYTES


def test_splits_are_bounded_and_keep_out_no_fork(tmp_path: Path) -> None:
    """Whoever has the key can make any number."""
    book = ForkBook(tmp_path / "forks", FLEET, print, Unkept(print))
    made = [split_of((FIRST, ONE), (f"{LINE}/{at:016x}", boot(f"{LINE}/{at:016x}", named(3)))) for at in range(4, 12)]
    kept = [book.keep(one, "a test") for one in made if one is not None]
    assert kept == [True] * SPLITS_MAX + [False] * 4
    fork = fork_of(note_of(hashes(3, "one"), FIRST), note_of(hashes(3, "two"), FIRST))
    assert fork is not None
    assert book.keep(fork, "a test")
    again = ForkBook(tmp_path / "forks", FLEET, print, Unkept(print))
    assert (again.splits_of(LINE), again.origins_of(LINE)) == (SPLITS_MAX, [FIRST])


@pytest.mark.parametrize("is_spread", [True, False])
def test_every_peer_learns_of_a_split(tmp_path: Path, *, is_spread: bool) -> None:
    """It is told to all, and found in the list by who was away; it stops nothing."""

    async def story(peers: list[Node]) -> None:
        first, other = peers
        if not is_spread:
            meet(other)
            first.table.urls = []
        assert await first.archives.prove([PROOF], "a test")
        meet(*peers)
        if is_spread:
            await until(other.forks.names)
        else:
            await other.compare()
        assert other.forks.names() == first.forks.names()
        assert other.forks.splits_of(LINE) == 1
        note = note_of(hashes(5), FIRST)
        await other.archives.learn(FIRST, 0, hashes(5), [note])
        assert other.log(FIRST).size == 5

    together(story, nodes(tmp_path, 2))


@pytest.mark.parametrize(
    ("origin", "bearing"),
    [(FIRST, "split"), (SECOND, "split"), (ORIGIN, "another_incarnation"), ("acme/arm-8/00", "another_log")],
)
def test_verification_tells_of_a_split(origin: str, bearing: str) -> None:
    """To which line a log belongs nobody can say: it is told, and no verdict rests on it."""
    identity = IDENTITY.public_key if origin.startswith(LINE) else signer("identity acme/arm-8").public_key
    judged = judge_forks(origin, identity, FLEET.trust, [BroughtFork("here", GOOD)])
    ((shown_fork,), problems, notes) = judged
    assert (shown_fork.bearing, problems, notes) == (bearing, [], [])
    assert shown_fork.words.startswith(f"SPLIT of {LINE}: ")
    forged = SplitProof(FIRST, ONE, SECOND, boot(SECOND, named(30), identity=signer("thief"))).encode()
    ((nothing,), *_) = judge_forks(FIRST, IDENTITY.public_key, FLEET.trust, [BroughtFork("here", forged)])
    assert nothing.bearing == "proves_nothing"
    ((unknown,), *_) = judge_forks("x/y/00", None, None, [BroughtFork("here", GOOD)])
    assert unknown.bearing == "unknown_log"
