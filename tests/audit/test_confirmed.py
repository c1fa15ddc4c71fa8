"""What devices say, as readers are told it: of a commit, of an entry, and where nobody said anything."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from recorder.audit.confirmed import confirmations_of, frame_words, frames_told, unconfirmed_in
from recorder.audit.links import DEVICE
from recorder.audit.opening import open_source
from recorder.audit.selection import needed_by
from recorder.audit.source import entry_at
from recorder.audit.span import Span
from recorder.audit.upstream import why
from recorder.core.deviceframe import CommitRequest, Dropped, Event, Fault
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from tests.audit.lineages import write_state
from tests.frames import chain
from tests.vectors.broken_devices import bench


def test_of_a_commit(tmp_path: Path) -> None:
    """Each word of a device about it, the place in the entry told; nothing of other commits; and which have none."""
    lineage, device = bench()
    cycle = lineage.gated((1, 2))
    first, second = lineage.commit(cycle, (1, 2)), lineage.commit(cycle)
    given_up = lineage.commit(cycle)
    request = lineage.octets("session", 8) + lineage._counter.to_bytes(8, "big")
    seq = device.batch(device.reached(first, 1, value=-0.25), Event(3, []))
    lineage.control(Kind.ABANDON, [request])
    with closing(open_source(None, write_state(tmp_path / "s", lineage))) as source:
        (told,) = confirmations_of(source, first, None)
        assert confirmations_of(source, first, 1) == [told]
        assert confirmations_of(source, first, 0) == confirmations_of(source, second, None) == []
        words = frame_words(told)
        assert words.startswith(f"boot 1 frame 0: confirmation of {first}.1-")
        assert words.endswith(", reached, angle -0.25 rad")
        assert told["entry"].startswith(f"{seq}-")
        is_open = unconfirmed_in(source)
        headers = {at: decode(entry_at(source, at).raw).header for at in (first, second, given_up, seq)}
        assert [at for at, header in headers.items() if is_open(header)] == [first, second]


def test_what_a_confirmation_stands_on(tmp_path: Path) -> None:
    """The commit and the credential of the device; a selection brings both, so that whoever gets it can judge."""
    lineage, device = bench()
    commit = lineage.commit(lineage.gated())
    seq = device.batch(device.reached(commit))
    with closing(open_source(None, write_state(tmp_path / "s", lineage))) as source:
        tree = why(source, entry_at(source, seq), None)
        (enrolled,) = (step.to for step in tree.nodes[seq, False].steps if step.link.relation == DEVICE)
        assert tree.holds
        assert enrolled is not None
        assert {commit, enrolled[0]} <= set(needed_by(source, Span(seq, seq)))


def test_frames_in_words() -> None:
    """Each type on a line; what is withheld or no frame is nothing."""
    frames = chain(
        CommitRequest(4, 0, [(2, 0.5), (70, 3)], 200, None), Event(1, [(3, 0.25)]), Fault(2, -5), Dropped(9, 2000, 2500)
    )
    assert [frame_words(one) for one in frames_told({"frames": frames})] == [
        "boot 1 frame 0: commit_request angle 0.5 rad, quantity_70 3 none",
        "boot 1 frame 1: event velocity 0.25 m/s, event emergency_stop",
        "boot 1 frame 2: fault fault 2, detail -5",
        "boot 1 frame 3: dropped frames 9",
    ]
    assert frames_told({"frames": [b"\x01"]}) == frames_told({"frames": 7}) == frames_told({}) == []
