"""Digests: one spelling in one MTU, signed by the platform's mesh key, its head by the log's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import given, settings
from hypothesis import strategies as st

import mesh
from mesh.digest import (
    DIGEST,
    DIGEST_MAX_BYTES,
    HELD_MAX,
    MAGIC,
    Digest,
    Head,
    Held,
    head_in,
    held_of,
    make,
    note_of_head,
    read,
    room_for_hashes,
    verify,
)
from mesh.succession import Succession
from recorder.core import sign1
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import verify as verify_ed25519
from tests.core.shapes import naive_cbor
from tests.mesh.fleet import FLEET, ORIGIN, hashes, head_of, note_of, signer

KEY = signer("mesh acme/arm-7")
LEAVES = hashes(20)
LOG = FLEET.log_of(ORIGIN)
assert LOG is not None
HEAD = head_in(note_of(LEAVES), LOG.key)
SAYS = Digest(ORIGIN, 7, 1001, 18, b"".join(hashes(22)[18:]), HEAD, [held_of("acme/arm-8/00112233445566ff", 40)])
CDDL = Validator(Path(mesh.__file__).with_name("format.cddl").read_text(encoding="utf-8"))

sizes = st.integers(0, 2**63 - 1)
digests = st.builds(
    Digest,
    origin=st.sampled_from([ORIGIN, "a", "x" * 128]),
    run=st.integers(0, 2**64 - 1),
    number=st.integers(0, 2**64 - 1),
    first=st.integers(0, 2**62),
    hashes=st.integers(0, 6).map(lambda count: bytes(range(32)) * count),
    head=st.none()
    | st.builds(Head, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.just(bytes(64))),
    held=st.lists(st.builds(Held, st.binary(min_size=8, max_size=8), sizes), max_size=HELD_MAX),
)


def as_listed(says: Digest) -> list[Any]:
    return [*says[:5], says.head and list(says.head), [list(one) for one in says.held]]


def test_spelled_to_the_byte() -> None:
    """A datagram is magic, version, and the COSE_Sign1 that another encoder gives, under a label of its own."""
    protected = bytes.fromhex("a2013204 48") + sign1.sign(KEY, DIGEST, b"")[8:16]
    payload = naive_cbor(as_listed(SAYS))
    signed = naive_cbor(["Signature1", protected, b"lineage/digest/1\n", payload])
    datagram = make(SAYS, KEY)
    assert datagram[:-64] == b"LNGM\x01\xd2\x84" + naive_cbor(protected) + b"\xa0" + naive_cbor(payload) + b"\x58\x40"
    assert verify_ed25519(KEY.public_key, signed, datagram[-64:])


def test_what_it_says_is_read() -> None:
    """Hashes one by one; the head as the very note that the log signed; sizes held by incarnation."""
    received = read(make(SAYS, KEY))
    assert received.says == SAYS
    assert received.says.entry_hashes == hashes(22)[18:]
    assert verify(received, FLEET).name == "acme/arm-7"
    assert LOG is not None
    assert note_of_head(received.says, LOG.key) == note_of(LEAVES)
    assert received.says.held == [(bytes.fromhex("00112233445566ff"), 40)]
    assert note_of_head(SAYS._replace(head=None), LOG.key) is None


@settings(max_examples=50)
@given(digests, st.data())
def test_one_mtu(says: Digest, data: st.DataObject) -> None:
    """What fits is read back as it was; as many hashes fit as `room_for_hashes` says, and no more."""
    room = room_for_hashes(says)
    for count in {data.draw(st.integers(0, max(room, 0))), room} if room >= 0 else ():
        full = says._replace(hashes=bytes(range(32)) * count)
        datagram = make(full, KEY)
        assert len(datagram) <= DIGEST_MAX_BYTES
        assert read(datagram).says == full
        assert CDDL.validate(naive_cbor(as_listed(full)), root_type="digest").valid
    # The heads of few hashes are a byte shorter than is reckoned with.
    with pytest.raises(Misuse):
        make(says._replace(hashes=bytes(range(32)) * (room + (1 if room >= 8 else 2))), KEY)


def test_every_byte_counts() -> None:
    """With any byte changed or cut off, a datagram is refused or its signature does not hold."""
    datagram = make(SAYS, KEY)
    for at in range(len(datagram)):
        for changed in (datagram[:at] + bytes([datagram[at] ^ 4]) + datagram[at + 1 :], datagram[:at]):
            with pytest.raises(FormatError, match=r"^digest_"):
                verify(read(changed), FLEET)


def test_who_signed() -> None:
    """Another platform's mesh key, the witness key, the identity key: none of them speaks for this platform."""
    for other in ("mesh acme/arm-8", "witness arm-7", "identity acme/arm-7"):
        with pytest.raises(FormatError, match="digest_signature"):
            verify(read(make(SAYS, signer(other))), FLEET)


