"""Proof that two incarnations of a platform follow the same one, and neither knows of the other (FORMAT.md section 5).

A split proof is a text: `lineage/split/1`, and for each of two logs a line with its origin and one with its boot entry
in base64, the smaller origin first.  A boot entry names all incarnations before it and is signed by the identity key
over its origin, so the two need nothing else: not a head, since whoever signs a boot entry has begun a log by it.

It proves that the platform's records do not lie in one line.  It does not prove who did it: another machine with the
key, or the platform itself, which lost a store and did not know what it had begun.  So it convicts neither log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from recorder.core.canonical import decode_base64, encode_base64, written
from recorder.core.controls import Boot, Previous
from recorder.core.entry import ZERO_HASH, decode, external_aad, protected_of, to_be_signed
from recorder.core.errors import FormatError
from recorder.core.keys import kid, verify
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey, is_key_name
from recorder.core.trust import Trust

ERROR = "split_malformed"
UNPROVED = "split_unproved"
MAGIC = "lineage/split/1"
SPLIT_MAX_BYTES = 65_536
BOOT_MAX_BYTES = 24_000  # two of them have room in a proof; one that names 256 incarnations has 19,000

_LINES = 6  # magic, two of each log, and the end


@dataclass(frozen=True, slots=True)
class SplitProof:
    """Two boot entries of one platform with the origins that they are signed over; only the form is checked."""

    first: str  # the smaller origin
    first_boot: bytes
    second: str
    second_boot: bytes

    @property
    def platform(self) -> str:
        """FLEET/PLATFORM."""
        return self.first.rpartition("/")[0]

    def encode(self) -> bytes:
        """Return the text of the proof.

        Raises:
            Misuse: `parse_split` would not give this proof back.

        """
        lines = [MAGIC, self.first, encode_base64(self.first_boot), self.second, encode_base64(self.second_boot), ""]
        return written("\n".join(lines).encode(), parse_split, self, "split")


class Split(NamedTuple):
    """A proof that holds."""

    platform: str
    first: str
    second: str
    common: list[tuple[Previous, Previous]]  # incarnations that both name: as the first does, and as the second does

    @property
    def origin(self) -> str:
        """What it is about: the platform, of neither log alone."""
        return self.platform

    def describe(self) -> str:
        """What a person is told, in lines that end in newline."""
        lines = [f"SPLIT of {self.platform}: two incarnations follow the same one, and neither names the other"]
        lines += [f"  {one}" for one in (self.first, self.second)]
        for one, other in self.common:
            sizes = f"{one.size:,}" if one.size == other.size else f"{one.size:,} and {other.size:,}"
            lines.append(f"  both follow {one.origin}, after {sizes} entries")
        lines.append("  another machine has this platform's key, or it lost the store of one and did not know of it")
        return "\n".join(lines) + "\n"


def parse_split(text: bytes) -> SplitProof:
    """Parse a proof; there is one text for each.

    Raises:
        FormatError: split_malformed.

    """
    if len(text) > SPLIT_MAX_BYTES:
        raise FormatError(ERROR, f"a proof of {len(text)} bytes, at most {SPLIT_MAX_BYTES} are allowed")
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as failure:
        raise FormatError(ERROR, f"not UTF-8: {failure.reason} at byte {failure.start}") from None
    if len(lines) != _LINES or lines[0] != MAGIC or lines[-1]:
        raise FormatError(ERROR, f"not {_LINES - 1} lines of which the first is {MAGIC}")
    proof = SplitProof(lines[1], decode_base64(lines[2], ERROR), lines[3], decode_base64(lines[4], ERROR))
    if not is_key_name(proof.first) or not is_key_name(proof.second) or proof.first >= proof.second:
        raise FormatError(ERROR, "not two origins, the smaller one first")
    if proof.platform != proof.second.rpartition("/")[0]:
        raise FormatError(ERROR, f"{proof.first} and {proof.second} are not of one platform")
    return proof


def verify_split(proof: SplitProof, trust: Trust) -> Split:
    """Verify a proof off line, under the key that a trust file has for its platform.

    Raises:
        FormatError: split_origin (no key for it here), those of `verify_split_under`.

    """
    log = trust.log_key_of(proof.first)
    if log is None:
        raise FormatError("split_origin", f"nobody here is trusted to speak for {proof.platform!r}")
    return verify_split_under(proof, log.public_key)


def verify_split_under(proof: SplitProof, identity: bytes) -> Split:
    """Verify a proof off line, under the identity key of the platform.

    1. Both are boot entries at seq 0 of their origins, which that key signed and name that key.  2. Both name one
    incarnation.  3. Neither names the other.

    Raises:
        FormatError: split_unproved.

    """
    # 1. Boot entries
    first, second = (boot_entry(raw, VerifierKey.derive(origin, ED25519, identity)) for origin, raw in _sides(proof))
    # 2. One incarnation before both
    common = [(one, other) for one in first.previous for other in second.previous if one.origin == other.origin]
    if not common:
        raise FormatError(UNPROVED, "the two follow no incarnation that both name")
    # 3. Neither knows of the other
    if _names(first, proof.second) or _names(second, proof.first):
        raise FormatError(UNPROVED, "one of the two names the other: it knows of it")
    return Split(proof.platform, proof.first, proof.second, common)


def split_of(one: tuple[str, bytes], other: tuple[str, bytes]) -> SplitProof | None:
    """Make the proof out of origins and boot entries that are verified already; None where they are in one line."""
    (first, first_boot), (second, second_boot) = sorted((one, other))
    if first == second or first.rpartition("/")[0] != second.rpartition("/")[0]:
        return None
    before, after = (Boot(*decode(raw).header.control) for raw in (first_boot, second_boot))
    if _names(before, second) or _names(after, first):
        return None
    if not {named.origin for named in before.previous} & {named.origin for named in after.previous}:
        return None
    return SplitProof(first, first_boot, second, second_boot)


def boot_entry(raw: bytes, log: VerifierKey) -> Boot:
    """What a boot entry at seq 0 says, which the identity key has signed over its origin.

    Args:
        raw: the entry.
        log: the identity key, named as the origin.

    Raises:
        FormatError: split_unproved.

    """
    if len(raw) > BOOT_MAX_BYTES:
        raise FormatError(UNPROVED, f"a boot entry of {len(raw)} bytes, at most {BOOT_MAX_BYTES} are followed")
    try:
        entry = decode(raw)
    except FormatError as error:
        raise FormatError(UNPROVED, f"no boot entry: {error}") from None
    header = entry.header
    if header.kind != Kind.BOOT or header.seq != 0 or header.prev != ZERO_HASH:
        raise FormatError(UNPROVED, "the entry is not a boot at seq 0")
    message = to_be_signed(protected_of(entry.kid), external_aad(log.name), entry.payload)
    is_signed = entry.kid == kid(log.public_key) and verify(log.public_key, message, entry.signature)
    if header.control.identity_key != log.public_key or not is_signed:
        raise FormatError(UNPROVED, f"the boot entry is not one of {log.name} under its trusted identity key")
    return Boot(*header.control)


def _sides(proof: SplitProof) -> list[tuple[str, bytes]]:
    return [(proof.first, proof.first_boot), (proof.second, proof.second_boot)]


def _names(boot: Boot, origin: str) -> bool:
    return any(one.origin == origin for one in boot.previous)
