"""Confirmations: one signature for many frames, each byte of which counts; no frame out of its place."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import given
from hypothesis import strategies as st

import recorder
from recorder.core import cbor, confirmation, deviceframe, sign1
from recorder.core.deviceframe import (
    CommitRequest,
    Dropped,
    Event,
    Fault,
    FrameType,
    Observation,
    Outcome,
)
from recorder.core.errors import FormatError
from recorder.core.findings import FINDINGS
from tests.credential_builder import signer
from tests.documents import rows_of, text_of
from tests.frames import DEVICE, KID, NONCE, ORIGIN, chain, confirmed, signed
from tests.vectors.make_vectors import on_disk

CDDL = Validator(Path(recorder.__file__).with_name("format.cddl").read_text(encoding="utf-8"))
HELD = {path: json.loads(text) for path, text in on_disk().items() if path.startswith("confirmation/")}
BODIES: list[deviceframe.Body] = [
    CommitRequest(1, 3, [(2, 0.5)], 200, None),
    confirmed(7),
    Event(1, []),
    Observation([(9, 41.5), (8, -24)]),
    Fault(2, -5),
    Dropped(9, 2000, 6000),
]
FRAMES = chain(*BODIES)
KEY = DEVICE.public_key


def refused(frames: list[bytes], by: bytes, key: bytes = KEY) -> str:
    """The error under which these frames are refused."""
    with pytest.raises(FormatError) as found:
        confirmation.verify(confirmation.read(by), frames, key)
    return found.value.error


def test_frames_of_every_type_come_back() -> None:
    """What was put in comes out, in order, and the reader says which commits are confirmed."""
    found = confirmation.verify(confirmation.read(signed(FRAMES)), FRAMES, KEY)
    assert [frame.body for frame in found] == BODIES
    assert {cbor.decode(raw)[1] for raw in FRAMES} == set(FrameType)
    assert confirmation.commits(found) == [confirmed(7)]
    assert all(CDDL.validate(raw, root_type="frame").valid for raw in FRAMES)
    assert CDDL.validate(signed(FRAMES), root_type="signed-confirmation").valid
    assert not CDDL.validate(signed(FRAMES), root_type="signed-observation").valid


def test_another_key_or_use_signed() -> None:
    """The key counts, and the label: an observation of the same bytes is no confirmation."""
    assert refused(FRAMES, signed(FRAMES), signer("mallory").public_key) == "confirmation_signature"
    payload = confirmation.read(signed(FRAMES)).signed.payload
    assert refused(FRAMES, sign1.sign(DEVICE, sign1.OBSERVATION, payload)) == "confirmation_signature"


def test_a_frame_is_missing_swapped_or_another() -> None:
    """One less, two in another order, one of another boot."""
    by = signed(FRAMES)
    assert refused(FRAMES[:-1], by) == "confirmation_frames"
    assert refused([FRAMES[1], FRAMES[0], *FRAMES[2:]], by) == "confirmation_frames"
    assert refused([*FRAMES[:-1], FRAMES[-2]], by) == "confirmation_frames"
    assert refused([], by) == "confirmation_frames"


def test_signed_all_the_same() -> None:
    """A device that signs what does not hang together is not believed."""
    assert refused(FRAMES, signed(FRAMES, first=1)) == "confirmation_frames"
    assert refused(FRAMES, signed(FRAMES, boot=2)) == "confirmation_frames"
    unchained = [FRAMES[0], chain(Event(2, []), BODIES[1])[1], FRAMES[2]]
    assert refused(unchained, signed(unchained)) == "confirmation_frames"
    strangers = chain(*BODIES, kid=bytes(8))
    assert refused(strangers, signed(strangers)) == "confirmation_frames"
    rewound = [FRAMES[0], deviceframe.make(KID, 1, 1, 999, deviceframe.read(FRAMES[0]).leaf[:8], Event(1, []))]
    assert refused(rewound, signed(rewound)) == "confirmation_frames"


@given(st.integers(0, len(signed(FRAMES)) * 8 - 1))
def test_every_bit_of_the_signature_counts(bit: int) -> None:
    """No bit may be another one."""
    raw = bytearray(signed(FRAMES))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        confirmation.verify(confirmation.read(bytes(raw)), FRAMES, KEY)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2), (0, True), (1, 15), (1, 22), (1, "17"), (2, bytes(7)), (3, 0), (3, 2**32), (4, -1), (5, 1.0),
        (6, bytes(9)), (7, [1, 0]), (7, [1, 0, bytes(15)]), (8, 0), (8, 7), (8, True), (9, [[0, 1]]), (9, [[256, 1]]),
        (9, [[1, True]]), (9, [[1, "1"]]), (9, [[1]]), (9, [[1, 1]] * 9), (9, None),
    ],
)  # fmt: skip
def test_a_frame_of_another_shape_is_refused(place: int, value: Any) -> None:
    """Every element has its type and its range."""
    elements = cbor.decode(FRAMES[1])
    elements[place] = value
    with pytest.raises(FormatError, match="frame_malformed"):
        deviceframe.read(cbor.pack(elements))


def test_a_frame_is_bounded_and_has_one_spelling() -> None:
    """Elements too few, too many, a longer head, too many bytes, times that fall."""
    elements = cbor.decode(FRAMES[1])
    too_long = cbor.pack([*elements[:9], [[1, 2**63 + n] for n in range(8)]])
    longer = FRAMES[1].replace(b"\x8a\x01", b"\x8a\x18\x01", 1)
    for raw in (cbor.pack(elements[:-1]), cbor.pack([*elements, 0]), too_long, longer, b"", b"\x80", FRAMES[1] + b"\0"):
        with pytest.raises(FormatError, match="frame_malformed"):
            deviceframe.read(raw)
    for body in (Dropped(1, 500, 400), Dropped(1, 500, 1001), Dropped(0, 1, 1)):
        with pytest.raises(FormatError, match="frame_malformed"):
            chain(body)


@pytest.mark.parametrize(
    ("place", "value"), [(0, ""), (1, bytes(15)), (2, 0), (2, 2**32), (3, 6), (4, 256), (4, -1), (5, bytes(31))]
)
def test_a_batch_of_another_shape_is_refused(place: int, value: Any) -> None:
    """Every element has its type and its range; 257 frames are too many."""
    elements = [ORIGIN, NONCE, 1, 0, 5, bytes(32)]
    elements[place] = value
    with pytest.raises(FormatError, match="confirmation_malformed"):
        confirmation.read(sign1.sign(DEVICE, sign1.CONFIRMATION, cbor.pack(elements)))


def test_the_body_of_an_entry() -> None:
    """Frames and signature come out of the two claims; the digest in control is that of the signature."""
    raw = signed(FRAMES)
    body = {"signature": raw, "frames": FRAMES}
    read, frames = confirmation.of_body(body)
    confirmation.verify(read, frames, KEY)
    assert confirmation.named_by(read.signed.hash, body)
    assert not confirmation.named_by(bytes(32), body)
    for broken in ({}, {**body, "frames": []}, {**body, "frames": FRAMES * 43}, {**body, "signature": 1}):
        with pytest.raises(FormatError, match="confirmation_malformed"):
            confirmation.of_body(broken)


@pytest.mark.parametrize("path", sorted(HELD))
def test_every_vector(path: str) -> None:
    """Each is believed or refused as it says."""
    held = HELD[path]
    frames = [bytes.fromhex(raw) for raw in held["frames"]]
    try:
        confirmation.verify(confirmation.read(bytes.fromhex(held["bytes"])), frames, bytes.fromhex(held["key"]))
        error = None
    except FormatError as refusal:
        error = refusal.error
    assert error == held["expected"]["error"]
    assert error is None or PurePath(path).stem == error


def test_every_error_has_a_vector() -> None:
    """Those of the format's section."""
    named = {name for name in FINDINGS if name.startswith(("confirmation_", "frame_"))}
    assert {PurePath(path).stem for path in HELD if "/broken/" in path} == named


def test_the_tables_of_the_document() -> None:
    """FORMAT.md names the frames and the outcomes that the code has."""
    listed = {
        int(number): name for number, name, _ in rows_of(text_of("FORMAT.md"), "| type | frame | elements from 7 on |")
    }
    assert listed == {number: number.name.lower().replace("_", " ") for number in FrameType}
    line = next(line for line in text_of("FORMAT.md").splitlines() if line.startswith("Outcomes: "))
    for outcome in Outcome:
        assert f"{int(outcome)} {outcome.name.lower().replace('_', ' ')}" in line
