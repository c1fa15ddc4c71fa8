"""What the C client's openings and aborts say, read by a scripted recorder that answers what it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from recorder.core import cbor
from recorder.core.messages import Verb
from recorder.core.protocol import decode_request
from tests.c.building import Program, needs_gcc
from tests.client.peer import Peer

pytestmark = needs_gcc


@pytest.fixture
def peer() -> Iterator[Peer]:
    with TemporaryDirectory(prefix="lin") as directory:
        served = Peer(Path(directory) / "recorder.sock")
        served.ledger.entries.append(served)  # a cycle's carrier is never 0
        yield served
        served.stop()


def test_stages_of_a_contemplated_act_and_an_abort(driver: Path, peer: Peer) -> None:
    """Elements stand where the recorder looks for them; a why that nobody gave says that nobody decided yet."""
    with Program(driver, peer.path, "script") as script:
        for stage in ("tentative", "witnessed", "executed"):
            assert script.do(f"stage {stage} 60000").startswith("stage ok"), stage
        assert script.do("abort objection 9").startswith("abort ok")
        assert script.do("flush - 60000").startswith("flush ok")
        assert script.do("stage aborted 60000").startswith("stage misuse")
        script.end()
    peer.ledger.entries.pop(0)
    openings = peer.ledger.of(Verb.OPEN_CYCLE)
    assert [(one.stage, one.predecessor, one.grant) for one in openings] == [
        (1, None, None),
        (2, 1, None),
        (3, 2, b"signed"),
    ]
    for opening in openings:
        assert opening.why == {"evaluator": None, "clauses": None, "inputs": [], "alternatives": []}
        what, where = opening.act
        assert (what["magnitude"], where) == (0.5, {"frame": "base"})
    (event,) = peer.ledger.of(Verb.EVENT)
    assert (event.predecessor, event.actuators, event.action_class) == (3, ["arm"], "motion")
    assert (event.who, event.why, event.at_mono_ns) == (
        {"operator": "ann", "delegation": None}, {"reason": "objection"}, 9,
    )  # fmt: skip


def test_openings_and_events_without_any_of_it_are_as_short_as_ever(
    driver: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that does not know the trailing elements reads them."""
    sizes: dict[int, int] = {}

    def noted(message: bytes) -> object:
        sizes[message[1]] = len(cbor.load(message))
        return decode_request(message)

    monkeypatch.setattr("tests.client.peer.decode_request", noted)
    monkeypatch.setattr("tests.client.peer.ACTUATORS", ("arm", "arm.joint1"))
    with Program(driver, peer.path, "script") as script:
        assert script.do("open motion 60000").startswith("open ok")
        script.do("lane arm 16")
        script.do("event curtain 1")
        assert script.do("flush - 60000").startswith("flush ok")
        script.end()
    assert (sizes[Verb.OPEN_CYCLE], sizes[Verb.EVENT]) == (10, 9)
