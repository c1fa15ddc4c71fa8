"""What peers hold of this platform's own heads: asked for at each start of the recorder, before it offers a checkpoint.

The recorder judges them, by its own key (PROTOCOL.md of the recorder, HEADS).  Who is not reached in time is asked
again beside later rounds, so that an answer which comes late still counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Protocol

from mesh.account import PATH, Account, parse_account
from mesh.exchange import OK, Answer
from mesh.fleetlist import FleetList
from mesh.node.ownlog import OwnLog, Run
from mesh.node.post import Unreachable, below
from mesh.standing import signed_by_log
from recorder.client import NotRecorded, Refused, Unavailable
from recorder.core.checkpoint import open_checkpoint, parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.message_requests import HEADS_MAX
from recorder.core.note import parse_note

RESTARTS_MAX = 3  # of the recorder, for one set of answers: each names all that the one before lacked
_NOT_THERE = frozenset({404, 405, 501})  # of who holds nothing, or is a witness of another make


class Getter(Protocol):
    """Requests to a peer; raises Unreachable."""

    async def get(self, url: str) -> Answer:
        """GET."""
        ...


class Peer(NamedTuple):
    """Who may hold heads of ours."""

    name: str
    urls: tuple[str, ...]  # where it may answer, the likeliest first


class Holding(NamedTuple):
    """A head of ours, with our own signature alone, and who holds it."""

    holder: str
    note: bytes


class OwnHeads:
    """On the event loop; what waits for the recorder runs where `aside` says."""

    def __init__(
        self,
        own: OwnLog,
        fleet: FleetList,
        peers: Callable[[str], Iterable[Peer]],
        post: Getter,
        aside: Callable[..., Awaitable[Any]],
        learn_s: float,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        """Make it inside the event loop.

        Args:
            own: the recorder.
            fleet: names the key of our own log.
            peers: whom to ask now about a platform that is ours.
            post: sends.
            aside: calls what may wait for the recorder, with its arguments.
            learn_s: for the answers of all together.
            say: tells a person.
            changed: called where a later answer made the recorder begin anew.

        """
        self._own = own
        self._fleet = fleet
        self._peers = peers
        self._post = post
        self._aside = aside
        self._learn_s = learn_s
        self._say = say
        self._changed = changed
        self._run: Run | None = None
        self._answered: set[str] = set()  # names, since the recorder's last start
        self._followed: dict[str, str] = {}  # by peer: the incarnation whose head it puts first
        self._later: asyncio.Task[None] | None = None
        self._different: str | None = None  # incarnations of this platform, where peers follow more than one
        self._is_permitted = True

    async def learn(self) -> None:
        """Have the recorder know what peers hold, as far as they answer within `learn_s`; raises as `OwnLog.run`."""
        run = await self._aside(self._own.run)
        is_new = run != self._run
        if is_new:
            self._run = run
            self._answered.clear()
            await self._end_later()
            await self._ask(run)
        elif self._missing(run) and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._ask_later(run))

    def status(self) -> dict[str, Any]:
        """How it went since the recorder's last start."""
        return {
            "recorder": None if self._run is None else self._run._asdict(),
            "answered": sorted(self._answered),
            "different": self._different,
        }

    def is_current(self) -> bool:
        """Whether the recorder that answered last is the one that was told."""
        return self._own.greeted_by() == self._run

    async def close(self) -> None:
        """End what runs beside the rounds."""
        await self._end_later()

    def _missing(self, run: Run) -> list[Peer]:
        return [one for one in self._peers(run.line) if one.name not in self._answered]

    async def _end_later(self) -> None:
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
            await asyncio.gather(later, return_exceptions=True)

    async def _ask_later(self, run: Run) -> None:
        try:
            await self._ask(run)
        except (Unavailable, NotRecorded, Refused):
            self._run = None  # the recorder has gone: the next round asks all of them again
        if self._run != run:
            self._changed()

    async def _ask(self, run: Run) -> None:
        """Ask all, and tell the recorder.

        Those who have answered too: where they stand now is what an incarnation that begins because of another one has
        to name, or they could not go on with it.
        """
        peers = list(self._peers(run.line))
        asked = [asyncio.create_task(self._account(one, run.line)) for one in peers]
        if asked:
            await asyncio.wait(asked, timeout=self._learn_s)
        found: list[Holding] = []
        heard: list[str] = []
        for peer, task in zip(peers, asked, strict=True):
            if not task.done():
                task.cancel()
                continue
            account = task.result()
            if account is None:
                continue
            heard.append(peer.name)
            found += self._holdings(peer, account)
        await asyncio.gather(*asked, return_exceptions=True)
        self._note_different()
        await self._tell(found)
        self._answered.update(heard)  # only now: what the recorder was not told is asked for again

    async def _account(self, peer: Peer, line: str) -> Account | None:
        """What a peer holds of us; None where it did not say."""
        for url in peer.urls:
            try:
                answer = await self._post.get(below(url, f"{PATH}/{line}"))
                if answer.status in _NOT_THERE:
                    return Account(line, {}, [], [])
                if answer.status == OK:
                    return parse_account(answer.body)
            except Unreachable:
                continue  # elsewhere; or it is asked again beside a later round
            except FormatError as error:
                self._say(f"what {peer.name} says of our heads cannot be read: {error}")
                return Account(line, {}, [], [])
        return None

    def _holdings(self, peer: Peer, account: Account) -> list[Holding]:
        """The heads among its notes that our own key signed; others are nobody's business here."""
        found = []
        for note in account.notes:
            try:
                origin = parse_checkpoint(parse_note(note).text).origin
                log = self._fleet.log_of(origin)
                if log is None or log.line != account.platform:
                    continue
                found.append(Holding(peer.name, signed_by_log(open_checkpoint(note, log.key), log.key)))
            except FormatError as error:
                self._say(f"{peer.name} gave a head of ours that we did not sign: {error}")
                continue
            if len(found) == 1:
                self._followed[peer.name] = origin
        return found[:HEADS_MAX]

    def _note_different(self) -> None:
        """Say so where peers follow different incarnations; the recorder will name those that it does not know."""
        if len(set(self._followed.values())) <= 1:
            self._different = None
            return
        told = ", ".join(f"{name} {origin}" for name, origin in sorted(self._followed.items()))
        if told != self._different:
            self._say(f"peers follow different incarnations of this platform: {told}")
            self._different = told

    async def _tell(self, found: list[Holding]) -> None:
        """Bring the heads to the recorder, and again to the incarnation that it begins because of them."""
        for _ in range(RESTARTS_MAX):
            try:
                is_behind = await self._aside(self._own.compare, found)
            except NotRecorded as error:
                if self._is_permitted:
                    self._say(f"the recorder takes no word of its own heads: {error}")
                self._is_permitted = False
                return
            self._is_permitted = True
            if not is_behind:
                return
            before = self._run
            self._run = await self._aside(self._own.run)
            told = "" if before is None else f"{before.origin} lacks what peers hold of it; "
            self._say(f"{told}the recorder goes on as {self._run.origin}")
        self._say("peers hold ever more that the recorder lacks; a person has to look")
