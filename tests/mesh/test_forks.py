"""Forks: two heads that contradict each other convict their log off line; whatever proves nothing is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.forks import NoProof
from recorder.core.checkpoint import sign_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, fork_of, parse_fork, verify_fork
from recorder.core.note import Note
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, TIME_S, WITNESSES, Leaves, hashes, head_of, note_of, signer

A, B = hashes(12), hashes(20, "other", common=7)


def forked(one: bytes, other: bytes, larger: Leaves | None = None) -> ForkProof:
    proof = fork_of(one, other, larger)
    assert proof is not None
    return proof


SAME_SIZE = forked(note_of(A), note_of(B[:12]))
APART = forked(note_of(B), note_of(A), Leaves(B))


def test_two_roots_for_one_size() -> None:
    """Two signed heads of one size with different roots are a fork, in whichever order they came."""
    assert forked(note_of(B[:12]), note_of(A)) == SAME_SIZE
    fork = verify_fork(parse_fork(SAME_SIZE.encode()), FLEET.trust)
    assert {fork.first.checkpoint.root, fork.second.checkpoint.root} == {head_of(A).root, head_of(B[:12]).root}
    assert fork.origin == ORIGIN


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(max_examples=40)
def test_histories_that_part(small: int, more: int, data: st.DataObject) -> None:
    """Wherever two histories part, two heads that lie beyond are a fork, and two that lie below are none."""
    common = data.draw(st.integers(0, small))
    large = hashes(small + more, "large", common)
    proof = fork_of(note_of(hashes(small, "small", common)), note_of(large), Leaves(large))
    if common == small:
        assert proof is None
    else:
        assert proof is not None
        fork = verify_fork(parse_fork(proof.encode()), FLEET.trust)
        assert (fork.first.checkpoint.size, fork.second.checkpoint.size) == (small, small + more)
        assert fork.root == head_of(large[:small]).root


def test_heads_that_agree_are_no_fork() -> None:
    """A head and one that extends it prove nothing, and cannot be made to look as if they did."""
    assert fork_of(note_of(A), note_of(A)) is None
    assert fork_of(note_of(B[:3]), note_of(B), Leaves(B)) is None
    honest = ForkProof(note_of(A[:5]), note_of(A), head_of(A[:5]).root, ())
    proved = APART.hashes
    for wrong in (honest, ForkProof(honest.first, honest.second, head_of(B[:11]).root, proved)):
        with pytest.raises(FormatError, match="fork_unproved"):
            verify_fork(wrong, FLEET.trust)
    agreeing = forked(note_of(B[:8]), note_of(A), Leaves(A))
    with pytest.raises(FormatError, match=r"fork_unproved.*agree"):
        verify_fork(ForkProof(note_of(A[:8]), agreeing.second, agreeing.root, agreeing.hashes), FLEET.trust)


def test_the_logs_own_key_convicts() -> None:
    """Notes of another key, of an unknown origin, or with a changed byte prove nothing against the log."""
    forged = forked(note_of(A, by=signer("thief")), note_of(B[:12]))
    with pytest.raises(FormatError, match="note_signature"):
        verify_fork(forged, FLEET.trust)
    stranger = "acme/arm-9/0123456789abcdef"
    with pytest.raises(FormatError, match="fork_origin"):
        verify_fork(forked(note_of(A, stranger), note_of(B[:12], stranger)), FLEET.trust)


@pytest.mark.parametrize("proof", [SAME_SIZE, APART], ids=["one size", "two sizes"])
def test_every_byte_counts(proof: ForkProof) -> None:
    """With any byte changed or cut off, a proof is malformed or does not hold: no byte of it is without meaning."""
    text = proof.encode()
    assert parse_fork(text) == proof
    for at in range(len(text)):
        for changed in (text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :], text[:at]):
            with pytest.raises(FormatError):
                verify_fork(parse_fork(changed), FLEET.trust)


@pytest.mark.parametrize(
    ("first", "second", "root", "hashes_"),
    [
        (note_of(A), note_of(A), None, ()),
        (note_of(B), note_of(A), bytes(32), ()),
        (note_of(A), note_of(B), None, ()),
        (SAME_SIZE.first, SAME_SIZE.second, bytes(32), ()),
        (SAME_SIZE.first, SAME_SIZE.second, None, (bytes(32),)),
        (note_of(A), note_of(B), bytes(31), ()),
        (note_of(A), note_of(B), bytes(32), (bytes(32),) * 64),
        (note_of(A), note_of(B, NEXT_ORIGIN), bytes(32), ()),
        (note_of(A)[:-1], note_of(B), bytes(32), ()),
        (b"x", note_of(B), bytes(32), ()),
    ],
)
def test_what_is_no_proof(first: bytes, second: bytes, root: bytes | None, hashes_: tuple[bytes, ...]) -> None:
    """The same head twice, another order, a root too many or too few, heads of two origins: not to be written."""
    with pytest.raises(Misuse):
        ForkProof(first, second, root, hashes_).encode()


@given(st.binary(max_size=120) | st.tuples(st.integers(0, 900), st.binary(max_size=4)))
def test_any_bytes(anything: bytes | tuple[int, bytes]) -> None:
    """Bytes are refused under the one name, or are the proof that is written back."""
    if not isinstance(anything, bytes):
        text = APART.encode()
        at, new = anything
        anything = text[:at] + new + text[at + len(new) :]
    try:
        assert parse_fork(anything).encode() == anything
    except FormatError as error:
        assert error.error == "fork_malformed"


def test_oversized() -> None:
    """A proof is not read beyond its bound."""
    with pytest.raises(FormatError, match="at most"):
        parse_fork(bytes(65_537))


def test_making_needs_the_larger_tree() -> None:
    """Heads of two sizes without a tree, or of two origins, are the caller's mistake."""
    with pytest.raises(Misuse, match="tree of the larger"):
        fork_of(note_of(A), note_of(B))
    with pytest.raises(Misuse, match="contradict"):
        fork_of(note_of(A), note_of(B, NEXT_ORIGIN))


def test_how_it_looks() -> None:
    """A person reads who signed what, and who had been shown it; of suspicion, that it is no more than that."""
    head = head_of(A)
    line = cosign(head, WITNESSES["port-1"].name, signer("witness port-1"), TIME_S)
    signed = sign_checkpoint(head, signer("identity acme/arm-7"))
    seen = forked(Note(signed.text, (*signed.signatures, line)).encode(), note_of(B), Leaves(B))
    assert verify_fork(parse_fork(seen.encode()), FLEET.trust).describe() == (
        f"FORK of {ORIGIN}: its own key signed two histories that cannot both be true\n"
        f"  it signed 12 entries, root {head.root.hex()}\n"
        "    witnessed by port-1.example on 2025-12-31 00:00:00Z\n"
        f"  and it signed 20 entries, root {head_of(B).root.hex()}\n"
        "    no witness that is known here cosigned that\n"
        f"  but the first 12 of those 20 have root {head_of(B[:12]).root.hex()}\n"
    )
    said = NoProof(head_of(A[:1]), head_of(B), "acme/cart-1", "no answer within 5 s").describe()
    assert "FORK" not in said
    assert "at 20 entries follows 1 entry: no answer within 5 s" in said
