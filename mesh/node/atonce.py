"""Rounds at once: a commit that asks for witnesses has a head cosigned by those that it names, once it is durable.

Each witness is sent the newest head that it is wanted for, one after the other; so one that is slow holds up neither
the others nor the commits that follow.  What they sign is recorded as it comes, together where it comes together.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mesh.node.ownlog import Head
from mesh.node.rounds import COSIGNATURES_MAX, TROUBLES, Rounds
from mesh.node.submitting import Submission, Witness
from mesh.submission import with_cosignatures
from recorder.core.keys import kid
from recorder.core.message_replies import Head as Pushed
from recorder.core.note import NoteSignature

LINGER_S = 0.005  # for signatures that come nearly together: one entry for them all


class AtOnce:
    """A part of the process; what waits for recorder or disk runs where that of the other rounds does."""

    def __init__(self, rounds: Rounds, timeout_s: float, say: Callable[[str], None]) -> None:
        """Make it inside the event loop.

        Args:
            rounds: the witnesses, and the way to the recorder.
            timeout_s: for one witness and head.
            say: tells a person.

        """
        self.count = 0  # rounds that were begun
        self.cosigned = 0
        self.trouble: str | None = None
        self._rounds = rounds
        self._timeout_s = timeout_s
        self._say = say
        self._witnesses = {kid(one.key.public_key): one for one in rounds.witnesses}
        self._wanted: dict[bytes, None] = {}  # kids; no more than there are witnesses
        # By witness: the head to send next, and its `cosigned` before.
        self._waiting: dict[str, tuple[Head, Submission, int]] = {}
        self._busy: set[str] = set()
        self._signed: list[tuple[Head, NoteSignature]] = []
        self._is_reporting = False
        self._begin = asyncio.Event()
        self._all_there = asyncio.Event()

    def hear(self, _origin: str, pushed: Pushed) -> None:
        """Take a push of the recorder (`pushes.Take`)."""
        if pushed.asks:
            self._wanted.update(dict.fromkeys(one for ask in pushed.asks for one in ask.kids if one in self._witnesses))
            self._begin.set()

    async def run(self) -> None:
        """Make rounds until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._begin.wait()
                self._begin.clear()
                wanted, self._wanted = self._wanted, {}
                if wanted:
                    await self._round([self._witnesses[one] for one in wanted], group)

    async def _round(self, witnesses: list[Witness], group: asyncio.TaskGroup) -> None:
        before = [one.cosigned for one in witnesses]
        try:
            latest = await self._rounds.head_now()
        except TROUBLES as error:
            self._note(str(error))
            return
        if latest is None:  # the round that comes first asks all witnesses, and these with them
            return
        self.count += 1
        submission = self._rounds.submission(latest)
        for witness, cosigned in zip(witnesses, before, strict=True):
            self._waiting[witness.name] = latest, submission, cosigned
            if witness.name not in self._busy:
                self._busy.add(witness.name)
                group.create_task(self._serve(witness, group))

    async def _serve(self, witness: Witness, group: asyncio.TaskGroup) -> None:
        """Send a witness what it is wanted for, until that is all."""
        while (waiting := self._waiting.pop(witness.name, None)) is not None:
            latest, submission, cosigned = waiting
            done = await self._rounds.submit(witness, submission, time.monotonic() + self._timeout_s, cosigned)
            if done is not None:
                self.cosigned += 1
                self._signed.append((latest, done.line))
                if not self._is_reporting:
                    self._is_reporting = True
                    group.create_task(self._report())
        self._busy.discard(witness.name)
        if not self._busy:
            self._all_there.set()

    async def _report(self) -> None:
        """Have recorded what was signed, until that is all."""
        while self._signed:
            if self._busy:
                self._all_there.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        await self._all_there.wait()
            signed, self._signed = self._signed, []
            lines: defaultdict[Head, list[NoteSignature]] = defaultdict(list)
            for latest, line in signed:
                lines[latest].append(line)
            for latest, found in lines.items():
                try:
                    await self._rounds.bring(
                        latest, with_cosignatures(latest.note, found[:COSIGNATURES_MAX]), is_whole=False
                    )
                    self._note(None)
                except TROUBLES as error:
                    self._note(str(error))  # the next round by interval has them sign it again
        self._is_reporting = False

    def status(self) -> dict[str, Any]:
        """How it went."""
        return {"at_once": {"rounds": self.count, "cosigned": self.cosigned, "trouble": self.trouble}}

    def live(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            self._say(trouble)
        self.trouble = trouble
