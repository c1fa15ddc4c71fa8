"""HTTP: which path is whose, and what a peer may take of this process.

One request a connection, and a connection ends `request_s` after it began, whatever it was doing: so a slow client
costs a descriptor for that long and nothing else, and keeps nobody waiting beyond its own address's share. Many
addresses together keep nobody out either (`Doors`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mesh.exchange import (
    REQUEST_MAX_BYTES,
    RETRY_AFTER,
    VERSION,
    VERSION_HEADER,
    Answer,
    refused,
    version_fault,
)
from mesh.node.config import Limits, address
from mesh.node.places import NoAddressError
from mesh.succession import SUCCESSION_MAX_BYTES
from recorder.core.errors import FormatError
from recorder.core.forks import FORK_MAX_BYTES

POSTS = {  # bodies, in bytes
    "/add-checkpoint": REQUEST_MAX_BYTES,
    "/add-incarnation": SUCCESSION_MAX_BYTES,
    "/forks": FORK_MAX_BYTES,
}
GETS_TOO = {"/forks"}
LINGER_S = 1.0  # for what a client still sends after it was refused, so that it can read why
STOP_S = 2.0
_TURNS = 4  # of the event loop, in which a connection that was accepted is made; asyncio leaves it open otherwise
VERSIONS_MAX = 16
FAULTS_MAX = 16

_CLIENTS = (HttpProcessingError, ConnectionError)

Respond = Callable[[str, str, bytes], Awaitable[Answer]]  # method, path, body


class Doors:
    """Who is connected, by address.

    In a full house one goes for each that comes: one that waits for its client, who has not sent all of the request, or
    not taken all of the answer; of the address that has most of them the oldest. To turn newcomers away instead would
    let whoever has addresses and patience keep all peers out.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open: Counter[str] = Counter()
        self.turned_away = 0
        self.malformed = 0  # no HTTP, or cut short
        self._faults: set[str] = set()
        self._inside: dict[_Connection, str] = {}  # in the order in which they came

    def enter(self, one: _Connection, peer: str) -> bool:
        """Take a connection in; whether there is room for it."""
        has_room = self.open[peer] < self.limits.per_address
        if has_room and len(self._inside) >= self.limits.connections:
            has_room = self._make_room()
        if not has_room:
            self.turned_away += 1
            return False
        self.open[peer] += 1
        self._inside[one] = peer
        return True

    def leave(self, one: _Connection) -> None:
        """Forget a connection that ended, or never came in."""
        peer = self._inside.pop(one, None)
        if peer is None:
            return
        self.open[peer] -= 1
        if not self.open[peer]:
            del self.open[peer]

    def is_new_fault(self, fault: object) -> bool:
        """Whether a fault of ours was not told yet; so many are told and no more."""
        told = repr(type(fault))
        if told in self._faults or len(self._faults) >= FAULTS_MAX:
            return False
        self._faults.add(told)
        return True

    def _make_room(self) -> bool:
        waiting = [one for one in self._inside if not one.is_read]
        if not waiting:
            return False
        # max() takes the first of equals, which is the oldest.
        oldest = max(waiting, key=lambda one: self.open[self._inside[one]])
        self.turned_away += 1
        self.leave(oldest)
        oldest.cut()
        return True


