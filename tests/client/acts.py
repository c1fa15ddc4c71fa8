"""Cycles and commits of a client under test, told apart by their magnitude."""

from __future__ import annotations

from typing import Any

from recorder.client import Cycle, Recorder
from recorder.core.messages import Verb
from tests.claims import WHAT, WHO, WHY
from tests.client.peer import Peer


def open_cycle(rec: Recorder, *classes: str, **more: Any) -> Cycle:
    return rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=list(classes or ("motion",)), **more)


def numbers(peer: Peer, verb: Verb = Verb.COMMIT) -> list[Any]:
    return [request.what["magnitude"] for request in peer.ledger.of(verb)]


def act(number: float) -> dict[str, Any]:
    return {**WHAT, "magnitude": number}
