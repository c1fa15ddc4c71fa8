"""What peers tell each other to compare histories: read as written, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.histories import (
    HEADS_MAX_BYTES,
    NAMES_MAX,
    encode_heads,
    encode_shown,
    parse_heads,
    parse_shown,
    show,
    told_of,
)
from recorder.core.errors import FormatError
from recorder.core.merkle import verify_consistency
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, Leaves, hashes, head_of, note_of, signer

LEAVES = hashes(300)
NOTES = [note_of(LEAVES[:200]), note_of(LEAVES, NEXT_ORIGIN)]
NAMES = ["ab" * 32, "0" * 64]


def test_heads_are_read_as_written_and_make_their_notes_again() -> None:
    """A note is made of what is told; one that another key signed is refused."""
    told = [told_of(note) for note in NOTES]
    heads = parse_heads(encode_heads(told, NAMES))
    assert heads == (told, NAMES)
    for one, note in zip(heads.told, NOTES, strict=True):
        log = FLEET.log_of(one.head.origin)
        assert log is not None
        assert one.note(log.key) == note
    log = FLEET.log_of(ORIGIN)
    assert log is not None
    with pytest.raises(FormatError, match="note_signature"):
        told_of(note_of(LEAVES, by=signer("thief"))).note(log.key)
    assert parse_heads(b"") == ([], [])


def test_what_has_no_room_is_left_out() -> None:
    """An answer is bounded, whatever there is."""
    told = [told_of(note_of(LEAVES[:9], f"acme/arm-7/{at:016x}")) for at in range(600)]
    text = encode_heads(told, ["ab" * 32] * 1_000)
    assert len(text) <= HEADS_MAX_BYTES
    found = parse_heads(text)
    assert len(found.forks) == NAMES_MAX
    assert found.told == told[: len(found.told)]


LINE = encode_heads([told_of(NOTES[0])])


@pytest.mark.parametrize(
    "wrong",
    [LINE[:-1], LINE * 2, b"fork\n", b"fork x\n", b"\n", LINE.replace(b" 200 ", b" 0200 "), LINE.replace(b" ", b"  "),
     b"fork " + b"AB" * 32 + b"\n", b"\xff\n", b"x" * (HEADS_MAX_BYTES + 1), LINE[:-6] + b"\n",
     LINE.replace(ORIGIN.encode(), b"a+b")],
)  # fmt: skip
def test_heads_that_are_none_are_refused(wrong: bytes) -> None:
    """By one name."""
    with pytest.raises(FormatError, match="heads_malformed"):
        parse_heads(wrong)


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_proof_is_read_as_written_and_holds(one: int, other: int) -> None:
    """With the root that it leads from."""
    old, new = sorted((one, other))
    shown = parse_shown(encode_shown(show(Leaves(LEAVES), old, new)))
    assert shown.root == head_of(LEAVES[:old]).root
    verify_consistency(old, shown.root, new, head_of(LEAVES[:new]).root, shown.hashes)


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"AAAA\n", b"A" * 43 + b"=\n", b"\n"])).map(b"".join))
def test_any_bytes_are_a_proof_or_refused(body: bytes) -> None:
    """What is read is written the same again."""
    try:
        shown = parse_shown(body)
    except FormatError as error:
        assert error.error == "proof_malformed"
    else:
        assert encode_shown(shown) == body


@given(st.binary(max_size=200) | st.lists(st.sampled_from([LINE, b"fork " + b"a" * 64 + b"\n", b" \n"])).map(b"".join))
def test_any_bytes_are_heads_or_refused(body: bytes) -> None:
    """What is read is told the same again."""
    try:
        heads = parse_heads(body)
    except FormatError as error:
        assert error.error == "heads_malformed"
    else:
        assert parse_heads(encode_heads(*heads)) == heads
