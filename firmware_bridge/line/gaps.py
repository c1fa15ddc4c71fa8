"""What a lineage will never have of a device, once the device has said which boot it is in and what it still holds."""

from __future__ import annotations

from firmware_bridge.line.confirmations import Known
from recorder.core.devicegap import NOT_HELD, REBOOTED, UNSEEN, Missing, Place


def gaps(device_kid: bytes, known: Known | None, boot: int, oldest: int) -> list[Missing]:
    """The gaps between what is known and the first frame that this boot still has.

    That no frame was lost with a boot, nobody can say: what the device had not sent went with its memory.
    """
    found: list[Missing] = []
    at = Place(known.boot, known.next) if known is not None else Place(1, 0)
    if known is not None and at.boot < boot:
        found.append(Missing(REBOOTED, device_kid, at, Place(at.boot + 1, 0)))
        at = found[-1].until
    if at.boot < boot:
        found.append(Missing(UNSEEN, device_kid, at, Place(boot, 0)))
        at = found[-1].until
    if at.seq < oldest:
        found.append(Missing(NOT_HELD, device_kid, at, Place(boot, oldest)))
    return found
