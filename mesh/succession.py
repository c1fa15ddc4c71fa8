"""What a new incarnation shows a witness of the old one: the body of `add-incarnation` (PROTOCOL.md section 3).

The boot entry with which the new log begins, that it does so, and how the head that it names of the old log follows the
one that the witness cosigned.  It is cosigned in the same step, so no tree is cosigned whose beginning was not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.core import cbor
from recorder.core.canonical import written
from recorder.core.checkpoint import Checkpoint
from recorder.core.controls import Boot, Previous
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES, PROOF_MAX_HASHES
from recorder.core.merkle import verify_consistency, verify_inclusion
from recorder.core.note import VerifierKey
from recorder.core.splits import boot_entry

ERROR = "add_incarnation_malformed"
UNPROVED = "incarnation_unproved"
FORMAT = "lineage/incarnation/1"
SUCCESSION_MAX_BYTES = 135_168  # an entry and a note of 64 KiB each, and two proofs

_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Succession:
    """A request; only its form has been checked."""

    boot: bytes  # the entry at seq 0 of the new log
    inclusion: tuple[bytes, ...]  # that it is the first leaf of the checkpoint
    consistency: tuple[bytes, ...]  # from the head that the witness holds to the one that the boot entry names
    note: bytes  # the new log's checkpoint

    def encode(self) -> bytes:
        """Return the body of the request.

        Raises:
            Misuse: `parse_succession` would not give this request back.

        """
        body = cbor.encode([FORMAT, self.boot, list(self.inclusion), list(self.consistency), self.note])
        return written(body, parse_succession, self, "request")


def parse_succession(body: bytes) -> Succession:
    """Parse the body of a request.

    Raises:
        FormatError: add_incarnation_malformed.

    """
    if len(body) > SUCCESSION_MAX_BYTES:
        raise FormatError(ERROR, f"a request of {len(body)} bytes, at most {SUCCESSION_MAX_BYTES} are allowed")
    try:
        value = cbor.decode(body)
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    match value:
        case [str(form), bytes(boot), list(inclusion), list(consistency), bytes(note)] if form == FORMAT:
            return Succession(boot, _hashes(inclusion), _hashes(consistency), note)
    raise FormatError(ERROR, f"not an array of {_FIELDS} that begins with {FORMAT}")


def check_succession(shown: Succession, head: Checkpoint, log: VerifierKey, held: Checkpoint) -> None:
    """Check that a new incarnation stands by the last head that was cosigned of the old one.

    1. The boot entry is one, at seq 0, of this origin.  2. The identity key signed it, and it names that key.  3. The
    checkpoint begins with it.  4. It names the old incarnation, 5. with the very head that is held, or a larger one
    that provably extends it.

    Args:
        shown: what the new incarnation shows.
        head: its checkpoint, which `log` signed.
        log: the identity key, named as the new origin.
        held: last head cosigned of the incarnation in force until now.

    Raises:
        FormatError: incarnation_unproved.

    """
    # 1. and 2. Boot entry
    control = _boot_of(shown.boot, log)
    # 3. It is the first leaf
    try:
        verify_inclusion(entry_hash(shown.boot), 0, head.size, shown.inclusion, head.root)
    except FormatError as error:
        raise FormatError(UNPROVED, f"the checkpoint does not begin with the boot entry: {error.detail}") from None
    # 4. The old incarnation
    named = [one for one in control.previous if one.origin == held.origin]
    if not named:
        raise FormatError(UNPROVED, f"its boot entry does not name {held.origin}, cosigned here up to {held.size}")
    # 5. With a head that is at least the one held
    faults = [_fault(one, held, shown.consistency) for one in named]
    if None not in faults:
        raise FormatError(UNPROVED, f"its boot entry names {held.origin}, but {faults[0]}")


def _boot_of(raw: bytes, log: VerifierKey) -> Boot:
    try:
        return boot_entry(raw, log)
    except FormatError as error:
        raise FormatError(UNPROVED, error.detail) from None


def _fault(named: Previous, held: Checkpoint, consistency: tuple[bytes, ...]) -> str | None:
    if named.root is None:
        return "without a root"
    try:
        verify_consistency(held.size, held.root, named.size, named.root, consistency)
    except FormatError as error:
        return f"not with the {held.size} entries cosigned here, or more that follow: {error.detail}"
    return None


def _hashes(listed: list[object]) -> tuple[bytes, ...]:
    if len(listed) > PROOF_MAX_HASHES:
        raise FormatError(ERROR, f"{len(listed)} hashes, at most {PROOF_MAX_HASHES} are allowed")
    hashes = tuple(value for value in listed if isinstance(value, bytes) and len(value) == HASH_BYTES)
    if len(hashes) != len(listed):
        raise FormatError(ERROR, f"a hash that is not a byte string of {HASH_BYTES}")
    return hashes
