"""What to look at where a condition lasts: for the journal and `lineage bridge status`."""

from __future__ import annotations

from firmware_bridge.line.happenings import Condition

LOOK_AT = {
    Condition.NOISE: "the baud rate of either end and the cable; or the device loses bytes while it signs",
    Condition.SILENT: "power, the wires and whether they are crossed, and whether this is its port",
    Condition.UNREADABLE: "which version of the protocol the device's library has",
    Condition.ANOTHER_KEY: "whether this is the device's port; one that replaces another is enrolled anew",
    Condition.KEY_NOT_SHOWN: "the device's sign hook and the seed of its key; or something imitates it",
    Condition.BOOT_REUSED: "the boot number: raised and stored before lineage_init, it is never used twice",
    Condition.CHAIN_BROKEN: "whether two contexts call the device's library, or its RAM is written over",
    Condition.SIGNATURE_BROKEN: "the device's sign hook, and whether its stack is large enough",
    Condition.FLOODED: "the device's batches: it sends frames and does not sign them",
    Condition.UNPLUGGED: "the cable; `ls -l /dev/serial/by-id` shows which ports there are",
}
