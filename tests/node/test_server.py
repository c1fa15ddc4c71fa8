"""What a peer may take of the process: sizes, time, connections; and which path is whose."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from mesh.exchange import OK, REQUEST_MAX_BYTES, TEXT_TYPE, Answer
from mesh.node.config import Limits
from mesh.node.places import MeshError
from mesh.node.post import Post, Unreachable, below
from mesh.node.server import HttpServer, Respond

Got = TypeVar("Got")
PATH = "add-checkpoint"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def answering(method: str, path: str, body: bytes) -> Answer:
    return Answer(OK, TEXT_TYPE, f"{method} {path} {len(body)}".encode())


def served(
    use: Callable[[int, HttpServer], Awaitable[Got]], limits: Limits | None = None, respond: Respond = answering
) -> Got:
    """Run `use` beside a server on a port of its own."""

    async def both() -> Got:
        port = free_port()
        server = HttpServer(limits or Limits(), respond)
        await server.listen([f"127.0.0.1:{port}"])
        try:
            return await use(port, server)
        finally:
            await server.close()

    return asyncio.run(both())


async def raw(port: int, sent: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def head(length: int, path: str = PATH) -> bytes:
    return f"POST /{path} HTTP/1.1\r\nHost: witness\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_request_within_bounds_is_handed_on() -> None:
    """One answer a connection, which then ends."""
    said = served(lambda port, _: raw(port, head(REQUEST_MAX_BYTES) + bytes(REQUEST_MAX_BYTES)))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(f"POST /{PATH} {REQUEST_MAX_BYTES}".encode())
    assert b"aiohttp" not in said


def test_an_oversized_body_is_refused_before_it_is_read() -> None:
    """By its stated length, and where none is stated by what came."""
    stated = served(lambda port, _: raw(port, head(REQUEST_MAX_BYTES + 1)))
    chunk = f"{REQUEST_MAX_BYTES + 1:x}\r\n".encode() + bytes(REQUEST_MAX_BYTES + 1) + b"\r\n0\r\n\r\n"
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + chunk
    for said in (stated, served(lambda port, _: raw(port, chunked))):
        assert said.startswith(b"HTTP/1.1 413 ")
        assert b"body_too_large" in said


def test_a_packed_body_is_not_unpacked() -> None:
    """What is counted is what came."""
    sent = head(20).replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + bytes(20)
    assert served(lambda port, _: raw(port, sent)).endswith(b" 20")


@pytest.mark.parametrize("sent", [b"", b"POST /add-check", head(10), head(10) + b"12345"])
def test_a_slow_client_is_cut_off(sent: bytes) -> None:
    """However far it came: nothing, a part of the head, no body, a part of the body."""
    limits = Limits(request_s=0.2)
    assert b" 200 " not in served(lambda port, _: raw(port, sent), limits)  # else it would wait without end


def test_an_address_has_its_share_of_connections_and_no_more() -> None:
    """One more than that is closed at once; when one ends, the next is served."""

    async def use(port: int, server: HttpServer) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await raw(port, head(0)) == b""
        assert server.doors.turned_away == 1
        held[0][1].close()
        await held[0][1].wait_closed()
        while server.doors.open.total() > 1:  # noqa: ASYNC110 -- the server tells nobody when it has noticed
            await asyncio.sleep(0)
        assert b" 200 " in await raw(port, head(0))
        held[1][1].close()

    served(use, Limits(per_address=2))


def from_address(last: int, port: int) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.0.{last}", 0))


def test_all_connections_together_are_bounded_and_keep_nobody_out() -> None:
    """Who comes into a full house is served; out goes the oldest request that is not here yet, of who has most of them."""

    async def use(port: int, server: HttpServer) -> None:
        held = [await from_address(last, port) for last in (2, 3, 3, 4)]
        while server.doors.open.total() < 4:  # noqa: ASYNC110 -- the server tells nobody whom it has taken in
            await asyncio.sleep(0)
        for served, gone in enumerate((1, 0), 1):
            assert b" 200 " in await raw(port, head(0))
            assert server.doors.turned_away == served
            assert await held[gone][0].read() == b""
            held.append(await from_address(5, port))
            while server.doors.open.total() < 4:  # noqa: ASYNC110 -- the same
                await asyncio.sleep(0)
        held[2][1].write(head(0))
        assert b" 200 " in await held[2][0].read(), "who was not the oldest is still served"
        for _, writer in held:
            writer.close()

    served(use, Limits(connections=4, per_address=2))


def test_a_request_that_is_here_is_answered_whoever_comes() -> None:
    """It cannot be pushed out while it waits for the disk; then who comes is turned away."""
    wait = asyncio.Event()

    async def slow(method: str, path: str, body: bytes) -> Answer:
        await wait.wait()
        return await answering(method, path, body)

    async def use() -> None:
        port = free_port()
        server = HttpServer(Limits(connections=1, per_address=4), slow)
        await server.listen([f"127.0.0.1:{port}"])
        reader, writer = await from_address(2, port)
        writer.write(head(0))
        while not any(one.is_read for one in server.doors._inside):  # noqa: ASYNC110 -- the server tells nobody
            await asyncio.sleep(0)
        assert await raw(port, head(0)) == b""
        assert server.doors.turned_away == 1
        wait.set()
        assert b" 200 " in await reader.read()
        writer.close()
        await server.close()

    asyncio.run(use())


def test_who_does_not_take_his_answer_keeps_nobody_out() -> None:
    """Its connection is as one whose request does not come."""

    async def large(_method: str, _path: str, _body: bytes) -> Answer:
        return Answer(OK, TEXT_TYPE, bytes(1 << 23))

    async def use() -> None:
        port = free_port()
        server = HttpServer(Limits(connections=2, per_address=1), large)
        await server.listen([f"127.0.0.1:{port}"])
        held = [await from_address(last, port) for last in (2, 3)]
        for _, writer in held:
            writer.write(head(0))
        for reader, _ in held:
            await reader.readexactly(1)
        assert b" 200 " in await raw(port, head(0))
        assert server.doors.turned_away == 1
        for _, writer in held:
            writer.close()
        await server.close()

    asyncio.run(use())


@pytest.mark.parametrize(
    ("sent", "request_s"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 60.0),
        (b"GET / HTTP/1.1\r\n\r\n", 60.0),
        (b"GET /\xff HTTP/1.1\r\nHost: w\r\n\r\n", 60.0),
        (b"GET / HTTP/1.1\r\nHost: w\r\n" + b"A: b\r\n" * 2_000 + b"\r\n", 60.0),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 60.0),
        (head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n", 60.0),
        (head(10) + b"12345", 0.5),  # cut off while the rest is waited for
    ],
)
def test_what_is_no_request_is_counted_and_not_logged(
    sent: bytes, request_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """A line for each would be anyone's to fill the disk with."""

    async def use(port: int, server: HttpServer) -> int:
        for _ in range(3):
            assert b" 200 " not in await raw(port, sent)
        return server.doors.malformed

    assert served(use, Limits(request_s=request_s)) == 3
    assert caplog.records == []


