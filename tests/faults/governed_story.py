"""A life under a signed policy as bytes on the socket: each answer is noted as it comes, and a hang-up is no surprise."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from recorder.core.credential import Credential
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.daemon.boot import os_boot_id
from tests import fleet
from tests.daemon.raw import Raw
from tests.faults import governed
from tests.faults.clients import HungUp, receive
from tests.faults.injected import Story
from tests.faults.replay import Promised

VALID_MS = 3_600_000


def story(held: governed.Authority) -> Story:
    """Installations, use, a roll, a newer policy, a revocation: for a state whose authority is given."""

    def told(socket: Path, promised: Promised) -> bool:
        with suppress(ConnectionError, FileNotFoundError, HungUp):
            with Raw(socket, hello=False) as raw:
                one = _One(raw, promised, held)
                one.append(Kind.CREDENTIAL, matrix=governed.recognising())
                for credential in held:
                    one.append(Kind.CREDENTIAL, credential=credential.signed.raw)
                one.append(Kind.POLICY, bundle=governed.policy(1))  # which ends the connection
            with Raw(socket, hello=False) as raw:
                one = _One(raw, promised, held)
                one.open(held.bounded, granting=True)
                cycle = one.open(held.bounded)
                one.commit(cycle)
                one.exchange(Verb.SEAL)  # which may fail while it records
                one.commit(cycle)
                one.append(Kind.POLICY, bundle=governed.policy(2))
            with Raw(socket, hello=False) as raw:
                one = _One(raw, promised, held)
                one.commit(one.open(held.lost))
                one.append(Kind.CREDENTIAL, revocation=governed.revoking(held.lost))
                one.commit(cycle)
                one.exchange(Verb.CHECKPOINT)
            return True
        return False

    return told


class _One:
    """One connection."""

    def __init__(self, raw: Raw, promised: Promised, held: governed.Authority) -> None:
        self._raw, self._promised, self._held = raw, promised, held
        raw.send([int(Verb.HELLO), 0, 1, None, "faults"])
        _, self._hello = receive(raw, promised)

    def exchange(self, verb: Verb, *arguments: Any) -> tuple[Status, Any]:
        """A request and its answer, whatever that is."""
        self._raw.counter += 1
        self._raw.send([int(verb), self._raw.counter, *arguments])
        return receive(self._raw, self._promised)

    def ask(self, verb: Verb, *arguments: Any) -> Any:
        """A request that is granted."""
        status, body = self.exchange(verb, *arguments)
        assert status == Status.OK, f"{verb.name}: {body}"
        return body

    def append(self, kind: Kind, **body: bytes) -> None:
        """Install what one claim holds."""
        (signed,) = body.values()
        self.ask(Verb.APPEND, int(kind), body, [sha256(signed).digest()], None)

    def open(self, under: Credential, *, granting: bool = False) -> Any:
        """A gated cycle, by an evaluator's grant or by the policy; what `Opened` holds."""
        who = {"operator": "ann", "delegation": under.hash}
        raw = governed.granting(self._hello["origin"], self._held, os_boot_id()) if granting else None
        bounds = (["arm"], ["motion"], 5, VALID_MS, None, None)
        return self.ask(Verb.OPEN_CYCLE, who, {"inputs": governed.FORCE}, *bounds, [fleet.WHAT, {}], raw)

    def commit(self, cycle: Any) -> None:
        """One commit, with what `Opened` holds."""
        self.ask(Verb.COMMIT, cycle[0], None, cycle[5]["arm"], fleet.WHAT, {}, 5, None)
