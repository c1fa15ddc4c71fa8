"""What a bridge learns of a lineage: how far that is with a device, and nothing that the device did not sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.frontfile import read_front, write_front
from firmware_bridge.known import Admitted, Memory
from firmware_bridge.line.confirmations import Known
from recorder.core import devicegap
from recorder.core.deviceframe import CommitRef, Event
from recorder.core.devicegap import Missing, Place
from recorder.core.kinds import Kind
from tests.batches import Bench, InTheNameOf
from tests.credential_builder import signer
from tests.frames import DEVICE, KID
from tests.lineage_builder import LineageBuilder, OpenCycle


class Asking(LineageBuilder):
    """A lineage in which a device asks for commits."""

    asked: Place | None = None

    def what(self) -> dict[str, object]:
        """With the frame that asked."""
        said = super().what()
        return said if self.asked is None else {**said, "device": [KID, *self.asked]}


def learned(lineage: LineageBuilder, since: int = 0, memory: Memory | None = None) -> Memory:
    """What is known after the entries from a seq on."""
    memory = memory or Memory(DEVICE.public_key)
    for record in lineage.records[since:]:
        memory.take(record.raw, record.claims)
    return memory


def begun() -> tuple[Asking, Bench, OpenCycle]:
    lineage = Asking()
    lineage.setup()
    return lineage, Bench(lineage), lineage.cycle()


def test_batches_and_gaps() -> None:
    """The last of either is where the device goes on."""
    lineage, device, _ = begun()
    assert learned(lineage).front is None
    device.batch(Event(3, []), Event(4, []))
    assert learned(lineage).front == Known(1, 2, device.prev)
    device.gap("device_rebooted", Place(2, 0))
    assert learned(lineage).front == Known(2, 0, None)
    device.batch(Event(3, []))
    assert learned(lineage).front == Known(2, 1, device.prev)


def test_what_the_device_did_not_sign() -> None:
    """A batch by another key in its name, with other frames, or of another device moves nothing."""
    lineage, device, _ = begun()
    device.batch(Event(3, []))
    before = learned(lineage).front
    device.batch(Event(4, []), by=InTheNameOf(DEVICE, signer("mallory")))
    device.batch(Event(4, []), frames=[b"\x01"])
    Bench(lineage, signer("another motor")).batch(*(Event(3, []) for _ in range(9)))
    lineage.control(Kind.OBSERVATION, body={"signature": KID, "frames": 3})
    lineage.control(Kind.GAP, [1], None, None, "device_rebooted: " + KID.hex() + " 9.9 to 11.0")
    assert learned(lineage).front == before


def test_requests_and_events() -> None:
    """A commit or a refusal answers the frame that asked; an ungated act is an event that was told."""
    lineage, _, cycle = begun()
    lineage.asked = Place(1, 4)
    commit = lineage.commit(cycle)
    lineage.asked = Place(1, 5)
    lineage.refuse(cycle)
    lineage.asked = Place(1, 6)
    lineage.event()
    memory = learned(lineage)
    ref = CommitRef(commit, 0, lineage.hash_of(commit)[:16])
    assert dict(memory.answered) == {Place(1, 4): Admitted(ref), Place(1, 5): Admitted(None)}
    assert list(memory.events) == [(1, 6)]


def test_going_on_where_the_last_one_stood(tmp_path: Path) -> None:
    """What a file keeps and the entries behind it say what all entries do; a torn or foreign file says nothing."""
    lineage, device, cycle = begun()
    device.batch(Event(3, []))
    lineage.asked = Place(1, 1)
    lineage.commit(cycle)
    memory = learned(lineage)
    write_front(tmp_path, memory.front_at(lineage.origin, lineage.seq))
    seq = lineage.seq
    device.batch(Event(4, []))
    since = read_front(tmp_path, lineage.origin)
    assert since is not None
    again, whole = learned(lineage, seq, Memory(DEVICE.public_key, since)), learned(lineage)
    assert (again.front, again.answered, again.events) == (whole.front, whole.answered, whole.events)
    assert read_front(tmp_path, "acme/arm-8/00") is None
    (tmp_path / "front.json").write_bytes((tmp_path / "front.json").read_bytes()[:-9])
    assert read_front(tmp_path, lineage.origin) is None


@pytest.mark.parametrize(
    ("reason", "since", "until", "frames"),
    [
        ("device_rebooted", (1, 7), (2, 0), None),
        ("boots_unseen", (2, 0), (9, 0), None),
        ("not_held", (9, 0), (9, 12), 12),
    ],
)
def test_gaps_in_words(reason: str, since: tuple[int, int], until: tuple[int, int], frames: int | None) -> None:
    """What is said is read again, and nothing else is."""
    missing = Missing(reason, KID, Place(*since), Place(*until))
    said = devicegap.say(missing)
    assert (devicegap.read(said), missing.frames) == (missing, frames)
    for wrong in (said + " ", said.upper(), said.replace(" to ", " until "), said.replace(": ", ": 0")):
        assert devicegap.read(wrong) is None


@pytest.mark.parametrize(
    "said",
    ["device_rebooted: {} 1.7 to 3.0", "device_rebooted: {} 1.7 to 2.1", "boots_unseen: {} 2.0 to 2.0", "not_held: {} 2.5 to 2.5",
     "not_held: {} 2.5 to 3.6", "boots_unseen: {} 2.1 to 3.0", "not_held: {} 02.5 to 2.6", "row ring full"],
)  # fmt: skip
def test_gaps_that_cannot_be(said: str) -> None:
    """Each word has one shape."""
    assert devicegap.read(said.format(KID.hex())) is None
