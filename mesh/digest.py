"""The digest: one signed datagram of at most 1,200 bytes with hashes, head, and sizes held (PROTOCOL.md section 4).

`LNGM`, a version byte, and a COSE_Sign1 by the platform's mesh key.  The version stands before what is signed, so that
another version is told apart before anything else is read.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta, ValidationError, convert

from mesh.fleetlist import FleetList
from recorder.core import cbor, sign1
from recorder.core.canonical import UINT63_MAX
from recorder.core.checkpoint import Checkpoint, open_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import Signer
from recorder.core.kinds import Hash, Uint
from recorder.core.limits import HASH_BYTES
from recorder.core.note import Note, NoteSignature, VerifierKey, is_key_name
from recorder.core.sign1 import Sign1, Use

ERROR = "digest_malformed"
MAGIC = b"LNGM"
VERSION = 1
DIGEST_MAX_BYTES = 1_200  # with the heads of IPv6 and UDP within 1,280, the least MTU of IPv6
ORIGIN_MAX_BYTES = 128
HELD_MAX = 32

_OPENING = MAGIC + bytes([VERSION])
_COSE_BYTES = 86  # around a payload of 256 bytes or more
_HASHES_HEAD_BYTES = 2  # how much longer the head of many hashes is than that of none
DIGEST = Use("lineage/digest/1\n", DIGEST_MAX_BYTES - len(_OPENING), ERROR)

Size = Annotated[int, Meta(ge=0, le=UINT63_MAX)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Incarnation = Annotated[bytes, Meta(min_length=8, max_length=8)]


class Head(NamedTuple):
    """A checkpoint without its origin, and the log's Ed25519 signature over its text."""

    size: Size
    root: Hash
    signature: Signature


class Held(NamedTuple):
    """How far the sender, as a witness, has cosigned an incarnation: where a proof for it has to begin."""

    incarnation: Incarnation  # the 16 hex digits of the origin, as bytes
    size: Size


class Digest(NamedTuple):
    """What a platform announces."""

    origin: Annotated[str, Meta(min_length=1, max_length=ORIGIN_MAX_BYTES)]
    run: Uint  # grows with each start of the sender's mesh process
    number: Uint  # rises with each datagram of a run
    first: Size  # seq of the first of `hashes`; without hashes, how many entries the log has
    hashes: Annotated[bytes, Meta(max_length=DIGEST_MAX_BYTES)]  # of consecutive entries, 32 bytes each
    head: Head | None  # the latest
    held: Annotated[list[Held], Meta(max_length=HELD_MAX)]

    @property
    def entry_hashes(self) -> list[bytes]:
        """The hashes one by one."""
        return [self.hashes[at : at + HASH_BYTES] for at in range(0, len(self.hashes), HASH_BYTES)]


class Received(NamedTuple):
    """A digest whose form is right; nothing here is verified."""

    signed: Sign1
    says: Digest


def make(says: Digest, mesh_key: Signer) -> bytes:
    """Make the datagram.

    Raises:
        Misuse: it would be larger than 1,200 bytes (see `room_for_hashes`), or a receiver would refuse it.

    """
    try:
        payload = cbor.encode(_listed(says))
        _read_payload(payload)
    except FormatError as error:
        raise Misuse(f"this digest cannot be sent: {error}") from error
    return _OPENING + sign1.sign(mesh_key, DIGEST, payload)


def room_for_hashes(says: Digest) -> int:
    """How many hashes fit beside what else a digest says; below 0 where even that is too much."""
    without = len(cbor.encode(_listed(says._replace(hashes=b""))))
    return (DIGEST.max_bytes - _COSE_BYTES - without - _HASHES_HEAD_BYTES) // HASH_BYTES


def read(datagram: bytes) -> Received:
    """Read a datagram and check its form; who signed it is for `verify`.

    Raises:
        FormatError: digest_version: of another version of this protocol; digest_malformed.

    """
    if len(datagram) > DIGEST_MAX_BYTES:
        raise FormatError(ERROR, f"a datagram of {len(datagram)} bytes, at most {DIGEST_MAX_BYTES} are allowed")
    if datagram[: len(MAGIC)] != MAGIC or len(datagram) <= len(MAGIC):
        raise FormatError(ERROR, "not a datagram of the mesh")
    if (version := datagram[len(MAGIC)]) != VERSION:
        raise FormatError("digest_version", f"a datagram of version {version}, this is version {VERSION}")
    signed = sign1.read(datagram[len(_OPENING) :], DIGEST)
    return Received(signed, _read_payload(signed.payload))


def verify(received: Received, fleet: FleetList) -> VerifierKey:
    """Check that the platform's own mesh key signed, and return it.

    Raises:
        FormatError: digest_stranger: a platform without a mesh key in the list (seen, listed, never trusted), told
            without any cryptography, so that a flood costs little; digest_signature.

    """
    mesh_key = fleet.mesh_key_of(received.says.origin)
    if mesh_key is None or fleet.log_of(received.says.origin) is None:
        raise FormatError("digest_stranger", f"no mesh key for {received.says.origin!r} in the fleet list")
    if not sign1.verify(received.signed, mesh_key.key.public_key):
        raise FormatError("digest_signature", f"not signed by the mesh key of {mesh_key.key.name}")
    return mesh_key.key


def note_of_head(says: Digest, log: VerifierKey) -> bytes | None:
    """The note of the head that is announced, under the log's own key; None where there is none.

    Worth its 60 µs only where the head is not known yet.

    Raises:
        FormatError: note_signature: the log did not sign this head.

    """
    if says.head is None:
        return None
    text = Checkpoint(says.origin, says.head.size, says.head.root).text()
    note = Note(text, (NoteSignature(log.name, log.key_id, says.head.signature),)).encode()
    open_checkpoint(note, log)
    return note


def head_in(note: bytes, log: VerifierKey) -> Head:
    """What a digest says of a checkpoint note that the log signed.

    Raises:
        FormatError: those of `open_checkpoint`.

    """
    opened = open_checkpoint(note, log)
    line = next(line for key, line in opened.note.verified if key == log)
    return Head(opened.checkpoint.size, opened.checkpoint.root, line.signature)


def held_of(origin: str, size: int) -> Held:
    """What a digest says of a log that this platform has cosigned.

    Raises:
        Misuse: the origin ends in no incarnation.

    """
    try:
        return Held(bytes.fromhex(origin.rpartition("/")[2]), size)
    except ValueError:
        raise Misuse(f"{origin!r} ends in no incarnation") from None


def _listed(says: Digest) -> list[cbor.Value]:
    head = None if says.head is None else list(says.head)
    return [*says[:5], head, [list(one) for one in says.held]]


def _read_payload(payload: bytes) -> Digest:
    try:
        says = convert(cbor.decode(payload), Digest, builtin_types=(bytes,))
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    if not is_key_name(says.origin) or len(says.origin.encode()) > ORIGIN_MAX_BYTES:
        raise FormatError(ERROR, f"{says.origin[:40]!r} is no origin of at most {ORIGIN_MAX_BYTES} bytes")
    if len(says.hashes) % HASH_BYTES:
        raise FormatError(ERROR, f"{len(says.hashes)} bytes are not hashes of {HASH_BYTES}")
    if says.first + len(says.hashes) // HASH_BYTES > UINT63_MAX:
        raise FormatError(ERROR, f"hashes from {says.first} on go beyond 2^63-1")
    if says.head is not None:
        try:
            Checkpoint(says.origin, says.head.size, says.head.root)
        except Misuse as error:
            raise FormatError(ERROR, str(error)) from None
    return says
