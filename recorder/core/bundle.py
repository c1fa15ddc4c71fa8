"""The `.lineage` bundle without its ZIP: names of members, claims beside entries, the manifest, the receipt.

    checkpoint                 signed note of the last head that left the recorder
    tile/L/N, tile/entries/N   of a whole lineage, C2SP tlog-tiles (partial ones included)
    claims/N                   (u32be length ‖ claims in transport form)*, one each entry of tile/entries/N
    entry/SEQ claim/SEQ proof/SEQ   of a selection; the proof is a C2SP tlog-proof
    volume/N                   of each volume before the last one, where there are several: its place (`core/volume`)
    manifest.cbor              what is here, and the SHA-256 of every member but itself and `extraction`
    extraction                 the receipt: [extraction entry, entry that introduced its key]

Claims leave in transport form only: the secret at rest would open every sibling of a claim that is withheld.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor, claims, rows
from recorder.core.chosen import CHOICE_KEY, read_choice
from recorder.core.entry import Entry, decode, external_aad, protected_of, to_be_signed
from recorder.core.errors import FormatError
from recorder.core.fields import read_fields
from recorder.core.header import Header
from recorder.core.keys import kid, verify
from recorder.core.kinds import IDENTITY_SIGNED, Hash, Kind, Name, Rows, Uint
from recorder.core.limits import CLAIMS_MAX_BYTES, TILE_WIDTH
from recorder.core.tiles import entries_path, parse_entries_path, parse_tile_path

ERROR = "bundle_malformed"
FORMAT: Literal["lineage/bundle/1"] = "lineage/bundle/1"
CHECKPOINT, MANIFEST, EXTRACTION = "checkpoint", "manifest.cbor", "extraction"
ENTRY, CLAIM, PROOF, VOLUME = "entry", "claim", "proof", "volume"
VOLUMES_MAX = 500  # before the last one: 1 TiB of 2 GiB volumes, and fewer than the files that a process may have open
LENGTH_BYTES = 4  # before the claims of each entry

_SEQ = re.compile(r"(entry|claim|proof)/(0|[1-9][0-9]{0,18})")
_VOLUME = re.compile(r"volume/([1-9][0-9]{0,2})")
_NAMES = {8: "who", 9: "why", 11: "body"}


class Member(NamedTuple):
    """What a member's name says."""

    sort: str  # one of the constants above, or "tile", "entries", "claims"
    number: int = 0  # index of a tile or bundle, seq, or number of a volume
    width: int = TILE_WIDTH
    level: int = 0


def member(name: str) -> Member:
    """Read the name of a member; there are no others.

    Raises:
        FormatError: bundle_malformed.

    """
    if name in (CHECKPOINT, MANIFEST, EXTRACTION):
        return Member(name)
    if match := _SEQ.fullmatch(name):
        return Member(match[1], int(match[2]))
    if (match := _VOLUME.fullmatch(name)) and int(match[1]) <= VOLUMES_MAX:
        return Member(VOLUME, int(match[1]))
    try:
        if name.startswith("tile/entries/"):
            return Member("entries", *parse_entries_path(name))
        if name.startswith("claims/"):
            return Member("claims", *parse_entries_path("tile/entries/" + name.removeprefix("claims/")))
        level, index, width = parse_tile_path(name)
    except FormatError:
        raise FormatError(ERROR, f"{name[:80]!r} is no member of a bundle") from None
    return Member("tile", index, width, level)


