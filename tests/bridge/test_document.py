"""PROTOCOL.md against the code: its tables are those of the code, and the sizes that it states are what is sent."""

from __future__ import annotations

import re
from pathlib import Path
from struct import pack, unpack

import firmware_bridge
from firmware_bridge.line import messages, states
from firmware_bridge.line.framing import STUFFED_MAX_BYTES, frame
from firmware_bridge.line.happenings import Condition
from firmware_bridge.line.states import Move, State
from recorder.core import deviceframe
from recorder.core.deviceframe import CommitRef, CommitRequest, Confirmation, Outcome
from recorder.core.errors import Impossible
from tests.documents import rows_of

TEXT = (Path(firmware_bridge.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
TOP = 10**7


def test_messages() -> None:
    """Each type stands there with its name and its elements in order."""
    listed = {}
    for number, _, name, elements in rows_of(TEXT, "| type | from | name | elements |"):
        if number.isdecimal():
            fields = re.sub(r"\([^)]*\)", "", elements).replace(" / null", "")
            listed[int(number)] = (name.replace(" ", ""), tuple(part.strip() for part in fields.split(",")))
    assert listed == {number: (shape.__name__.lower(), shape._fields) for number, shape in messages.TYPES.items()}


def test_states() -> None:
    """The table of states has the moves of the code, and no others."""
    heading = "| | " + " | ".join(move.value for move in Move) + " |"
    for state, *targets in rows_of(TEXT, heading):
        for move, target in zip(Move, targets, strict=True):
            try:
                assert states.after(State(state), move).value == target
            except Impossible:
                assert not target


def test_conditions() -> None:
    """Each condition is explained."""
    listed = {row[0].strip("`") for row in rows_of(TEXT, "| condition | what it is | what follows |")}
    assert listed == {condition.value for condition in Condition}


def test_sizes() -> None:
    """What section 6 says of bytes on the line."""

    def device(body: deviceframe.Body) -> int:
        return len(frame(deviceframe.make(bytes(8), 300, TOP, 10**10, bytes(8), body)))

    def host(message: messages.Message) -> int:
        return len(frame(messages.make(message)))

    value = (2, unpack("<f", pack("<f", 0.1234567))[0])  # a single that no half holds
    ref = CommitRef(10**6, 0, bytes(range(16)))
    found = [device(Confirmation(ref, Outcome.REACHED, [value] * count)) for count in (1, 2, 4)]
    found.append(device(CommitRequest(5, 3, [value], 200, 500)))
    found.append(host(messages.Batch(bytes(4), TOP, TOP + 31, bytes(64))))
    found.append(host(messages.TimeIs(bytes(4), 10**10, 10**10)))
    found.append(host(messages.Ack(bytes(4), TOP, TOP, TOP, messages.Resend.NOTHING)))
    receipt = messages.Receipt(bytes(4), 100, TOP, 3, messages.Verdict.ADMITTED, ref, False)
    found.append(host(receipt))
    said = re.search(
        r"with one value (\d+).*two (\d+).*four (\d+).*request (\d+).*batch (\d+).*is (\d+).*ack (\d+).*receipt (\d+)",
        TEXT.replace("\n", " "),
    )
    assert said is not None
    assert found == list(map(int, said.groups()))
    assert f"at most {STUFFED_MAX_BYTES + 1} bytes" in TEXT