class Versions:
    """Who speaks another version of the mesh protocol, by address: the latest few."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def note(self, peer: str, fault: FormatError) -> None:
        """Keep one; a flood drives out others of the same kind and nothing else."""
        self.seen.pop(peer, None)
        self.seen[peer] = fault.detail
        if len(self.seen) > VERSIONS_MAX:
            self.seen.pop(next(iter(self.seen)))


class _Connection(web.RequestHandler):
    """A connection that is counted, and that ends in time."""

    __slots__ = ("_doors", "_end", "_wire", "is_read")

    def __init__(self, doors: Doors, server: web.Server, **settings: Any) -> None:  # noqa: ANN401 -- aiohttp's
        super().__init__(server, **settings)
        self.is_read = False  # the whole request is here and not answered yet: it is we who take the time
        self._doors = doors
        self._wire: asyncio.Transport | None = None
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream's"
        self._wire = transport
        name = transport.get_extra_info("peername")
        has_room = self._doors.enter(self, str(name[0]) if name else "")
        super().connection_made(transport)
        if not has_room:
            transport.abort()
            return
        self._end = asyncio.get_running_loop().call_later(self._doors.limits.request_s, transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._end is not None:
            self._end.cancel()
        self._doors.leave(self)
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401 -- aiohttp's
        """Tell of a fault of ours, once; what is no HTTP, or ends in the middle, is a client's to choose.

        aiohttp would write a traceback for each of these: whoever reaches the port could fill the disk with them.
        """
        fault = kw.get("exc_info")
        if isinstance(fault, _CLIENTS):
            self._doors.malformed += 1
        elif self._doors.is_new_fault(fault):
            super().log_exception(*args, **kw)

    def cut(self) -> None:
        """End it now."""
        assert self._wire is not None
        self._wire.abort()


class HttpServer:
    """Listens, bounds what is asked, and hands each request to `respond`."""

    def __init__(self, limits: Limits, respond: Respond) -> None:
        """Make it inside the event loop.

        Args:
            limits: of connections and time.
            respond: answers a request whose size is within bounds.

        """
        self.doors = Doors(limits)
        self.versions = Versions()
        self._respond = respond
        self._server = web.Server(self._handle)
        self._listeners: list[asyncio.Server] = []

    async def listen(self, addresses: Sequence[str]) -> None:
        """Listen on each.

        Raises:
            NoAddressError: one cannot be listened on.

        """
        for text in addresses:
            host, port = address(text)
            try:
                listener = await asyncio.get_running_loop().create_server(self._connection, host, port)
            except OSError as error:
                what = f"cannot listen on {text}: {error.strerror or error}"
                raise NoAddressError(f"{what}; `ss -ltnp` shows who has it, [witness] listen names another") from error
            self._listeners.append(listener)

    async def close(self) -> None:
        """Take no more connections, and end those that are open."""
        for listener in self._listeners:
            for one in listener.sockets:
                asyncio.get_running_loop().remove_reader(one.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        await self._server.shutdown(STOP_S)

    def _connection(self) -> _Connection:
        return _Connection(
            self.doors,
            self._server,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,
            lingering_time=LINGER_S,
            keepalive_timeout=0,
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answer(request)
        response = web.Response(status=answer.status, body=answer.body, headers=_headers(answer))
        response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> Answer:
        if (other := version_fault(request.headers.get(VERSION_HEADER))) is not None:
            self.versions.note(request.remote or "", other)
            return refused(400, other)
        method, path = request.method, request.path
        most = POSTS.get(path) if method == "POST" else None
        is_taken = most is not None if method == "POST" else method == "GET" and (path not in POSTS or path in GETS_TOO)
        if not is_taken:
            return refused(404, FormatError("path_unknown", f"no {method} {path[:200]!r} here"))
        body = b""
        if most is not None:
            taken = await _body(request, most)
            if taken is None:
                return refused(413, FormatError("body_too_large", f"at most {most} bytes are taken here"))
            body = taken
        assert isinstance(request.protocol, _Connection), "ours"
        request.protocol.is_read = True
        answer = await self._respond(method, path, body)
        request.protocol.is_read = False  # now it is the client again who takes the time
        return answer


def _headers(answer: Answer) -> dict[str, str]:
    # Which release of this program it is is nobody's business.
    headers = {"Content-Type": answer.content_type, "Server": "lineage", VERSION_HEADER: VERSION}
    return headers if answer.retry_after_s is None else {**headers, RETRY_AFTER: str(answer.retry_after_s)}


async def _body(request: web.BaseRequest, most: int) -> bytes | None:
    """The body; None as soon as it is known to be too long."""
    if (request.content_length or 0) > most:
        return None
    taken = bytearray()
    async for part in request.content.iter_any():
        taken += part
        if len(taken) > most:
            return None
    return bytes(taken)
