"""Requests whose answers take their time, and leave beside the transactions: who may ask, and where each begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder.core.messages import Verb
from recorder.daemon.connection import Connection
from recorder.daemon.peerheads import PeerHeads
from recorder.daemon.reads import Reads
from recorder.daemon.seals import Seals
from recorder.daemon.witnessing import Witnessing
from recorder.writer.context import failed
from recorder.writer.session import Answer

READING = frozenset({Verb.READ, Verb.SEAL, Verb.CHECKPOINT, Verb.SUBSCRIBE})
_NOT_THE_MESH = (
    "uid {uid} is not the mesh: recorder.toml needs a "
    '[[controller]] with uids = [{uid}], append = ["evidence", "observation"], read = true, mesh = true'
)
TELLING = frozenset({Verb.WITNESSES, Verb.HEADS})  # what only the mesh may say
ASIDE = READING | TELLING | {Verb.WITNESSED}  # all that `Aside.begin` begins or refuses

_NOT_THE_MESH = (
    "uid {uid} is not the mesh: recorder.toml needs a "
    '[[controller]] with uids = [{uid}], append = ["evidence", "observation"], read = true, mesh = true'
)

Send = Callable[[Connection, int, Answer], None]


class Aside:
    """What else the recorder answers than what it records."""

    def __init__(self, reads: Reads, seals: Seals, peer_heads: PeerHeads, witnessing: Witnessing, send: Send) -> None:
        self._reads = reads
        self._seals = seals
        self._peer_heads = peer_heads
        self._witnessing = witnessing
        self._send = send

    def begin(self, connection: Connection, request: Any) -> bool:  # noqa: ANN401 -- one of REQUESTS
        """Refuse what the peer may not ask for, and begin what takes its time; returns whether that is all."""
        verb = request.verb
        if verb in READING and not connection.permissions.read:
            refusal = failed("not_permitted", f"uid {connection.peer.uid} may not read")
            self._send(connection, request.counter, refusal)
        elif verb in TELLING and not connection.permissions.mesh:
            refusal = failed("not_permitted", _NOT_THE_MESH.format(uid=connection.peer.uid))
            self._send(connection, request.counter, refusal)
        elif verb == Verb.READ:
            self._reads.add(connection, request)
        elif verb == Verb.SEAL:
            self._seals.add(connection, request.counter)
        elif verb == Verb.HEADS:
            self._peer_heads.add(connection, request, self._send)
        elif verb == Verb.WITNESSED:
            self._witnessing.report(connection, request)
        else:
            return False
        return True
