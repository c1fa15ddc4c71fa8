"""What a lineage will never have of a device, once the device has said which boot it is in and what it still holds."""

from __future__ import annotations

from firmware_bridge.line.confirmations import Known
from firmware_bridge.line.happenings import Gap


def gaps(known: Known | None, boot: int, oldest: int) -> list[Gap]:
    """The gaps between what is known and the first frame that this boot still has.

    That no frame was lost with a boot, nobody can say: what the device had not sent went with its memory.
    """
    found: list[Gap] = []
    known_boot, next_ = (known.boot, known.next) if known is not None else (0, 0)
    if 0 < known_boot < boot:
        found.append(Gap(known_boot, next_, None, "device_rebooted"))
    if known_boot + 1 < boot:
        found.append(Gap(known_boot + 1, 0, None, "boots_unseen"))
    if known_boot != boot:
        next_ = 0
    if oldest > next_:
        found.append(Gap(boot, next_, oldest - next_, "not_held"))
    return found
