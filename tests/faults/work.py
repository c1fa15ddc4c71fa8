"""Short lives of a recorder that have everything a power cut may fall into: the runs whose crash states are built."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recorder.core.messages import Status, Verb
from tests.claims import WHAT
from tests.daemon.raw import Raw
from tests.running import wait_until

BIG_BYTES = 48_000  # of claims: some forty transactions of two such commits fill a segment of 4 MiB

# A class that loses its claims segment by segment: what two groups of three big commits hold is more than it may.
GIVES_UP: dict[str, str] = {
    "motion": 'retention = "short"',
    "more": '[room]\nspace_left = "1MiB"\nadmin_space_left = "1MiB"\n[retention.short]\nkeep = "0h"\nmax_bytes = "100KiB"\n',
}
# Python for the recorder: what is due once a second is done ten times as often, so that nobody has to wait for it.
IN_HASTE = "from recorder.daemon import upkeep; upkeep.TICK_S = 0.1"
ASKED_EVERY_S = 0.05  # status: each answer is in the trace


def first_life(socket: Path, *, fill: bool) -> None:
    """Cycles, commits, groups, rows of other kinds, checkpoints and rolls; `fill` rolls by filling a segment too."""
    with Raw(socket) as raw, Raw(socket) as other:
        assert other.ask(Verb.SUBSCRIBE)[0] == Status.OK
        _, opened = raw.open_cycle(max_commits=10_000, valid_ms=60_000)
        _commits(raw, opened, 3)
        assert raw.ask(Verb.CHECKPOINT)[0] == Status.OK
        _group(raw, opened, 20)
        assert raw.open_cycle(actuators=["nothing"])[0] == Status.REFUSED
        _commits(raw, opened, 2)
        assert raw.ask(Verb.SEAL)[0] == Status.OK
        _commits(raw, opened, 2, padding=BIG_BYTES)
        if fill:
            segments = raw.ask(Verb.STATUS)[1]["segments"]
            while raw.ask(Verb.STATUS)[1]["segments"] == segments:
                _group(raw, opened, 2, padding=BIG_BYTES)
        _commits(raw, opened, 3)
        assert raw.ask(Verb.CLOSE_CYCLE, opened[0], "done")[0] == Status.OK


def later_life(socket: Path) -> None:
    """What follows a restart."""
    with Raw(socket) as raw:
        _, opened = raw.open_cycle()
        _commits(raw, opened, 3)
        assert raw.ask(Verb.CHECKPOINT)[0] == Status.OK
        _commits(raw, opened, 1)


def life_that_announces(socket: Path) -> None:
    """Two segments are sealed, and the claims of the older one are announced to go; the caller kills it before they do."""
    with Raw(socket) as raw:
        _, opened = raw.open_cycle(valid_ms=60_000)
        fill_and_seal(raw, opened)
        fill_and_seal(raw, opened)
        _until(raw, lambda room: room["erasing"])


def life_that_erases(socket: Path) -> None:
    """What was announced goes; a third segment is sealed, so that the second one's claims go in the same life."""
    with Raw(socket) as raw:
        _until(raw, lambda room: room["freed_bytes"] and not room["erasing"])
        _, opened = raw.open_cycle(valid_ms=60_000)
        freed = _room(raw)["freed_bytes"]
        fill_and_seal(raw, opened)

        def is_erased() -> bool:
            _commits(raw, opened, 1)  # while the child works
            time.sleep(ASKED_EVERY_S)
            room = _room(raw)
            return room["freed_bytes"] > freed and not room["erasing"]

        wait_until(is_erased)
        assert raw.ask(Verb.CHECKPOINT)[0] == Status.OK


def fill_and_seal(raw: Raw, opened: Any) -> None:
    """A segment of more claims than a class may hold that `GIVES_UP`."""
    _commits(raw, opened, 1)
    _group(raw, opened, 3, padding=BIG_BYTES)
    assert raw.ask(Verb.SEAL)[0] == Status.OK


def _until(raw: Raw, holds: Callable[[dict[str, Any]], object]) -> None:
    def is_so() -> bool:
        time.sleep(ASKED_EVERY_S)
        return bool(holds(_room(raw)))

    wait_until(is_so)


def _room(raw: Raw) -> dict[str, Any]:
    room: dict[str, Any] = raw.ask(Verb.STATUS)[1]["room"]
    assert room["failure"] is None, room["failure"]
    return room


def _commits(raw: Raw, opened: Any, count: int, padding: int = 0) -> None:
    for message in _messages(raw, opened, count, padding):
        raw.send(message)
        assert raw.receive()[0] == Status.OK


def _group(raw: Raw, opened: Any, count: int, padding: int = 0) -> None:
    """Commits that wait together, so that several share a transaction."""
    for message in _messages(raw, opened, count, padding):
        raw.send(message)
    for _ in range(count):
        assert raw.receive()[0] == Status.OK


def _messages(raw: Raw, opened: Any, count: int, padding: int) -> Iterator[list[Any]]:
    what = {**WHAT, "note": "x" * padding} if padding else WHAT
    for _ in range(count):
        raw.counter += 1
        yield [int(Verb.COMMIT), raw.counter, opened[0], None, opened[5]["arm"], what, {}, 5, None]
