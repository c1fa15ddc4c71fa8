"""One connection: messages in, replies out, never blocking."""

from __future__ import annotations

import socket
from collections import deque

from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.writer.session import Peer, Permissions, Session

REPLIES_MAX = 512  # unsent replies; whoever does not read them is cut off
MISTAKES_MAX = 16  # malformed messages before the connection is closed
_SEND_BUFFER_BYTES = 512 * 1024

_buffer = bytearray(REQUEST_MAX_BYTES + 1)
_view = memoryview(_buffer)


class Connection:
    """A socket with its peer and, after hello, its session."""

    def __init__(self, sock: socket.socket, peer: Peer, permissions: Permissions) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.permissions = permissions
        self.session: Session | None = None
        self.mistakes = 0
        self.subscribed = False
        self.pushes_dropped = 0
        self.closed = False
        self._unsent: deque[bytes] = deque()

    def receive(self) -> bytes | None:
        """One message; None where none waits.  b"" is the end of the connection.

        A message over the limit is returned cut, one byte longer than the limit: SEQPACKET drops the rest of it.
        """
        try:
            length = self.sock.recv_into(_buffer)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""
        return bytes(_view[:length])

    def send(self, message: bytes) -> bool:
        """Send now or later; returns whether the peer keeps up."""
        if self._unsent:
            if len(self._unsent) >= REPLIES_MAX:
                return False
            self._unsent.append(message)
            return True
        return self._try(message)

    def push(self, message: bytes) -> None:
        """Send now or never."""
        if self._unsent:
            self.pushes_dropped += 1
            return
        try:
            self.sock.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            self.pushes_dropped += 1

    @property
    def wants_to_send(self) -> bool:
        """Whether replies wait for room."""
        return bool(self._unsent)

    def flush(self) -> bool:
        """Send what waits; returns whether the peer is still there."""
        while self._unsent:
            message = self._unsent.popleft()
            waiting = len(self._unsent)
            if not self._try(message):
                return False
            if len(self._unsent) > waiting:  # no room yet: it went to the end, and belongs in front
                self._unsent.rotate(1)
                return True
        return True

    def _try(self, message: bytes) -> bool:
        try:
            self.sock.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            self._unsent.append(message)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            self.closed = True
            self.sock.close()
