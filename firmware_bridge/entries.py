"""What a link tells, as requests to the recorder (PROTOCOL.md section 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.happenings import Clock, Trouble
from recorder.client.session import Outgoing, outgoing
from recorder.core import devicegap
from recorder.core.deviceframe import DEVICE_CLAIM, EVENTS, REF_HASH_BYTES, Event, Frame, quantity_of
from recorder.core.devicegap import Missing
from recorder.core.kinds import Kind, RefType
from recorder.core.messages import Verb

FAULT = "bridge"
NS_PER_US = 1_000
DETAIL_MAX = 512


class EventAct(NamedTuple):
    """What is said of an event beside what the device says."""

    action_class: str
    actuators: Sequence[str]
    platform: str


def batch(signed: Signed, hash_of: Callable[[int], bytes | None]) -> tuple[Outgoing, list[int]]:
    """The entry of a signed batch, and the seqs of commits that it confirms and the lineage does not have.

    Args:
        signed: the batch.
        hash_of: entry hash by seq; None where there is no such entry.

    """
    refs: list[list[int | bytes | None]] = []
    unknown: list[int] = []
    for made in signed.confirmations:
        digest = hash_of(made.commit.seq)
        if digest is None or digest[:REF_HASH_BYTES] != made.commit.hash:
            unknown.append(made.commit.seq)
        else:
            refs.append([None, made.commit.seq, digest, made.commit.place])
    kind = Kind.CONFIRMATION if refs else Kind.OBSERVATION
    named = {int(RefType.CONFIRMS): refs} if refs else None
    return outgoing(Verb.APPEND, int(kind), signed.body, [signed.control], named, token=signed), unknown


def gap(missing: Missing, actuators: Sequence[str]) -> Outgoing:
    """Frames that the lineage will never have."""
    return outgoing(Verb.GAP, list(actuators), missing.frames, None, devicegap.say(missing), token=missing)


def fault(port: str, trouble: Trouble) -> Outgoing:
    """A condition that began."""
    said = [FAULT, [port, trouble.condition.value, trouble.detail[:DETAIL_MAX]]]
    return outgoing(Verb.APPEND, int(Kind.FAULT), None, said, None, token=trouble)


def event(frame: Frame, seen: Event, act: EventAct, at_mono_ns: int) -> Outgoing:
    """An act of the device's own, beside the batch that proves it."""
    name = EVENTS[seen.event]
    values = [[quantity_of(number).quantity, amount, quantity_of(number).unit] for number, amount in seen.values]
    what = {
        "mode": name, "target": None, "magnitude": None, "unit": None, "duration_ms": None, "reversibility": None,
        "confirm_by_ms": None, "values": values, DEVICE_CLAIM: [frame.kid, frame.boot, frame.seq],
    }  # fmt: skip
    who = {"platform": act.platform, "operator": None, "delegation": None}
    why = {"reason": f"{name}, by the device's own word"}
    return outgoing(Verb.EVENT, act.action_class, list(act.actuators), who, what, {}, why, at_mono_ns, token=act)


def clock(device_kid: bytes, boot: int, read: Clock) -> Outgoing:
    """The device's clock against CLOCK_BOOTTIME: at some instant between these two it showed the tick."""
    said = {
        "device_clock": [device_kid, boot, read.tick_us],
        "between_mono_ns": [read.sent_us * NS_PER_US, read.answered_us * NS_PER_US],
    }
    return outgoing(Verb.APPEND, int(Kind.OBSERVATION), said, None, None)