def test_a_fault_of_ours_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever finds the request that brings it about could send it for ever."""

    async def broken(_method: str, _path: str, _body: bytes) -> Answer:
        raise LookupError("a fault")

    async def use() -> None:
        port = free_port()
        server = HttpServer(Limits(), broken)
        await server.listen([f"127.0.0.1:{port}"])
        for _ in range(3):
            assert b" 500 " in await raw(port, head(0))
        await server.close()

    asyncio.run(use())
    assert [str(one.exc_info[1]) for one in caplog.records if one.exc_info] == ["a fault"]


@pytest.mark.parametrize(
    "line", [b"GET /add-checkpoint", b"POST /held", b"POST /", b"PUT /add-checkpoint", b"DELETE /held"]
)
def test_a_path_is_taken_by_its_own_method_only(line: bytes) -> None:
    """All else is 404, whatever the process would say."""
    sent = line + b" HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n"
    assert served(lambda port, _: raw(port, sent)).startswith(b"HTTP/1.1 404 ")


def test_a_port_that_is_taken_is_named() -> None:
    """Which address, and why."""

    async def use(port: int, _: HttpServer) -> None:
        with pytest.raises(MeshError, match=f"cannot listen on 127.0.0.1:{port}"):
            await HttpServer(Limits(), answering).listen([f"127.0.0.1:{port}"])

    served(use)


# --- The other side


@pytest.mark.parametrize("turns", range(6))
def test_who_comes_while_it_closes_is_let_go(turns: int) -> None:
    """A connection that was accepted and is not made yet when it closes stays with nobody."""

    async def use() -> bytes:
        port, server = free_port(), HttpServer(Limits(request_s=3_600.0), answering)
        await server.listen([f"127.0.0.1:{port}"])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.close()
            try:
                return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 60)
            except ConnectionError:
                return b""

    assert asyncio.run(use()) == b""


async def answered(response: bytes, *, stays: bool = False) -> Answer:
    """What `Post` makes of a witness that answers with these bytes, and then closes or stays silent."""
    finished = asyncio.Event()

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        if stays:
            await finished.wait()
        writer.close()

    listener = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    post = Post(0.5 if stays else 60.0)
    try:
        return await post.send(below(url, PATH), b"old 0\n", TEXT_TYPE)
    finally:
        finished.set()
        await post.close()
        listener.close()


def test_an_answer_is_taken_as_it_comes() -> None:
    """Status, type and body; no redirect is followed, since it is an answer like any other."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\nContent-Type: x/y\r\n\r\nno"
    assert asyncio.run(answered(moved)) == Answer(302, "x/y", b"no")


@pytest.mark.parametrize(
    ("response", "stays"),
    [
        (b"", False),
        (b"", True),
        (b"no HTTP at all\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + bytes(70000), False),
    ],
)
def test_what_is_no_whole_answer_in_bounds_is_none(response: bytes, *, stays: bool) -> None:
    """Cut short, silent, no HTTP, or too long."""
    with pytest.raises(Unreachable):
        asyncio.run(answered(response, stays=stays))


def test_nobody_there_is_said_so() -> None:
    """With the address that was asked."""

    async def ask() -> None:
        post = Post(0.5)
        try:
            await post.get(f"http://127.0.0.1:{free_port()}/held")
        finally:
            await post.close()

    with pytest.raises(Unreachable, match="/held: "):
        asyncio.run(ask())