@pytest.mark.parametrize(
    "origin", ["acme/arm-9/0123456789abcdef", "acme/arm-7", "acme/arm-7/zz", "example.com/behind-the-sofa"]
)
def test_strangers(origin: str) -> None:
    """An origin that the fleet list gives no mesh key is a stranger, whoever signed."""
    with pytest.raises(FormatError, match="digest_stranger"):
        verify(read(make(SAYS._replace(origin=origin), KEY)), FLEET)


def test_a_head_that_the_log_did_not_sign() -> None:
    """Who has the mesh key alone cannot announce a head."""
    assert LOG is not None
    forged = SAYS._replace(head=HEAD._replace(size=21))
    verify(read(make(forged, KEY)), FLEET)
    with pytest.raises(FormatError, match="note_signature"):
        note_of_head(forged, LOG.key)
    with pytest.raises(FormatError, match="note_signature"):
        head_in(note_of(LEAVES, by=signer("thief")), LOG.key)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_told_apart(version: int) -> None:
    """Whatever another version sends, it is that version, not damage."""
    with pytest.raises(FormatError, match=rf"^digest_version: a datagram of version {version}, this is version 1"):
        read(MAGIC + bytes([version]) + b"whatever")


@pytest.mark.parametrize(
    "change",
    [
        {0: ""}, {0: "a b"}, {0: "a b", 5: None}, {0: "x" * 129}, {0: "é" * 65}, {1: -1}, {2: True}, {3: 2**63}, {3: -1},
        {4: bytes(31)}, {3: 2**63 - 1, 4: bytes(32)}, {5: []}, {5: [1, bytes(32)]}, {5: [1, bytes(31), bytes(64)]},
        {5: [1, bytes(32), bytes(63)]}, {5: [0, bytes(32), bytes(64)]}, {6: [[bytes(7), 1]]}, {6: [[bytes(8), -1]]},
        {6: [[bytes(8), 1, 1]]}, {6: None}, {6: [[bytes(8), 1]] * 33}, {7: 1},
    ],
)  # fmt: skip
def test_payloads_refused(change: dict[int, Any]) -> None:
    """A payload of another shape is refused by the reader, and by the CDDL where that can say it."""
    listed = as_listed(SAYS)
    for at, value in change.items():
        listed[at:] = [*listed[at:at], value, *listed[at + 1 :]]
    payload = naive_cbor(listed)
    with pytest.raises(FormatError, match=r"^digest_malformed"):
        read(b"LNGM\x01" + sign1.sign(KEY, DIGEST, payload))
    beyond_cddl = [{0: "a b"}, {0: "a b", 5: None}, {0: "é" * 65}, {4: bytes(31)}, {3: 2**63 - 1, 4: bytes(32)}, {5: [0, bytes(32), bytes(64)]}]  # fmt: skip
    assert bool(CDDL.validate(payload, root_type="digest").valid) is (change in beyond_cddl)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"LNGM\x01" + tail))
def test_any_bytes(data: bytes) -> None:
    """Bytes from the network are refused under the names of digests."""
    with pytest.raises(FormatError, match=r"^digest_"):
        read(data)


def test_oversized() -> None:
    """What no mesh process sends is not even looked at."""
    with pytest.raises(FormatError, match="1201 bytes"):
        read(make(SAYS, KEY).ljust(1201, b"\x00"))


def test_origins_without_incarnation_are_not_announced() -> None:
    """A foreign log has none."""
    for origin in ("example.com/behind-the-sofa", "acme/arm-7/00"):
        with pytest.raises(Misuse):
            make(SAYS._replace(held=[held_of(origin, 1)]), KEY)


def test_the_other_cbor_body_is_as_the_cddl_says() -> None:
    """An add-incarnation request conforms."""
    body = Succession(b"boot", (bytes(32),) * 63, (), note_of(LEAVES)).encode()
    assert CDDL.validate(body, root_type="succession").valid
    assert head_of(LEAVES).size == HEAD.size
