"""A flood: many clients at once, some of them hostile, one that never reads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.messages import Status, Verb
from tests.claims import WHAT
from tests.daemon.malformed import mutated, requests
from tests.daemon.raw import Raw
from tests.faults.clients import WINDOW, HungUp, commits, opened, receive
from tests.faults.recovery import findings
from tests.faults.replay import Promised
from tests.faults.serving import Serving
from tests.running import make_state, records_of

pytestmark = pytest.mark.alone

HOSTILE, FICKLE, DEAF = 15, 8, 1
HONEST = 64 - HOSTILE - FICKLE - DEAF
HOSTILE_LEAST = 20  # messages of nonsense from each, however late it got its turn
HONEST_GAPS = frozenset({"gap_declared"})  # what a mutated request may declare


class Flood:
    """64 clients, each in a thread of its own."""

    def __init__(self, path: Path, commits_each: int, seconds: float) -> None:
        self._path = path
        self._commits_each = commits_each
        self._until_s = time.monotonic() + seconds
        self.told = [Promised() for _ in range(HONEST)]
        self.failures: list[str] = []
        self.malformed = self.deaf_sent = 0
        self._lock = threading.Lock()
        self._ready = threading.Barrier(HONEST + 1)
        self._shared: Any = None  # a cycle for all the others, since one user may have 64 open

    def run(self) -> None:
        """Until all honest clients have had all their answers."""
        others = [
            *(threading.Thread(target=self._guarded, args=(self._hostile, at)) for at in range(HOSTILE)),
            *(threading.Thread(target=self._guarded, args=(self._fickle, at)) for at in range(FICKLE)),
            *(threading.Thread(target=self._guarded, args=(self._deaf, at)) for at in range(DEAF)),
        ]
        honest = [threading.Thread(target=self._guarded, args=(self._honest, at)) for at in range(HONEST)]
        for thread in honest:
            thread.start()
        self._ready.wait(240)
        with Raw(self._path, hello=False) as raw:
            self._shared = opened(raw, Promised())
            for thread in others:
                thread.start()
            for thread in (*honest, *others):
                thread.join(300)
                assert not thread.is_alive(), "a client hangs"

    def _guarded(self, client: Callable[[int], None], at: int) -> None:
        try:
            client(at)
        except Exception as error:  # noqa: BLE001 -- whatever a client meets belongs to the verdict
            with self._lock:
                self.failures.append(f"{client.__name__} {at}: {error!r}")

    def _honest(self, at: int) -> None:
        with Raw(self._path, hello=False) as raw:
            raw.sock.settimeout(60)
            cycle = opened(raw, self.told[at])
            self._ready.wait(240)
            # Nonsense of the same user may happen to close this cycle; then the answer is a refusal.  An answer it must be.
            for _ in range(self._commits_each // WINDOW):
                commits(raw, cycle, self.told[at], WINDOW)

    def _hostile(self, at: int) -> None:
        chance = random.Random(at)
        sent = 0
        while time.monotonic() < self._until_s or sent < HOSTILE_LEAST:
            with suppress(ConnectionError, HungUp), Raw(self._path, hello=False) as raw:
                _hello(raw)
                for counter in range(1, 200):
                    message = chance.choice(requests(self._shared))
                    message[1] = counter
                    raw.sock.send(mutated(chance, message))
                    sent += 1
                    if not raw.sock.recv(1 << 17):
                        break
        with self._lock:
            self.malformed += sent

    def _fickle(self, at: int) -> None:
        while time.monotonic() < self._until_s:
            with suppress(ConnectionError, HungUp), Raw(self._path, hello=False) as raw:
                _hello(raw)
                for counter in range(1, 6):
                    raw.sock.send(self._commit(counter))

    def _deaf(self, at: int) -> None:
        """Asks and asks, and never reads an answer; sooner or later it is cut off."""
        with suppress(ConnectionError, TimeoutError), Raw(self._path, hello=False) as raw:
            _hello(raw)
            for counter in range(1, 50_000):
                raw.sock.send(self._commit(counter))
                self.deaf_sent += 1
            raise AssertionError("it was never cut off")

    def _commit(self, counter: int) -> bytes:
        cycle = self._shared
        return cbor.pack([int(Verb.COMMIT), counter, cycle[0], None, cycle[5]["arm"], WHAT, {}, 5, None])


def _hello(raw: Raw) -> None:
    raw.sock.settimeout(60)
    raw.send([int(Verb.HELLO), 0, 1, None, "flood"])
    receive(raw, Promised())


def _flood(tmp_path: Path, commits_each: int, seconds: float) -> Flood:
    state = make_state(tmp_path / "state", checkpoint_s=1)
    with Serving(state, tmp_path / "socket") as serving:
        flood = Flood(serving.socket, commits_each, seconds)
        flood.run()
        assert flood.failures == []
        with Raw(serving.socket) as raw:
            assert raw.ask(Verb.STATUS)[0] == Status.OK
        assert serving.stop() == 0, serving.said
    promised = Promised()
    assert sum(len(told.entries) > 1 for told in flood.told) > HONEST // 2
    for told in flood.told:
        promised.entries.update(told.entries)
    assert findings(state, promised, [raw for raw, _ in records_of(state)], losses=HONEST_GAPS) == []
    return flood


def test_sixty_four_clients(tmp_path: Path) -> None:
    """Forty commit, the others send nonsense, come and go, or never read: the forty get every answer, and all verifies."""
    flood = _flood(tmp_path, commits_each=48, seconds=2)
    assert flood.malformed > 100
    assert flood.deaf_sent > 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixty_four_clients_for_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same with more of all."""
    flood = _flood(tmp_path, commits_each=1000, seconds=30)
    with capsys.disabled():
        print(f"\n{HONEST * 1000} commits acknowledged among {flood.malformed} malformed requests")
