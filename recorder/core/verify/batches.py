"""Steps 8 and 9 of one entry with a device's batch: its frames, its signature, and the commits that it confirms."""

from __future__ import annotations

from recorder.core import confirmation, sign1
from recorder.core.confirmation import Confirmed
from recorder.core.deviceframe import REF_HASH_BYTES, Dropped, Frame, Outcome
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import RefType
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family
from recorder.core.verify.under import Confirming


def check_batch(header: Header, body: Family, under: Confirming, found: Found) -> int:
    """Judge an entry that carries a batch; what is withheld of it is left.

    Returns how many of its confirmations say another outcome than that the commit was reached.

    Args:
        header: of the entry.
        body: its claims.
        under: the log, and the key of the credential where there is one to judge by.
        found: takes what is wrong.

    """
    seq = header.seq
    if body.hides(confirmation.SIGNATURE_CLAIM):
        return 0
    try:
        if body.hides(confirmation.FRAMES_CLAIM):
            _check_signature(header, confirmation.read(body.values[confirmation.SIGNATURE_CLAIM]), under)
            return 0
        confirmed, raws = confirmation.of_body(body.values)
        _check_signature(header, confirmed, under)
        frames = confirmation.frames_of(confirmed, raws)
        _check_named(header, frames)
    except FormatError as error:
        found(error.error, seq, error.detail)
        return 0
    for frame in frames:
        if isinstance(frame.body, Dropped):
            found(
                "gap_declared", seq, f"the device had no room for {frame.body.frames} frames before frame {frame.seq}"
            )
    return sum(made.outcome is not Outcome.REACHED for made in confirmation.commits(frames))


def _check_signature(header: Header, confirmed: Confirmed, under: Confirming) -> None:
    if header.control is None or header.control.digest != confirmed.signed.hash:
        raise FormatError(confirmation.ERROR, "control is not the hash of the signature")
    if confirmed.says.origin != under.origin:
        raise FormatError("confirmation_signature", f"signed for {confirmed.says.origin}, which is another log")
    if under.key is not None and not sign1.verify(confirmed.signed, under.key):
        raise FormatError("confirmation_signature", f"not signed by {under.key.hex()}")


def _check_named(header: Header, frames: list[Frame]) -> None:
    """Key 12 names what the frames confirm, in their order, and nothing else."""
    refs = (header.refs or {}).get(int(RefType.CONFIRMS), [])
    named = [(ref.origin, ref.seq, ref.index, ref.hash[:REF_HASH_BYTES]) for ref in refs]
    said = [(None, *made.commit) for made in confirmation.commits(frames)]
    if named != said:
        differing = next((one for one in said if one not in named), None)
        what = "names commits that no frame confirms" if differing is None else f"lacks entry {differing[1]}"
        raise FormatError("confirmation_frames", f"key 12 {what}: the frames confirm {len(said)}, it names {len(refs)}")
