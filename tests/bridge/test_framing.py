"""Framing: what is sent comes out, whole or in pieces, and damage costs no more than the frames that it touches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.line.framing import MESSAGE_MAX_BYTES, STUFFED_MAX_BYTES, Noise, Unframer, frame, stuff, unstuff
from recorder.core.errors import Misuse

messages = st.binary(min_size=1, max_size=MESSAGE_MAX_BYTES) | st.integers(1, MESSAGE_MAX_BYTES).map(bytes)
KNOWN = [  # of COBS's paper and of what other encoders write
    ("00", "0101"), ("0000", "010101"), ("11220033", "0311220233"), ("11223344", "0511223344"), ("11000000", "021101 0101"),
    (bytes(range(1, 255)).hex(), "ff" + bytes(range(1, 255)).hex()),
    (bytes(range(255)).hex(), "01ff" + bytes(range(1, 255)).hex()),
    (bytes(range(1, 256)).hex(), "ff" + bytes(range(1, 255)).hex() + "02ff"),
    ((bytes(range(2, 256)) + b"\0").hex(), "ff" + bytes(range(2, 256)).hex() + "0101"),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "stuffed"), KNOWN)
def test_known_answers(plain: str, stuffed: str) -> None:
    """As others stuff."""
    assert stuff(bytes.fromhex(plain)) == bytes.fromhex(stuffed)
    assert unstuff(bytes.fromhex(stuffed)) == bytes.fromhex(plain)


@given(st.lists(messages, max_size=4), st.integers(1, 40))
def test_whole_and_in_pieces(sent: list[bytes], size: int) -> None:
    """Nothing but the bytes counts, however they come."""
    line = b"".join(map(frame, sent))
    assert line.count(0) == len(sent)
    assert all(len(frame(message)) <= STUFFED_MAX_BYTES + 1 for message in sent)
    unframer = Unframer()
    found = [message for at in range(0, len(line), size) for message in unframer.feed(line[at : at + size])]
    assert found == sent
    assert unframer.take_noise() == Noise()


def test_every_bit_flipped() -> None:
    """The damaged frame is refused, and of its neighbours at most the one whose zero was hit."""
    sent = [b"before\0", b"\0damaged\xff", b"after", b"later"]
    line = b"".join(map(frame, sent))
    first, last = len(frame(sent[0])), len(frame(sent[0]) + frame(sent[1]))
    for bit in range(first * 8, last * 8):
        bad = bytearray(line)
        bad[bit // 8] ^= 1 << bit % 8
        found = Unframer().feed(bytes(bad))
        glued = bit // 8 == last - 1
        assert found == [sent[0], *sent[3 if glued else 2 :]], bit


def test_ten_thousand_frames_of_noise() -> None:
    """Whatever comes, memory stays bounded and the second frame after it is there."""
    noise = random.Random(6)
    unframer = Unframer()
    for length in (0, 1, 5, 300, 70_000):
        assert unframer.feed(noise.randbytes(length)) == []
        assert len(unframer._held) <= STUFFED_MAX_BYTES
        assert unframer.feed(b"\0" + frame(b"here")) == [b"here"]
    assert unframer.take_noise().bytes > 69_000
    assert unframer.take_noise() == Noise()


def test_ten_million_random_bytes() -> None:
    """Chance gets past 32 bits of CRC once in some thousand million pieces."""
    noise = random.Random(7)
    unframer = Unframer()
    for _ in range(1000):
        assert unframer.feed(noise.randbytes(10_000)) == []
    unframer.feed(b"\0")
    assert unframer.feed(frame(b"here")) == [b"here"]


@pytest.mark.parametrize("message", [b"", bytes(257)])
def test_only_what_fits_is_framed(message: bytes) -> None:
    """A caller's mistake is told."""
    with pytest.raises(Misuse):
        frame(message)


@pytest.mark.parametrize("piece", [b"\x05abc", b"\x01", b"\x05abcd", b"\x02\xff\x01", b"\xff"])
def test_what_is_no_frame(piece: bytes) -> None:
    """A run that is too short, nothing but a code, no room for a CRC."""
    unframer = Unframer()
    assert unframer.feed(piece + b"\0") == []
    assert unframer.take_noise() == Noise(1, len(piece))
