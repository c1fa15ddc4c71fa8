"""Heads of peers in the own log: each is older than the entry that holds it, which orders two lineages without a clock.

What this witness has cosigned is verified already.  One entry after a round at most, with those that have changed; it
calls for no round of its own, or two platforms at rest would go on for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mesh.fleetlist import FleetList
from mesh.node.ownlog import OwnLog
from mesh.standing import Standing
from recorder.client import NotRecorded, Refused
from recorder.core.peerheads import HEAD_MAX_BYTES, HEADS_MAX


class CrossLog:
    """On the event loop."""

    def __init__(
        self,
        own: OwnLog,
        fleet: FleetList,
        standings: Callable[[], Awaitable[list[tuple[str, Standing]]]],
        aside: Callable[..., Awaitable[Any]],
        say: Callable[[str], None],
    ) -> None:
        """Make it.

        Args:
            own: the log that they go to.
            fleet: names platforms: heads of foreign logs are nobody's lineage.
            standings: what this witness holds, by line of the fleet list.
            aside: calls what may wait for the recorder, with its arguments.
            say: tells a person.

        """
        self._own = own
        self._platforms = {log.name for log in fleet.trust.logs}
        self._standings = standings
        self._aside = aside
        self._say = say
        self._logged: dict[str, bytes] = {}  # by line: the note that was logged last
        self._is_permitted = True

    async def log(self) -> None:
        """Log what has changed since the last time; raises `Unavailable`."""
        changed = {
            line: one.note
            for line, one in await self._standings()
            if line in self._platforms and len(one.note) <= HEAD_MAX_BYTES and self._logged.get(line) != one.note
        }
        some = dict(list(changed.items())[:HEADS_MAX])  # the rest after the next round
        if not some:
            return
        try:
            await self._aside(self._own.log_heads, list(some.values()))
        except (NotRecorded, Refused) as error:
            if self._is_permitted:
                self._say(f"peers' heads are not logged: {error}")
            self._is_permitted = False
            return
        self._is_permitted = True
        self._logged.update(some)
