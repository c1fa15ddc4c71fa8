"""Rounds: a checkpoint of the own log goes to all witnesses at once, what they sign comes back as evidence."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from mesh.fleetlist import FleetList
from mesh.node.aside import Aside
from mesh.node.config import Submit
from mesh.node.crosslog import CrossLog
from mesh.node.ownheads import OwnHeads, Peer
from mesh.node.ownlog import Head, OwnLog
from mesh.node.peering import platform_of
from mesh.node.places import MeshError
from mesh.node.post import Post
from mesh.node.present import Present
from mesh.node.proofs import OwnProofs
from mesh.node.submitting import Submission, Witness, cosignature_by
from mesh.standing import Standing
from mesh.submission import Done, with_cosignatures
from recorder.client import NotRecorded, Refused, Unavailable
from recorder.core.chosen import Candidate, Own, candidates_of, own_of
from recorder.core.errors import FormatError
from recorder.core.limits import NOTE_MAX_SIGNATURES
from recorder.core.note import VerifierKey

_Got = TypeVar("_Got")
# Of the recorder, or of our own disk: said once, and tried again.
TROUBLES = (Unavailable, NotRecorded, Refused, MeshError, FormatError, OSError)


COSIGNATURES_MAX = NOTE_MAX_SIGNATURES - 1  # of one evidence entry, beside the log's own line


class Round(NamedTuple):
    """How one went."""

    origin: str
    size: int
    asked: int
    cosigned: int
    is_quorum: bool  # by the fleet list
    evidence: int | None  # seq of the entry


class Rounds:
    """The submitting side, on the event loop; what waits for recorder or disk runs on a thread of its own."""

    def __init__(
        self,
        own: OwnLog,
        fleet: FleetList,
        ours: VerifierKey | None,
        present: Present,
        standings: Callable[[], Awaitable[list[tuple[str, Standing]]]],
        submit: Submit,
        say: Callable[[str], None],
    ) -> None:
        """Make it inside the event loop.

        Args:
            own: the platform's log.
            fleet: names the witnesses.
            ours: the witness key of this platform, which does not cosign its own log.
            present: what witnesses announce that they hold.
            standings: heads of peers that are cosigned here, by line of the fleet list.
            submit: intervals.
            say: tells a person.

        """
        self.witnesses = [
            Witness(name, key, (), platform_of(key, fleet))
            for name, key in fleet.trust.witnesses.items()
            if key != ours
        ]
        self.count = 0  # rounds begun since the start that have ended, however
        self.by_hand = 0  # requests for a round, of which each has had one that began after it
        self._asked = 0  # requests for a round
        self.latest: Round | None = None
        self.note: bytes | None = None  # the own head last cosigned, with cosignatures
        self.head: Head | None = None  # the own head as last read, cosigned or not
        self.witnessed: int | None = None  # entries of the own head that a quorum last cosigned
        self.trouble: str | None = None
        self.beside: list[Callable[[], Awaitable[None]]] = []  # what else is recorded after each round
        self.own = own
        self.post = Post(submit.timeout_s)
        self._ours = ours
        self._fleet = fleet
        self._present = present
        self._submit = submit
        self._say = say
        self._thread = Aside("own-log")
        self._wanted = asyncio.Event()
        self._is_cut_short = False  # the round that ended last is made again at once
        self._cross = CrossLog(own, fleet, standings, self.aside, say)
        self.own_heads = OwnHeads(
            *(own, fleet, self._peers, self.post, self.aside, submit.learn_s),
            *(say, self._wanted.set),
        )

    def ask_now(self) -> None:
        """Begin the next round at once, and ask in it also those that are left alone after failures."""
        self._asked += 1
        self._wanted.set()

    async def run(self, changed: Callable[[], None]) -> None:
        """Make rounds until cancelled; `changed` is called after each."""
        while True:
            self._wanted.clear()
            asked, self._is_cut_short = self._asked, False
            if asked > self.by_hand:
                for witness in self.witnesses:
                    witness.not_before_s = 0.0
            try:
                await self._round()
                await self._cross.log()
                for one in self.beside:
                    await one()
                trouble = None
            except TROUBLES as error:
                trouble = str(error)
            if trouble != self.trouble:
                self._say(trouble or "the recorder answers again")
                self.trouble = trouble
            self.count += 1
            if not self._is_cut_short:
                self.by_hand = asked
            changed()
            try:
                async with asyncio.timeout(self._submit.interval_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Let go of the recorder and of connections."""
        await self.own_heads.close()
        await self.post.close()
        await self.aside(self.own.close)
        self._thread.close()

    async def aside(self, call: Callable[..., _Got], *arguments: Any) -> _Got:  # noqa: ANN401 -- whatever `call` takes
        """Call what may wait, on the thread of the own log."""
        return await self._thread(call, *arguments)

    def _urls_of(self, witness: Witness) -> list[str]:
        """Where it may answer: as the list says of it, then as is known of its platform."""
        listed = self._fleet.trust.urls.get(witness.name)
        known = [] if witness.platform is None else self._present.urls_of(witness.platform)
        return list(dict.fromkeys([*([] if listed is None else [listed]), *known]))

    def _peers(self, platform: str) -> list[Peer]:
        """Who may hold heads of this platform: witnesses, other platforms, and whoever answers where we are to try."""
        found = {
            one.platform or one.name: Peer(one.name, tuple(self._urls_of(one)))
            for one in self.witnesses
            if one.platform != platform
        }
        for name in self._present.peers:
            if name != platform:
                found.setdefault(name, Peer(name, tuple(self._present.urls_of(name))))
        known = {url for one in found.values() for url in one.urls}
        tried = [Peer(url, (url,)) for url in self._present.all_urls() if url not in known]
        return [one for one in (*found.values(), *tried) if one.urls]

    def named(self) -> tuple[list[Candidate], Own | None]:
        """Who may be asked to witness a commit: those that neither failed nor refused when last asked; and ourselves.

        Who asked to be left alone for longer than a round takes would be asked in vain.
        """
        trust, soon_s = self._fleet.trust, time.monotonic() + self._submit.timeout_s
        answering = [
            one.name
            for one in self.witnesses
            if not one.failures and not one.refuses and one.put_off_s < soon_s and self._urls_of(one)
        ]
        return candidates_of(trust, answering), None if self._ours is None else own_of(trust, self._ours)

    async def head_now(self) -> Head | None:
        """The own head, not kept on disk; None where peers are to be asked first what they hold of it.

        Raises what is in TROUBLES.
        """
        latest: Head = await self.aside(partial(self.own.latest, is_kept=False))
        if not self.own_heads.is_current():
            self._wanted.set()
            return None
        self.head = latest
        return latest

    def submission(self, latest: Head) -> Submission:
        """What is sent of a head, and with what."""
        line = latest.head.origin.rpartition("/")[0]

        def urls() -> list[str]:
            return [url for one in self._peers(line) for url in one.urls]

        return Submission(latest.head, OwnProofs(self.own, latest), self.post, self.aside, random.random, urls)

    async def submit(self, witness: Witness, submission: Submission, until_s: float, cosigned: int) -> Done | None:
        """Have a witness cosign a head; None also where it has cosigned a later one since.

        Args:
            witness: whom to ask.
            submission: what to have cosigned.
            until_s: time.monotonic at which to stop.
            cosigned: how often it had cosigned before the head was made.

        """
        async with witness.turn:
            head = submission.head
            if witness.cosigned > cosigned and witness.sizes.get(head.origin, 0) >= head.size:
                return None
            witness.urls = self._urls_of(witness)
            return await cosignature_by(witness, submission, until_s)

    async def bring(self, latest: Head, note: bytes, *, is_whole: bool) -> int:
        """Have cosignatures recorded; whole where every witness was asked.  Raises what is in TROUBLES."""
        evidence = await self.aside(partial(self.own.bring, is_whole=is_whole), latest.head, note)
        self.note = note
        return evidence

    async def _round(self) -> None:
        # First: the recorder may be behind what it signed, and then nothing that it offers now is to be seen.
        await self.own_heads.learn()
        before = {one.name: one.cosigned for one in self.witnesses}
        latest: Head = await self.aside(self.own.latest)
        self._is_cut_short = not self.own_heads.is_current()
        if self._is_cut_short:
            self._wanted.set()  # it started again just now
            return
        self.head, head = latest, latest.head
        begun_s = time.monotonic()
        for one in self.witnesses:
            one.urls = self._urls_of(one)
        asked = [one for one in self.witnesses if one.not_before_s <= begun_s and one.urls]
        is_news = self.own.is_news(head)
        if not is_news:  # for those alone whose cosignature is wanting: at rest it would never come
            # What they announce says nothing of that: it may have been lost on its way here.
            asked = [one for one in asked if one.signed.get(head.origin, 0) < self.own.cosigned_size(head.origin)]
        if not asked and not is_news:
            return
        submission = self.submission(latest)
        for one in asked:
            one.announced(head, None if one.platform is None else self._present.held_size(one.platform, head.origin))
        until_s = begun_s + self._submit.timeout_s
        results = await asyncio.gather(*(self.submit(one, submission, until_s, before[one.name]) for one in asked))
        done = [(one, result) for one, result in zip(asked, results, strict=True) if result is not None]
        evidence = None
        if done:
            note = with_cosignatures(latest.note, [result.line for _, result in done][:COSIGNATURES_MAX])
            evidence = await self.bring(latest, note, is_whole=is_news)
            for one, _ in done:  # only now: what the recorder did not take is to be asked for again
                one.signed[head.origin] = head.size
        if not is_news:
            return
        quorum = self._fleet.trust.is_quorum({one.key for one, _ in done})
        if quorum:
            self.witnessed = head.size
        elif self.latest is None or self.latest.origin != head.origin:
            self.witnessed = None
        self.latest = Round(head.origin, head.size, len(asked), len(done), quorum, evidence)
