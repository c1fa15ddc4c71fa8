"""A witness with several addresses, at some of which another answers or nobody; and one that refuses."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from mesh.exchange import Answer, refused
from mesh.node.config import Discovery, Limits, Submit
from mesh.node.ownlog import OwnLog
from mesh.node.peering import present_of
from mesh.node.post import Post
from mesh.node.rounds import Rounds
from mesh.node.server import HttpServer
from mesh.node.submitting import Submission, Witness, cosignature_by
from mesh.node.unkept import Unkept
from mesh.standing import Standing
from mesh.submission import Attempt, request_for
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from tests.mesh.fleet import FLEET, WITNESSES, Leaves, head_of, note_of
from tests.mesh.witnessing import LEAVES, Memory
from tests.mesh.witnessing import ask as cosigned
from tests.node.test_server import free_port

Respond = Callable[[str, str, bytes], Awaitable[Answer]]


class Proofs:
    """Of a log in memory."""

    def __init__(self, size: int) -> None:
        self._size = size

    def add_checkpoint(self, attempt: Attempt) -> bytes:
        leaves = LEAVES[: self._size]
        return request_for(attempt, head_of(leaves), note_of(leaves), Leaves(leaves))

    def add_incarnation(self, held: dict[str, int], consistency: tuple[bytes, ...] | None = None) -> bytes:
        raise FormatError("incarnation_unproved", "there is one incarnation alone")

    def wanted(self, held: dict[str, int]) -> list[tuple[int, Previous]]:
        return []


async def aside(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


async def nothing_held() -> list[tuple[str, Standing]]:
    return []


async def impostor(_method: str, _path: str, _body: bytes) -> Answer:
    """Answers, and is no witness of ours."""
    return refused(404, FormatError("origin_unknown", "never heard of it"))


def witness_over(store: Memory) -> Respond:
    """The witness itself."""

    async def respond(_method: str, _path: str, body: bytes) -> Answer:
        return cosigned(store, body, int(time.time())).answer

    return respond


async def submitted(witness: Witness, size: int) -> bool:
    """Whether it cosigned a head of so many entries."""
    post = Post(5.0)
    submission = Submission(head_of(LEAVES[:size]), Proofs(size), post, aside, lambda: 1.0)
    done = await cosignature_by(witness, submission, time.monotonic() + 20)
    await post.close()
    return done is not None


def served(story: Callable[[list[str], list[str]], Awaitable[None]], *several: Respond) -> None:
    """Run a story with the URLs of servers that answer so; and where each request went, by their numbers."""

    async def run() -> None:
        async with AsyncExitStack() as undo:
            urls, asked = [], list[str]()
            for at, respond in enumerate(several):

                async def noted(
                    method: str, path: str, body: bytes, at: int = at, respond: Respond = respond
                ) -> Answer:
                    asked.append(f"{at}{path}")
                    return await respond(method, path, body)

                port = free_port()
                server = HttpServer(Limits(), noted)
                await server.listen([f"127.0.0.1:{port}"])
                undo.push_async_callback(server.close)
                urls.append(f"http://127.0.0.1:{port}")
            await story(urls, asked)

    asyncio.run(run())


def test_who_answers_for_a_witness_and_is_none_is_left_for_the_next_address() -> None:
    """The next time; and where it cosigned it is asked from then on."""

    async def story(urls: list[str], asked: list[str]) -> None:
        witness = Witness("arm-8", WITNESSES["arm-8"], urls)
        assert not await submitted(witness, 7)
        assert (witness.refuses, witness.last.partition(":")[0]) == (True, "refused")
        assert await submitted(witness, 7)
        assert (witness.refuses, witness.last) == (False, "cosigned 7 entries")
        assert await submitted(witness, 9)
        assert asked == ["0/add-checkpoint", "1/add-checkpoint", "1/add-checkpoint"]

    served(story, impostor, witness_over(Memory()))


def test_who_refuses_is_not_named_to_the_recorder(tmp_path: Path) -> None:
    """A commit that chose it would wait in vain; as soon as it cosigns again it is named again."""

    async def named() -> None:
        log = OwnLog(tmp_path / "no-recorder.sock", tmp_path, FLEET, print, Unkept(print))
        rounds = Rounds(log, FLEET, None, present_of(FLEET, Discovery(), None), nothing_held, Submit(), print)
        everyone = {one.name for one in rounds.named()[0]}
        assert everyone == {one.key.name for one in rounds.witnesses}
        first = rounds.witnesses[0]
        for refuses in (True, False):
            first.refuses = refuses
            assert everyone - {one.name for one in rounds.named()[0]} == ({first.key.name} if refuses else set())
        await rounds.close()

    asyncio.run(named())


def test_an_address_where_nobody_answers_costs_one_round() -> None:
    """Within the same one the next is tried, and the rounds after begin there."""

    async def story(urls: list[str], asked: list[str]) -> None:
        with socket.socket() as unheard:  # bound, so that nobody else listens there
            unheard.bind(("127.0.0.1", 0))
            witness = Witness("arm-8", WITNESSES["arm-8"], [f"http://127.0.0.1:{unheard.getsockname()[1]}", *urls])
            for size in (7, 9, 12):
                assert await submitted(witness, size)
        assert (witness.failures, witness.refuses, len(asked)) == (0, False, 3)
        assert witness.url == urls[0]

    served(story, witness_over(Memory()))
