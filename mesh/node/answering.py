"""Which path is answered by what, each on the thread that what it needs belongs to."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from mesh.account import Account, account_of
from mesh.exchange import OK, TEXT_TYPE, Answer, refused
from mesh.fleetlist import FleetList
from mesh.node.aside import Aside
from mesh.node.desk import WitnessDesk
from mesh.node.places import StoreFailedError
from mesh.node.rounds import Rounds
from recorder.core.errors import FormatError

Get = Callable[[re.Match[str]], Awaitable[Answer]]  # from what the pattern found in the path
Post = Callable[[bytes], Awaitable[Answer]]  # from the body, whose bound stands in `server.POSTS`


class Answering:
    """The table of paths.  A part of the process adds its own by `get` and `post` before the server listens."""

    def __init__(self, fail: Callable[[StoreFailedError], None]) -> None:
        """Make an empty one.

        Args:
            fail: told of what could not be made durable, and therefore not answered.

        """
        self._gets: list[tuple[re.Pattern[str], Get]] = []
        self._posts: dict[str, Post] = {}
        self._fail = fail

    def get(self, pattern: str, answer: Get) -> None:
        """Answer GET of whatever path the whole pattern matches, unless one added before does."""
        self._gets.append((re.compile(pattern), answer))

    def post(self, path: str, answer: Post) -> None:
        """Answer POST of a path."""
        self._posts[path] = answer

    async def respond(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request; a `server.Respond`."""
        try:
            if method == "POST" and path in self._posts:
                return await self._posts[path](body)
            for pattern, answer in self._gets if method == "GET" else ():
                if (found := pattern.fullmatch(path)) is not None:
                    return await answer(found)
        except StoreFailedError as error:
            self._fail(error)
            return refused(
                503, FormatError("witness_failed", "it could not be made durable here, so it is not answered")
            )
        except OSError:  # of an archive; said by `Archives`
            return refused(503, FormatError("witness_failed", "the disk here does not answer"))
        return refused(404, FormatError("path_unknown", f"no {method} {path[:200]!r} here"))


def add_witness(table: Answering, desk: WitnessDesk, aside: Aside, fleet: FleetList) -> None:
    """What the witness answers; `aside` is its thread."""
    table.post("/add-checkpoint", lambda body: aside(desk.add_checkpoint, body))
    table.post("/add-incarnation", lambda body: aside(desk.add_incarnation, body))
    table.get("/held", lambda _: aside(desk.held))
    table.get("/(?P<digest>[0-9a-f]{64})/checkpoint", lambda found: aside(desk.monitored, found["digest"]))

    async def listed(_: re.Match[str]) -> Answer:
        return Answer(OK, TEXT_TYPE, fleet.note)

    table.get("/fleet", listed)


def add_platforms(
    table: Answering,
    rounds: Rounds,
    desk: WitnessDesk,
    aside: Aside,
    fleet: FleetList,
    archived: Callable[[str], Awaitable[Account]],
) -> None:
    """What is held here of a platform, of our own too; `archived`: of it in archives."""

    async def account(found: re.Match[str]) -> Answer:
        platform = found["platform"]
        if platform not in (log.name for log in fleet.trust.logs):
            return refused(
                404, FormatError("platform_unknown", f"no platform {platform[:200]!r} in the fleet list here")
            )
        parts = [await aside(desk.account, platform), await archived(platform)]
        ours = rounds.head
        if ours is not None and ours.head.origin.rpartition("/")[0] == platform:
            # Both: of a log that forked, witnesses would sign the one and not the other.
            notes = [ours.note] if rounds.note is None else [rounds.note, ours.note]
            parts.insert(0, Account(platform, {ours.head.origin: ours.head.size}, [], notes))
        return Answer(OK, TEXT_TYPE, account_of(platform, *parts).encode())

    table.get("/platform/(?P<platform>[^/]+/[^/]+)", account)
