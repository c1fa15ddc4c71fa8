"""The connections: accepted within limits, found by their sockets, dropped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from recorder.config import Controller
from recorder.daemon.connection import Connection
from recorder.daemon.peers import peer_of, permissions_of
from recorder.daemon.poller import Poller

CONNECTIONS_MAX = 256
CONNECTIONS_PER_UID_MAX = 128


class Door:
    """Everyone who is connected."""

    def __init__(
        self,
        listener: socket.socket,
        poller: Poller,
        controllers: Sequence[Controller],
        own_uid: int,
        gone: Callable[[Connection], None],
    ) -> None:
        """Open it.

        Args:
            listener: where they knock.
            poller: watches them.
            controllers: what each may do.
            own_uid: of this process.
            gone: hears of each connection that ended.

        """
        self._gone = gone
        self._listener = listener
        self._poller = poller
        self._controllers = controllers
        self._own_uid = own_uid
        self._connections: dict[int, Connection] = {}
        poller.watch(listener.fileno())

    def close(self) -> None:
        """Take no one else."""
        self._listener.close()

    def find(self, fd: int) -> Connection | None:
        """Who speaks on this descriptor; None of the listener's own, where somebody knocks."""
        return self._connections.get(fd)

    def all(self) -> list[Connection]:
        """Everyone, in a list that may outlive them."""
        return list(self._connections.values())

    def accept(self) -> None:
        """Let in who waits; who is one too many is hung up on."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the peer has gone, or this process is out of descriptors: others must go on
                return
            peer, groups = peer_of(sock)
            mine = sum(other.peer.uid == peer.uid for other in self._connections.values())
            if len(self._connections) >= CONNECTIONS_MAX or mine >= CONNECTIONS_PER_UID_MAX:
                sock.close()
                continue
            permissions = permissions_of(self._controllers, peer.uid, groups, self._own_uid)
            connection = Connection(sock, peer, permissions)
            self._connections[connection.fd] = connection
            self._poller.watch(connection.fd)

    def drop(self, connection: Connection) -> None:
        """Hang up; once more is no error."""
        if self._connections.pop(connection.fd, None) is not None:
            self._poller.forget(connection.fd)
            connection.close()
            self._gone(connection)

    def take_over(self, connection: Connection, session_id: bytes) -> None:
        """End an older connection of a session that is resumed: on two at once, one request could be recorded twice.

        What that one sent and nobody read was not acknowledged; who resumes sends it again.
        """
        for other in self.all():
            if other is connection or other.session is None or other.peer.uid != connection.peer.uid:
                continue
            if other.session.id == session_id:
                self.drop(other)
