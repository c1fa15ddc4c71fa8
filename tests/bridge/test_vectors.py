"""Both devices, the C and the simulator's, say what the vectors of the line say, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.line import messages
from firmware_bridge.line.framing import Unframer, frame
from recorder.core.errors import FormatError
from tests.bridge.world import Peer

HERE = Path(__file__).parent.parent / "vectors" / "bridge"


def read(name: str) -> Any:  # JSON
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def test_a_session(device: Peer) -> None:
    """Played to a device at the instants of the vector: it answers with its bytes, and all types are among them."""
    held = read("session.json")
    assert held["public_key"] == device.signer.public_key.hex()
    device.boot(held["boot"])
    types = set()
    for step in held["steps"]:
        device.do(f"now {step['at_us']}")
        if "firmware" in step:
            device.do(step["firmware"])
        elif step["from"] == "host":
            device.received(bytes.fromhex(step["line"]))
        else:
            assert b"".join(device.poll(step["at_us"])).hex() == step["line"], step
        types |= {said.partition(" ")[0] for said in step.get("messages", ())}
        assert [said.partition(" ")[2] for said in step.get("messages", ())] == [
            raw.hex() for raw in Unframer().feed(bytes.fromhex(step.get("line", "")))
        ]
    assert {shape.__name__.lower() for shape in messages.TYPES.values()} <= types


def test_what_is_none(device: Peer) -> None:
    """A piece without a frame is noise to either side; a message that is spelled otherwise is left out by either."""
    held = read("broken.json")
    device.boot(1)
    device.poll(0)
    for number, line in enumerate(held["lines"], 1):
        assert Unframer().feed(bytes.fromhex(line) + b"\0") == []
        assert device.received(bytes.fromhex(line) + b"\0") == number
    for raw in map(bytes.fromhex, held["messages"]):
        with pytest.raises(FormatError):
            messages.read(raw)
        assert device.received(frame(raw)) == len(held["lines"])
    assert device.poll(1) == []
