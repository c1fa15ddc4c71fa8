"""Which of two entries came first, from the heads of each other that lineages log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recorder.audit.order import Logged, Side, order
from recorder.cli import run
from recorder.core.checkpoint import Checkpoint
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey
from recorder.core.peerheads import CLAIM
from tests.audit.lineages import to_bundle, write_state
from tests.lineage_builder import LineageBuilder

A, B, C = (f"acme/{name}/0123456789abcdef" for name in ("arm-7", "arm-8", "cart-1"))
FAILED, NOT_KNOWN = 1, 3


def root(name: str, size: int) -> bytes:
    return (name + str(size)).encode().ljust(32, b".")[:32]


def head(origin: str, size: int) -> Checkpoint:
    return Checkpoint(origin, size, root(origin, size))


def side(origin: str, *logged: tuple[int, str, int]) -> Side:
    """A lineage that logs heads: at which entry, of which lineage, with how many entries."""
    listed = [Logged(seq, head(other, size)) for seq, other, size in logged]
    return Side(origin, 100, listed, {size: root(origin, size) for size in range(100)})


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (9, 20, "before"),  # the head of 10 entries covers entry 9
        (10, 20, "not known"),
        (9, 19, "not known"),  # the head was logged after it
        (9, 99, "before"),
        (39, 29, "not known"),
        (40, 29, "after"),  # A logged a head of B with 30 entries at entry 40
        (99, 0, "after"),
        (40, 30, "not known"),
    ],
)
def test_two_lineages(x: int, y: int, expected: str) -> None:
    """An entry is older than another one if a head that covers it is logged there, or below; at the bounds to the entry."""
    sides = [side(A, (40, B, 30)), side(B, (20, A, 10))]
    assert order(sides, (A, x), (B, y)).order == expected
    other = {"before": "after", "after": "before"}.get(expected, expected)
    assert order(sides, (B, y), (A, x)).order == other


def test_through_a_third_lineage() -> None:
    """C logs A's head, and B logs a head of C that covers that entry; a head of C that does not says nothing."""
    lacking = [side(A), side(B, (50, C, 5)), side(C, (5, A, 10))]
    assert order(lacking, (A, 3), (B, 60)).order == "not known"
    sides = [side(A), side(B, (50, C, 6), (70, A, 99)), side(C, (5, A, 10))]
    found = order(sides, (A, 3), (B, 60))
    assert found.order == "before"
    assert [(step.origin, step.seq, step.of, step.covers) for step in found.steps] == [(C, 5, A, 3), (B, 50, C, 5)]
    assert order(sides[:2], (A, 3), (B, 60)).order == "not known"


def test_the_nearest_way_counts() -> None:
    """A way that is found first and is longer does not hide a shorter one."""
    sides = [side(A), side(B, (20, A, 10), (30, C, 9)), side(C, (8, A, 10), (9, B, 25))]
    assert order(sides, (A, 3), (B, 20)).order == "before"
    assert order(sides, (A, 3), (C, 8)).order == "before"
    assert order(sides, (A, 3), (C, 7)).order == "not known"


def test_a_head_of_another_history_orders_nothing() -> None:
    """Its root is not that of the lineage at hand."""
    other = Side(B, 100, [Logged(20, Checkpoint(A, 10, bytes(32)))], {})
    assert order([side(A), other], (A, 3), (B, 60)).order == "not known"


def test_one_lineage_is_ordered_by_itself() -> None:
    """By seq."""
    sides = [side(A)]
    assert order(sides, (A, 3), (A, 4)).order == "before"
    assert order(sides, (A, 4), (A, 3)).order == "after"


def made(tmp_path: Path) -> tuple[Path, Path, LineageBuilder]:
    """B logs a head of A that covers its first entries."""
    a = LineageBuilder(origin=A).setup(1)
    note, size = a.checkpoint(), a.seq
    a.control(Kind.MARK, body={"label": "later"})
    b = LineageBuilder(origin=B, seed="another").setup(1)
    b.control(Kind.OBSERVATION, body={CLAIM: [note]})
    assert size > 1
    return write_state(tmp_path / "a", a), write_state(tmp_path / "b", b), a


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """States and bundles; what is known, by which entry, and what is not."""
    a, b, _ = made(tmp_path)
    to_bundle(b, tmp_path / "b.lineage")
    for theirs in (b, tmp_path / "b.lineage"):
        capsys.readouterr()
        assert run(["order", str(a), "1", str(theirs), "3", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["order"], said["steps"][0]["logs"]) == ("before", A)
        assert run(["order", str(theirs), said["b"]["id"], str(a), said["a"]["id"]]) == 0
        assert "came after" in capsys.readouterr().out
        assert run(["order", str(a), "1", str(theirs), "2"]) == NOT_KNOWN
        assert "not known" in capsys.readouterr().out
    assert run(["order", str(a), "1-00000000", str(b), "3"]) == 2
    assert run(["order", str(a), "999", str(b), "3"]) == 2
    assert run(["order", str(a), "1", str(b), "3", "--via", str(a)]) == 2


def test_a_lineage_that_fails_orders_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verification comes first, under the trust file that is given."""
    a, b, lineage = made(tmp_path)
    other = VerifierKey.derive("acme/arm-7", ED25519, lineage.signer("thief").public_key)
    (tmp_path / "trust").write_text(f"log {other}\nquorum none\n")
    assert run(["order", str(a), "1", str(b), "3", "--trust", str(tmp_path / "trust")]) == FAILED
    assert "fails verification" in capsys.readouterr().err


def test_heads_that_no_trusted_log_signed_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In `verify`, with the first entry that holds one; those that one signed are counted and say nothing more."""
    a = LineageBuilder(origin=A).setup(1)
    good, forged = a.checkpoint(), a.checkpoint(signer=a.signer("thief"))
    b = LineageBuilder(origin=B, seed="another").setup(1)
    b.control(Kind.OBSERVATION, body={CLAIM: [good]})
    bad = b.control(Kind.OBSERVATION, body={CLAIM: [good, forged]})
    b.control(Kind.OBSERVATION, body={CLAIM: "no list"})
    state = write_state(tmp_path / "b", b)
    logs = [
        VerifierKey.derive(name, ED25519, one.identity.public_key)
        for name, one in (("acme/arm-7", a), ("acme/arm-8", b))
    ]
    (tmp_path / "trust").write_text("".join(f"log {log}\n" for log in logs) + "quorum none\n")
    assert run(["verify", "--state", str(state), "--trust", str(tmp_path / "trust"), "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert (notes["peer_heads"], notes["peer_heads_untrusted"], notes["peer_heads_untrusted_first"]) == (2, 2, bad)
    assert run(["verify", "--state", str(state), "--trust", str(tmp_path / "trust")]) == 0
    assert f"the first of them {bad}, hold heads of peers" in capsys.readouterr().out
