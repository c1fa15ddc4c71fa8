"""Control transitions through a running recorder: recorded whole, refused where a claim lacks."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.audit.describe import line
from recorder.audit.source import Held
from recorder.client import Recorder
from recorder.core import cbor
from recorder.core.claims import disclosed
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from tests.daemon.raw import Raw
from tests.running import Running, records_of, verified

WHOLE: dict[str, Any] = {"asked": "ann", "in_control": None, "means": "dead-man switch"}


def test_who_is_in_control_is_recorded(running: Running) -> None:
    """Nobody and nothing are said, a reason only where there is one; the line of the log says it in words."""
    with Recorder(running.socket, timeout_ms=60_000) as rec:
        first = rec.control_transition(asked="ann", in_control="ann", means="hand on the arm", reason="it was slow")
        second = rec.control_transition(asked="planner", in_control=None, means=None)
    assert running.stop() == 0
    records = records_of(running.state)
    said = []
    for receipt in (first, second):
        assert receipt.seq is not None
        raw, held = records[receipt.seq]
        assert receipt.entry_id == f"{receipt.seq}-{decode(raw).hash.hex()[:8]}"
        assert decode(raw).header.kind == Kind.CONTROL_TRANSITION
        said.append(disclosed("body", cbor.decode(held or b"")[11]))
        gist = line(Held(receipt.seq, raw, held or b""), {})[3]
        assert (
            gist
            == [
                "ann in control, ann was asked, by hand on the arm  reason it was slow",
                "nobody in control, planner was asked, no means known",
            ][receipt is second]
        )
    assert said == [
        {"asked": "ann", "in_control": "ann", "means": "hand on the arm", "reason": "it was slow"},
        {"asked": "planner", "in_control": None, "means": None},
    ]
    assert verified(running.state).integrity == "pass"


@pytest.mark.parametrize("lacking", [None, *WHOLE])
@pytest.mark.parametrize("is_whole", [False, True])
def test_what_lacks_a_claim_is_refused(running: Running, lacking: str | None, is_whole: bool) -> None:
    """It is named, under the key "*" too, and no entry comes of it."""
    body = {key: value for key, value in WHOLE.items() if key != lacking}
    with Raw(running.socket) as raw:
        asked = {"*": body} if is_whole else body
        status, answer = raw.ask(Verb.APPEND, int(Kind.CONTROL_TRANSITION), asked, None, None)
        if lacking is None:
            assert status == Status.OK
        else:
            assert (status, answer) == (Status.ERROR, ["claim_missing", f"body.{lacking}"])
    assert running.stop() == 0
    kinds = [decode(one).header.kind for one, _ in records_of(running.state)]
    assert kinds.count(Kind.CONTROL_TRANSITION) == (lacking is None)
    assert verified(running.state).integrity == "pass"
