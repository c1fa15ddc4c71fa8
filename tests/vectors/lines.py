"""The vectors of a device's line: a session byte by byte, and what is no frame or no message."""

from __future__ import annotations

from typing import Any

from firmware_bridge.line import messages
from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.framing import Unframer, frame, stuff
from firmware_bridge.line.happenings import Arrived
from firmware_bridge.line.link import Link
from firmware_bridge.line.messages import Receipt, Verdict
from recorder.core import deviceframe
from recorder.core.deviceframe import CommitRef, Frame
from tests.bridge.simulated import Simulated
from tests.frames import DEVICE, NONCE, ORIGIN

BOOT, STEP_US, STEPS = 3, 5_000, 60
GRANT, ACTUATOR = 9, 1
DOES = {  # step -> what the firmware does: a call and its arguments, values as QUANTITY:VALUE
    0: "confirm 5 1 0 2:0.5 14:7",
    6: f"request {GRANT} {ACTUATOR} 2:-0.25",
    10: "confirm 6 3 0 2:0.1234567",
    16: "observe 8:23.5",
    24: "event 1 3:0.25",
    25: "fault 64 -5",
}


def session() -> dict[str, Any]:
    """Hello, here, frames, their signatures, a grant, a request and its receipt, acks, the time; nothing is lost."""
    device = Simulated()
    device.boot(BOOT)
    link = Link(DEVICE.public_key, ORIGIN, None, lambda: NONCE, batch_frames=4, batch_ms=20)
    link.opened(0)
    steps: list[dict[str, Any]] = []
    for step in range(STEPS):
        now_us = step * STEP_US
        if step in DOES:
            device.do(f"now {now_us}")
            device.do(DOES[step])
            steps.append({"at_us": now_us, "firmware": DOES[step]})
        if step == 2:
            link.grant(GRANT, ACTUATOR, 4, 5000, irreversible=False)
        link.at(now_us)
        if line := link.take_output():
            device.do(f"now {now_us}")
            device.received(line)
            steps.append(_told(now_us, "host", line))
        line = b"".join(device.poll(now_us))
        for happened in link.received(line, now_us):
            if isinstance(happened, Signed):
                link.recorded(happened)
            elif isinstance(happened, Arrived):
                commit = CommitRef(12, 0, bytes(range(16)))
                seq = happened.frame.seq
                link.receipt(Receipt(bytes(4), 0, seq, ACTUATOR, Verdict.ADMITTED, commit, irreversible=True))
        if line:
            steps.append(_told(now_us, "device", line))
    return {
        "name": "session",
        "description": "What goes over a line, from a device's start on.  `at_us` is the clock of both.",
        "public_key": DEVICE.public_key.hex(),
        "boot": BOOT,
        "origin": ORIGIN,
        "nonce": NONCE.hex(),
        "steps": steps,
    }


def broken() -> dict[str, Any]:
    """Pieces between zeros that are no frame, and messages of sound frames that are left out."""
    sound = messages.make(messages.Taken(bytes(4), 1))
    lines = [
        frame(sound)[:-2], b"\x05abc", b"\x01", b"\xff", stuff(sound + bytes(4)), stuff(bytes(5)), b"\x02" * 300,
    ]  # fmt: skip
    spelled = [
        b"\x84\x02" + sound[2:], sound + b"\0", sound[:-1], b"\x9f" + sound[1:] + b"\xff", sound[:-1] + b"\x18\x01",
        sound[:1] + b"\x01\x0b" + sound[3:], sound[:1] + b"\x01\x0f" + sound[3:], b"\xa0",
    ]  # fmt: skip
    return {
        "name": "broken",
        "description": "Lines without a frame, and frames whose message is of another version, type, length or spelling.",
        "lines": [line.hex() for line in lines],
        "messages": [raw.hex() for raw in spelled],
    }


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its path."""
    return {"bridge/session.json": session(), "bridge/broken.json": broken()}


def _told(at_us: int, who: str, line: bytes) -> dict[str, Any]:
    said = Unframer().feed(line)
    return {"at_us": at_us, "from": who, "line": line.hex(), "messages": [f"{_name(raw)} {raw.hex()}" for raw in said]}


def _name(raw: bytes) -> str:
    message = messages.read(raw)
    return (
        deviceframe.type_of(message.body).name.lower() if isinstance(message, Frame) else type(message).__name__.lower()
    )
