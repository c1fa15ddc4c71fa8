"""HTTP paths about logs: heads, tiles, hashes, proofs of the own log and of archived ones; and proofs of forks."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

from mesh.exchange import OK, TEXT_TYPE, Answer, refused
from mesh.histories import Told, encode_heads, told_of
from mesh.node import serving
from mesh.node.answering import Answering
from mesh.node.archives import Archives
from mesh.node.forkbook import ForkBook
from mesh.node.ownlog import OwnLog
from mesh.node.places import NotKeptError
from mesh.node.rounds import Rounds
from recorder.core.errors import FormatError
from recorder.core.proofs import parse_proof

UNKNOWN = 404
POSTS_A_MINUTE = 32  # proofs that are verified for whoever sends them
MINUTE_S = 60.0
# It counts here, and peers are told; but whoever brought it is not to rely on this disk.
_UNKEPT = refused(503, FormatError("forks_busy", "it could not be kept here yet"))


class LogPaths:
    """What is answered of logs."""

    def __init__(
        self,
        own: OwnLog,
        rounds: Rounds,
        archives: Archives,
        forks: ForkBook,
        cosigned: Callable[[str], Awaitable[Answer]],
    ) -> None:
        """Make it.

        Args:
            own: this platform's log.
            rounds: its heads, and its thread.
            archives: logs of peers.
            forks: proofs that are known.
            cosigned: the head of an origin that this witness last cosigned, or why there is none.

        """
        self._own = own
        self._rounds = rounds
        self._archives = archives
        self._forks = forks
        self._cosigned = cosigned
        self._verified: list[float] = []  # times of proofs that were verified, within a minute

    def add_to(self, table: Answering) -> None:
        """Add the paths."""
        table.get("/heads", self._heads)
        table.get("/log/(?P<origin>.+)/checkpoint", self._checkpoint)
        table.get("/log/(?P<origin>.+)/(?P<what>(tile|hashes|proof)/.+)", self._of_tree)
        table.get("/forks", self._list)
        table.get("/forks/(?P<name>[0-9a-f]{64})", self._fork)
        table.post("/forks", self._take_fork)

    async def _heads(self, _: re.Match[str]) -> Answer:
        told = [] if self._rounds.head is None else [told_of(self._rounds.head.note)]
        told += await self._archives.call(self._told)
        return Answer(OK, TEXT_TYPE, encode_heads(told, self._forks.names()))

    def _told(self) -> list[Told]:
        """Of all archives, those begun last first: what is over changes no more."""
        summaries = sorted(self._archives.store.summaries(), key=lambda one: -one.ordinal)
        return [one.told for one in summaries if one.told is not None]

    async def _checkpoint(self, found: re.Match[str]) -> Answer:
        origin = found["origin"]
        if self._is_ours(origin):
            if self._rounds.note is None:
                return refused(UNKNOWN, FormatError("origin_unknown", "nobody has cosigned this log yet"))
            return Answer(OK, TEXT_TYPE, self._rounds.note)
        cosigned = await self._cosigned(origin)
        if cosigned.status != UNKNOWN:
            return cosigned
        try:
            return Answer(OK, TEXT_TYPE, await self._archives.call(self._archives.store.note, origin))
        except NotKeptError:
            return cosigned

    async def _of_tree(self, found: re.Match[str]) -> Answer:
        origin, what = found["origin"], found["what"]
        if self._is_ours(origin):
            return await self._rounds.aside(lambda: serving.answer(self._own.tree(origin), what))
        return await self._archives.call(self._of_archive, origin, what)

    def _of_archive(self, origin: str, what: str) -> Answer:
        try:
            log = self._archives.store.get(origin)
        except NotKeptError as error:
            return refused(UNKNOWN, FormatError("origin_unknown", str(error)))
        return serving.answer(log, what, log.hashes)

    async def _list(self, _: re.Match[str]) -> Answer:
        return Answer(OK, TEXT_TYPE, "".join(f"{name}\n" for name in self._forks.names()).encode())

    async def _fork(self, found: re.Match[str]) -> Answer:
        text = self._forks.text(found["name"])
        if text is None:
            return refused(UNKNOWN, FormatError("fork_unknown", "no such proof is kept here"))
        return Answer(OK, TEXT_TYPE, text)

    async def _take_fork(self, body: bytes) -> Answer:
        """Take a proof from whomever; what is known, or would not be kept, costs no verification."""
        try:
            proof = parse_proof(body)
            if not self._forks.is_wanted(proof):
                return Answer(OK, TEXT_TYPE, b"known\n") if self._forks.are_kept() else _UNKEPT
            if not self._may_verify():
                return refused(503, FormatError("forks_busy", f"{POSTS_A_MINUTE} proofs were verified within a minute"))
            await self._archives.prove([proof], "told by a peer")
        except FormatError as error:
            return refused(422, error)
        return Answer(OK, TEXT_TYPE, b"kept\n") if self._forks.are_kept() else _UNKEPT

    def _may_verify(self) -> bool:
        now_s = time.monotonic()
        self._verified = [one for one in self._verified if now_s - one < MINUTE_S]
        if len(self._verified) >= POSTS_A_MINUTE:
            return False
        self._verified.append(now_s)
        return True

    def _is_ours(self, origin: str) -> bool:
        return self._rounds.head is not None and self._rounds.head.head.origin == origin
