"""Messages: one spelling, exact shapes, as `format.cddl` says; garbage raises nothing but the format's own error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import given, settings
from hypothesis import strategies as st

import firmware_bridge
from firmware_bridge.line import messages
from firmware_bridge.line.messages import (
    Ack,
    Batch,
    Booted,
    Grant,
    Hello,
    Here,
    Message,
    Receipt,
    Resend,
    Taken,
    Time,
    TimeIs,
    Verdict,
)
from recorder.core import cbor, deviceframe
from recorder.core.deviceframe import CommitRef, Event
from recorder.core.errors import FormatError
from tests.frames import KID, ORIGIN, chain

ROOM = Path(firmware_bridge.__file__).parent
CDDL = Validator((ROOM / "format.cddl").read_text(encoding="utf-8"))
S = b"sess"
REF = CommitRef(7, 0, bytes(16))
EACH: list[Message] = [
    Hello(bytes(16), ORIGIN, 32, 100),
    Here(bytes(32), 3, 0, 5, 10**9, bytes(64)),
    Ack(S, 5, 4, 3, Resend.SIGNATURES),
    Batch(S, 0, 31, bytes(64)),
    Grant(S, 0, 1, 3, 100, 5000, True),
    Receipt(S, 1, 5, 3, Verdict.ADMITTED, REF, False),
    Receipt(S, 2, None, 3, Verdict.LATE, REF, True),
    Receipt(S, 3, 6, 3, Verdict.REFUSED, None, False),
    Taken(S, 2),
    Time(S, 10**9),
    TimeIs(S, 10**9, 5),
    Booted(KID, 2),
]


def accepted(raw: bytes) -> bool:
    """Whether our reader takes it."""
    try:
        messages.read(raw)
    except FormatError:
        return False
    return True


@pytest.mark.parametrize("message", EACH, ids=lambda message: type(message).__name__)
def test_each_comes_back(message: Message) -> None:
    """What was made is read as the same, within a frame, and as the document says."""
    raw = messages.make(message)
    assert messages.read(raw) == message
    assert len(raw) <= 256
    assert CDDL.validate(raw, root_type="message").valid
    assert {type(each) for each in EACH} == set(messages.TYPES.values())


def test_the_largest_of_each_fits_a_frame() -> None:
    """Greatest numbers, longest origin."""
    top = 2**64 - 1
    largest: list[Message] = [
        Hello(bytes(16), "x" * 128, 64, 60_000),
        Here(bytes(32), 2**32 - 1, top, top, top, bytes(64)),
        Receipt(S, top, top, top, Verdict.LATE, CommitRef(top, top, bytes(16)), False),
        Grant(S, top, top, top, top, top, True),
    ]
    assert max(len(messages.make(message)) for message in largest) <= 256
    with pytest.raises(FormatError, match="message_malformed"):
        messages.make(Hello(bytes(16), "é" * 65, 1, 1))


@pytest.mark.parametrize("message", EACH, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("value", [None, -1, "x", True, 1.5, bytes(300)])
def test_reader_and_document_agree(message: Message, value: Any) -> None:
    """Each element replaced by something else, one too few, one too many."""
    elements = cbor.decode(messages.make(message))
    candidates = [[*elements[:place], value, *elements[place + 1 :]] for place in range(len(elements))]
    candidates += [elements[:-1], [*elements, 0]]
    for candidate in candidates:
        try:
            raw = cbor.pack(candidate)
        except OverflowError:
            continue
        assert accepted(raw) == CDDL.validate(raw, root_type="message").valid, candidate


@settings(max_examples=200)
@given(st.binary(max_size=256))
def test_garbage(raw: bytes) -> None:
    """Any bytes are read or refused."""
    accepted(raw)


def test_a_devices_frame_is_read_as_such() -> None:
    """Types from 16 on are numbered frames; a number in between is nothing."""
    raw = chain(Event(1, []))[0]
    assert messages.read(raw) == deviceframe.read(raw)
    for value in (11, 15, 22):
        assert not accepted(cbor.pack([1, value, *cbor.decode(raw)[2:]]))
    assert not accepted(cbor.pack([2, 7, S, 2]))


def test_what_here_says_hangs_together() -> None:
    """A device cannot hold what it has not made; a receipt names a commit where there is one."""
    hung: list[Message] = [
        Here(bytes(32), 3, 6, 5, 10**9, bytes(64)),
        Receipt(S, 1, 5, 3, Verdict.ADMITTED, None, False),
        Receipt(S, 1, 5, 3, Verdict.REFUSED, REF, False),
    ]
    for message in hung:
        with pytest.raises(FormatError, match="message_malformed"):
            messages.make(message)
