"""What the mesh tells of witnesses: who may be asked, for as long as its connection is there."""

from __future__ import annotations

from recorder.core.messages import Status, Witnesses
from recorder.daemon.connection import Connection
from recorder.writer.asking import NOBODY, Known
from recorder.writer.context import Context, failed
from recorder.writer.session import Answer


class Witnessing:
    """One mesh at a time: the last one that spoke."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mesh: Connection | None = None

    def tell(self, connection: Connection, told: Witnesses) -> Answer:
        """Take who may be asked from now on."""
        if not connection.permissions.mesh:
            return failed("not_permitted", f"uid {connection.peer.uid} is not the mesh: no [[controller]] says so")
        self._mesh = connection
        self._context.witnesses = Known(tuple(told.candidates), told.own)
        return Answer(Status.OK, len(told.candidates))

    def gone(self, connection: Connection) -> None:
        """A connection has ended: whom it named nobody would ask now."""
        if connection is self._mesh:
            self._mesh = None
            self._context.witnesses = NOBODY
