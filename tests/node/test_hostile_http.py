"""Whoever answers our requests, or sends us some, may be anyone: neither side is held up, filled, or thrown over by bytes."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.exchange import ANSWER_MAX_BYTES, OK, TEXT_TYPE, Answer
from mesh.node.config import Limits
from mesh.node.post import Post, Unreachable
from mesh.node.server import HttpServer
from tests.node.test_server import answering, free_port, head, raw, served

REQUEST_S = 0.2
PIECE = 65_536
# Of what one answer may take while it is read: 64 KiB, and what the kernel hands over at once, two times 256 KiB, which the
# shortest interim answers make thirty times as much.
MEMORY_MAX = 16 << 20
OK_HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Speak = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def asked(speak: Speak, request_s: float = REQUEST_S) -> Answer | str:
    """What `Post` makes of a peer that answers so: an answer, or why there is none.  Nothing else may come out."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                await speak(writer)
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    post = Post(request_s)
    try:
        return await post.get(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/held")
    except Unreachable as error:
        return str(error)
    finally:
        await post.close()
        listener.close()
        for one in serving:
            one.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for _ in range(3):  # turns in which what was closed goes
            await asyncio.sleep(0)


def pieces(*several: bytes) -> Speak:
    """Send these, each by itself."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        for one in several:
            writer.write(one)
            await writer.drain()
            for _ in range(4):  # turns in which the other side reads it
                await asyncio.sleep(0)

    return speak


def endless(start: bytes, piece: bytes) -> Speak:
    """Send this, and then that for ever."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        for one in repeat(piece):
            writer.write(one)
            await writer.drain()

    return speak


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (OK_HEAD + b"\r\n", bytes(PIECE)),
        (OK_HEAD + b"Content-Length: 9223372036854775807\r\n\r\n", bytes(PIECE)),
        (CHUNKED, b"10000\r\n" + bytes(PIECE) + b"\r\n"),
        (CHUNKED, b"1\r\nx\r\n" * 1_000),
        (CHUNKED + b"1;", b"extension" * 1_000),
        (CHUNKED + b"0\r\n", b"Trailer: 1\r\n" * 1_000),
        (OK_HEAD, b"Header: 1\r\n" * 1_000),
        (OK_HEAD, b"Set-Cookie: a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n" * 100),
        (OK_HEAD + b"Header: ", b"x" * PIECE),
        (b"HTTP/1.1 200 ", b"x" * PIECE),
        (b"", b"HTTP/1.1 100 Continue\r\nHeader: 1\r\n\r\n" * 100),
        (b"", b"\r\n" * 10_000),
        (b"", bytes(PIECE)),
    ],
    ids=lambda one: repr(one[:24]),
)
def test_what_never_ends_is_cut_off(start: bytes, piece: bytes) -> None:
    """By its size, else by its time; little of it is in memory, however fast it comes."""
    tracemalloc.start()
    try:
        said = asyncio.run(asked(endless(start, piece)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(said, str), said
    assert most < MEMORY_MAX, f"{most:,} bytes"


MALFORMED = [
    OK_HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    OK_HEAD + b"Content-Length: -5\r\n\r\nhello",
    OK_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\nzz\r\n",
    CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n",
    CHUNKED + b"fffffffffffffffff\r\nhello\r\n",
    CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\r\nhel",
    OK_HEAD + b"Header\r\n\r\n",
    OK_HEAD + b"He\x00der: 1\r\n\r\n",
    OK_HEAD + b"Header: \xff\xfe\r\n\r\nhello",
    OK_HEAD + b": 1\r\n\r\n",
    OK_HEAD + b" folded: 1\r\n\r\n",
    OK_HEAD + b"Set-Cookie: \x80;;==;\r\nSet-Cookie: a\r\n\r\nhello",
    OK_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    OK_HEAD + b"Content-Encoding: br\r\n\r\nhello",
    OK_HEAD + b"Content-Type: \r\n\r\nhello",
    OK_HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nhello",
    OK_HEAD + b"Lineage-Mesh: \xff\r\n\r\nhello",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
    b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest \xff\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 999 ?\r\n\r\nhello",
    b"HTTP/1.1 0 ?\r\n\r\nhello",
    b"HTTP/1.1 99999 ?\r\n\r\nhello",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\nhello",
    b"HTTP/0.9 200 OK\r\n\r\nhello",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    bytes.fromhex("000006040000000000000300000064"),  # a frame of settings, as HTTP/2 begins
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",  # TLS
    OK_HEAD + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
]


@pytest.mark.parametrize("response", MALFORMED, ids=lambda one: repr(one[:60]))
def test_what_is_no_answer_is_an_answer_or_none(response: bytes) -> None:
    """Whole, or cut in two where a line ends: whatever it is taken for, it is taken for one of the two."""

    async def every() -> None:
        cuts = [at + 2 for at in range(len(response)) if response[at : at + 2] == b"\r\n"]
        for cut in (0, *cuts, len(response) - 1):
            said = await asked(pieces(response[:cut], response[cut:]))
            assert isinstance(said, str) or len(said.body) <= ANSWER_MAX_BYTES

    asyncio.run(every())


@given(
    st.lists(st.sampled_from([*MALFORMED, CHUNKED, OK_HEAD, b"\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"]), max_size=4),
    st.binary(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_an_answer_or_none(several: list[bytes], more: bytes) -> None:
    """In any order, in pieces."""
    asyncio.run(asked(pieces(*several, more)))


def test_a_bomb_stays_packed() -> None:
    """A body that is said to be packed is what came, and nothing is made of it."""
    bomb = bytes(1_000)
    response = OK_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n" + bomb
    assert asyncio.run(asked(pieces(response), 60.0)) == Answer(200, "", bomb)


# --- What is sent to us


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def test_requests_in_a_row_get_one_answer() -> None:
    """The first is answered and the connection ends; what was sent behind it is not even looked at."""
    asked_: list[str] = []

    async def noted(method: str, path: str, body: bytes) -> Answer:
        asked_.append(path)
        return await answering(method, path, body)

    async def use() -> None:
        port = free_port()
        server = HttpServer(Limits(), noted)
        await server.listen([f"127.0.0.1:{port}"])
        said = await raw(port, b"GET /one HTTP/1.1\r\nHost: w\r\n\r\n" + b"GET /two HTTP/1.1\r\nHost: w\r\n\r\n" * 100)
        assert said.count(b"HTTP/1.1 ") == 1
        await server.close()

    asyncio.run(use())
    assert asked_ == ["/one"]


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: w\r\n\r\n",
        b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: w\r\n\r\n",
        b"GET http://elsewhere/held HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
        b"GET //elsewhere/held HTTP/1.1\r\nHost: w\r\n\r\n",
        b"GET /%00%0a%ff HTTP/1.1\r\nHost: w\r\n\r\n",
        b"GET /held HTTP/1.1\r\nHost: w\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET /held HTTP/1.1\r\nHost: w\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        head(5).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") + b"12345",
        head(5).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"5\r\n12345\r\n0\r\n\r\n",
        head(5).replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n") + b"123456",
        head(0).replace(b"Content-Length: 0", b"Content-Length: +5") + b"12345",
        head(0).replace(b"Content-Length: 0", b"Content-Length: 99999999999999999999999"),
    ],
    ids=lambda one: repr(one[:40]),
)
def test_what_is_odd_gets_one_answer_in_time(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it is; and a request after it is served."""

    async def use(port: int, server: HttpServer) -> None:
        said = await raw(port, sent)
        assert said.count(b"HTTP/1.1 ") <= 1, said
        assert b" 500 " not in said
        server.doors.limits = Limits()  # whoever says it all has time, however busy the machine is
        assert b" 200 " in await raw(port, head(0))
        assert server.doors.open.total() <= 1

    served(use, Limits(request_s=5.0))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /held HTTP/1.1\r\nHost: w\r\n", b"Header: 1\r\n" * 1_000),
        (b"GET /held HTTP/1.1\r\nHost: w\r\nHeader: ", b"x" * PIECE),
        (b"GET /", b"x" * PIECE),
        (b"", b"\r\n" * 10_000),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"1;", b"extension" * 1_000),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 1_000),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\n", b"Trailer: 1\r\n" * 1_000),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"), b"10000\r\n" + bytes(PIECE) + b"\r\n"),
        (head(1 << 40), bytes(PIECE)),
        (b"GET /held HTTP/1.1\r\nHost: w\r\n\r\n", b"GET /held HTTP/1.1\r\nHost: w\r\n\r\n" * 1_000),
    ],
    ids=lambda one: repr(one[:40]),
)
def test_a_request_that_never_ends_is_cut_off(start: bytes, piece: bytes) -> None:
    """And takes little memory until then, also while an answer is being made."""

    async def slow(method: str, path: str, body: bytes) -> Answer:
        await asyncio.sleep(REQUEST_S / 2)
        return Answer(OK, TEXT_TYPE, b"")

    async def use() -> int:
        port = free_port()
        server = HttpServer(Limits(request_s=REQUEST_S), slow)
        await server.listen([f"127.0.0.1:{port}"])
        tracemalloc.start()
        with suppress(ConnectionError):
            async with connected(port) as (_, writer):
                writer.write(start)
                for one in repeat(piece):
                    writer.write(one)
                    await writer.drain()
                    await asyncio.sleep(0)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await server.close()
        return most

    most = asyncio.run(use())
    assert most < MEMORY_MAX, f"{most:,} bytes"
