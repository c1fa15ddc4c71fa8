"""What peers tell of a log, held against each other: nothing counts but what leads to a head that the log signed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.asking import (
    EXIT_STATUS,
    LogAnswer,
    SeenHead,
    Verdict,
    compared,
    entries_of,
    heads_of,
    proved_tile,
    same_sizes,
    tiles_of,
    verdict_of,
)
from recorder.core.checkpoint import OpenedCheckpoint, open_checkpoint, sign_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.errors import FormatError
from recorder.core.forks import verify_fork
from recorder.core.merkle import NodeReader
from recorder.core.note import Note
from recorder.core.tiles import TileReader, tile_path
from tests.mesh.fleet import FLEET, IDENTITY, ORIGIN, TIME_S, WITNESSES, Leaves, hashes, head_of, signer

LEAVES, BESIDE = hashes(700), hashes(700, "other", common=300)
LOG = FLEET.log_of(ORIGIN)
assert LOG is not None
KEY = LOG.key


def opened(leaves: Sequence[bytes], *witnesses: str, time_s: int = TIME_S) -> OpenedCheckpoint:
    """A head, cosigned by these."""
    head = head_of(leaves)
    note = sign_checkpoint(head, IDENTITY)
    lines = [cosign(head, WITNESSES[name].name, signer(f"witness {name}"), time_s) for name in witnesses]
    text = Note(note.text, (*note.signatures, *lines)).encode()
    return open_checkpoint(text, KEY, FLEET.trust.witnesses.values())


def heads(*said: tuple[str, OpenedCheckpoint]) -> list[SeenHead]:
    return heads_of(said, KEY, FLEET.trust)


def of(leaves: Sequence[bytes]) -> SeenHead:
    (head,) = heads(("peer", opened(leaves)))
    return head


def test_heads_are_joined() -> None:
    """One for each size and root, with whoever showed it and all cosignatures that anyone showed, and who runs them."""
    found = heads(
        ("a", opened(LEAVES, "arm-7")),
        ("b", opened(LEAVES[:5])),
        ("b", opened(LEAVES, "port-1", "port-2")),
        ("b", opened(LEAVES, "port-1")),
    )
    assert [(head.checkpoint.size, head.peers, head.standing) for head in found] == [
        (5, ["b"], "unproved"),
        (700, ["a", "b"], "largest"),
    ]
    assert [(one.witness, one.operator, one.time_s) for one in found[1].cosigned] == [
        ("arm-7", "acme", TIME_S),
        ("port-1", "port", TIME_S),
        ("port-2", "port", TIME_S),
    ]
    again = open_checkpoint(found[1].note, KEY, FLEET.trust.witnesses.values())
    assert len(again.note.verified) == 4


def test_of_two_times_of_one_witness_the_first_is_told() -> None:
    """When it had seen a head at the latest, whoever showed which."""
    for times in ((TIME_S, TIME_S + 9), (TIME_S + 9, TIME_S)):
        (head,) = heads(*(("a", opened(LEAVES, "arm-7", time_s=time_s)) for time_s in times))
        assert [one.time_s for one in head.cosigned] == [TIME_S]


def test_heads_of_one_size_contradict_each_other() -> None:
    """Without any tree; both of them, and nothing else."""
    found = heads(("a", opened(LEAVES)), ("b", opened(BESIDE)), ("c", opened(LEAVES[:300])))
    (proof,) = same_sizes(found)
    assert verify_fork(proof, FLEET.trust).origin == ORIGIN
    assert [head.standing for head in found] == ["unproved", "contradicts", "contradicts"]


@given(st.integers(1, 699), st.booleans())
@settings(max_examples=30)
def test_a_head_against_a_larger_tree(size: int, beside: bool) -> None:
    """It is a beginning of it, or a fork that anyone can check; by no more tiles than were fetched."""
    small, large = of((BESIDE if beside else LEAVES)[:size]), of(LEAVES)
    fork = compared(small, large, _fetched(lambda tree: compared(small, large, tree), LEAVES))
    assert (fork is not None) == (beside and size > 300)
    if fork is not None:
        assert verify_fork(fork, FLEET.trust).root == head_of(LEAVES[:size]).root


def test_a_tree_that_does_not_lead_to_the_head_proves_nothing() -> None:
    """Whoever serves another one can neither hide a fork nor make one."""
    for small in (LEAVES[:301], BESIDE[:301]):
        with pytest.raises(FormatError):
            compared(of(small), of(LEAVES), Leaves(BESIDE))
    with pytest.raises(FormatError):
        proved_tile(head_of(LEAVES), 512, Leaves(BESIDE))


@pytest.mark.parametrize("start", [0, 256, 512])
def test_hashes_of_a_tile(start: int) -> None:
    """Each is proved: with any one of them changed none of the tile counts."""
    head = head_of(LEAVES)
    end = min(start + 256, 700)
    proved = proved_tile(head, start, _fetched(lambda tree: proved_tile(head, start, tree), LEAVES))
    assert proved == dict(enumerate(LEAVES[start:end], start))
    for at in (start, start + 1, (start + end) // 2, end - 1):
        wrong = [*LEAVES[:at], bytes(32), *LEAVES[at + 1 :]]

        def fetch(level: int, index: int, width: int, wrong: Sequence[bytes] = wrong) -> bytes:
            served = wrong if level == 0 else LEAVES  # a liar who serves what leads to the head beside it
            return b"".join(_tile(served, level, index, width))

        with pytest.raises(FormatError, match="inclusion_proof"):
            proved_tile(head, start, TileReader(fetch, 700))


def answer(*standings: str, forks: int = 0, held: int | None = None) -> LogAnswer:
    found = heads(*(("a", opened(LEAVES[: 10 + at], "arm-7", "port-1")) for at in range(len(standings))))
    for head, standing in zip(found, standings, strict=True):
        head.standing = standing  # type: ignore[assignment]
    made = LogAnswer(ORIGIN, found, forks=[None] * forks)  # type: ignore[list-item]
    if held is not None:
        made.wanted, made.held = (0, 10), {"a": dict(enumerate(LEAVES[:held]))}
    return made


@pytest.mark.parametrize(
    ("found", "unreachable", "verdict"),
    [
        (answer("agrees", "largest"), [], "agreement"),
        (answer("largest", held=10), [], "agreement"),
        (answer("largest", held=9), [], "partial"),
        (answer("largest"), ["b"], "partial"),
        (answer("unproved", "largest"), [], "partial"),
        (answer(), [], "nobody"),
        (answer("contradicts", "unproved", forks=1), ["b"], "contradiction"),
    ],
)
def test_verdicts(found: LogAnswer, unreachable: list[str], verdict: Verdict) -> None:
    """A contradiction outweighs all; what nobody shows, proves or could be asked about is a gap."""
    assert verdict_of(found, unreachable) == verdict
    assert EXIT_STATUS[verdict] == {"agreement": 0, "contradiction": 1}.get(verdict, 3)


def test_who_holds_an_entry() -> None:
    """Each hash with its holders, and the witnesses whose heads cover it, where no history is in doubt."""
    found = heads(("a", opened(LEAVES[:4], "arm-7", "arm-8")), ("b", opened(LEAVES[:8], "port-1")))
    found[0].standing = "agrees"
    made = LogAnswer(ORIGIN, found, wanted=(2, 6))
    made.held = {"a": {2: LEAVES[2], 3: LEAVES[3]}, "b": {3: LEAVES[3], 4: LEAVES[4]}}
    entries = entries_of(made)
    assert [one.hashes for one in entries] == [
        {LEAVES[2]: ["a"]}, {LEAVES[3]: ["a", "b"]}, {LEAVES[4]: ["b"]}, {},
    ]  # fmt: skip
    assert [(one.witnesses, one.operators) for one in entries[:3]] == [
        (["arm-7", "arm-8", "port-1"], 2), (["arm-7", "arm-8", "port-1"], 2), (["port-1"], 1),
    ]  # fmt: skip
    found[0].standing = "unproved"
    assert entries_of(made)[0].witnesses == ["port-1"]
    made.forks.append(None)  # type: ignore[arg-type]
    assert entries_of(made)[0].witnesses == []
    assert entries_of(LogAnswer(ORIGIN, found)) == []


def _fetched(compute: object, leaves: Sequence[bytes]) -> NodeReader:
    """A reader that has the tiles which `tiles_of` names, and no other."""
    named = tiles_of(compute, len(leaves))  # type: ignore[arg-type]
    tiles = {name: b"".join(_tile(leaves, *name)) for name in named}

    def fetch(level: int, index: int, width: int) -> bytes:
        assert (level, index, width) in tiles, tile_path(level, index, width)
        return tiles[level, index, width]

    return TileReader(fetch, len(leaves))


def _tile(leaves: Sequence[bytes], level: int, index: int, width: int) -> list[bytes]:
    tree = Leaves(leaves)
    return [tree.node(8 * level, index * 256 + at) for at in range(width)]
