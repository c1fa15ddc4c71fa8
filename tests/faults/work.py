"""A short life of a recorder that has everything a power cut may fall into: the run whose crash states are built.

What else writes belongs in here once it is built: pruning, deletion.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recorder.core.messages import Status, Verb
from tests.claims import WHAT
from tests.daemon.raw import Raw

BIG_BYTES = 48_000  # of claims: some forty transactions of two such commits fill a segment of 4 MiB


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