def claims_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return `claims/<N>[.p/<W>]`; raises as `tiles.entries_path`."""
    return "claims/" + entries_path(index, width).removeprefix("tile/entries/")


class Manifest(NamedTuple):
    """What a bundle says of itself; a map with these keys."""

    format: Literal["lineage/bundle/1"]
    origin: Name
    whole: bool  # all entries of the log below `entries`; else a selection
    entries: Uint  # that are here
    ranges: Annotated[list[tuple[Uint, Uint]], Meta(max_length=1024)]  # asked for: first and last seq
    withheld: list[Name]  # keys of claims of which only the hash is here
    made_utc_ns: Uint
    recorded: bool  # by an extraction entry of the recorder, whose receipt is the member `extraction`
    members: dict[Name, Hash]

    def encode(self) -> bytes:
        """Return the bytes of `manifest.cbor`."""
        return cbor.encode({**self._asdict(), "ranges": [list(item) for item in self.ranges]})


def parse_manifest(data: bytes) -> Manifest:
    """Read `manifest.cbor`.

    Raises:
        FormatError: bundle_malformed.

    """
    return read_fields(data, Manifest, ERROR, "manifest: ")


def to_transport(header: Header, held: bytes) -> bytes:
    """Turn the claims beside an entry into transport form; what is in it already stays.

    Raises:
        FormatError: what cannot be read must not leave, it may hold a secret.

    """
    record = cbor.decode(held)
    if not isinstance(record, dict):
        raise FormatError(claims.MALFORMED, "claims are not a map of header keys")
    carried: dict[int, Any] = {}
    for key, family in record.items():
        if key in _NAMES:
            carried[key] = claims.to_transport(_NAMES[key], family)
        elif key == 10 and isinstance(family, list) and len(family) == len(header.commits or ()):
            carried[key] = [
                _commit(item, commit.count if isinstance(commit, Rows) else None)
                for item, commit in zip(family, header.commits or (), strict=True)
            ]
        elif key == CHOICE_KEY:
            choice = read_choice(family)
            carried[key] = [choice.salt, choice.kids]
        else:
            raise FormatError(claims.MALFORMED, f"claims under key {key!r} belong to no digest of this entry")
    return cbor.encode(carried)


def _commit(item: object, count: int | None) -> list[Any]:
    if not isinstance(item, list) or len(item) != (2 if count is None else 3):
        raise FormatError(claims.MALFORMED, "claims of a commit are not [what, where] or [what, where, rows]")
    families = [claims.to_transport("what", item[0]), claims.to_transport("where", item[1])]
    if count is None:
        return families
    held = item[2]
    if isinstance(held, list):
        rows.leaves_of(held, count, None)  # checks its form
        held = rows.to_transport(held[0], held[1], len(held[1]) // count)
    return [*families, held]


def check_length(length: int) -> int:
    """Check the length that stands before the claims of an entry.

    Raises:
        FormatError: bundle_malformed.

    """
    if length > CLAIMS_MAX_BYTES:
        raise FormatError(ERROR, f"claims of {length} bytes, at most {CLAIMS_MAX_BYTES} are allowed")
    return length


def encode_receipt(extraction: bytes, introduction: bytes) -> bytes:
    """Return the member `extraction`: the extraction entry, and the boot or epoch entry that introduced its key."""
    return cbor.encode([extraction, introduction])


def _entries_of(data: bytes, error: str) -> tuple[Entry, Entry]:
    try:
        extraction, introduction = convert(cbor.decode(data), tuple[bytes, bytes], builtin_types=(bytes,))
        return decode(extraction), decode(introduction)
    except ValidationError:
        raise FormatError(error, "not [extraction entry, introduction]") from None
    except FormatError as failure:
        raise FormatError(error, failure.detail) from None


def check_receipt(data: bytes, manifest: bytes, origin: str, identity: bytes | None) -> None:
    """Check that the recorder logged that this manifest was taken from it.

    Args:
        data: the member `extraction`.
        manifest: bytes of `manifest.cbor`.
        origin: name of the log.
        identity: its identity key.

    Raises:
        FormatError: extraction_receipt.

    """
    error = "extraction_receipt"
    extraction, introduction = _entries_of(data, error)
    if introduction.header.kind not in IDENTITY_SIGNED or introduction.header.seq >= extraction.header.seq:
        raise FormatError(error, f"entry {introduction.header.seq} introduces no key of {extraction.header.seq}")
    if extraction.header.kind != Kind.EXTRACTION:
        raise FormatError(error, f"entry {extraction.header.seq} is of kind {extraction.header.kind}")
    if identity is None:
        raise FormatError(error, "no identity key is known to verify it with")
    aad = external_aad(origin)
    for entry, key in ((introduction, identity), (extraction, introduction.header.control.epoch_key)):
        signed = to_be_signed(protected_of(entry.kid), aad, entry.payload)
        if entry.kid != kid(key) or not verify(key, signed, entry.signature):
            raise FormatError(error, f"entry {entry.header.seq} is not signed by {key.hex()} for this origin")
    if extraction.header.control.manifest != sha256(manifest).digest():
        raise FormatError(error, f"entry {extraction.header.seq} logged another manifest than the one here")
