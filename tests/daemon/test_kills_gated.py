"""kill -9 under a budget: clients that retry use up just what their delegation grants, each commit counted once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from recorder.client import Recorder, Refused
from recorder.core.entry import decode
from recorder.core.errors import LineageError
from recorder.core.kinds import Decision, Kind
from recorder.core.scope import Counts
from tests import credential_builder as builder
from tests import fleet
from tests.faults.authority import audited
from tests.running import Running, records_of, wait_until

KILLS_SHORT, KILLS_LONG = 4, 60
COMMITS_A_KILL = 100
CLIENTS = 2
EXHAUSTED = "budget_exhausted"


class _Client(threading.Thread):
    """Opens cycles and commits under them until nothing is left."""

    def __init__(self, socket: Path, delegation: bytes, name: str) -> None:
        super().__init__(name=name)
        self._socket, self._delegation = socket, delegation
        self.acknowledged: list[str] = []
        self.trouble: str | None = None

    def run(self) -> None:
        try:
            with Recorder(self._socket, client_name=self.name, timeout_ms=30_000, who={"operator": "ann"}) as recorder:
                while True:
                    self._use(recorder)
        except (CancelledError, LineageError) as error:
            if not (isinstance(error, Refused) and EXHAUSTED in str(error)):
                self.trouble = repr(error)

    def _use(self, recorder: Recorder) -> None:
        """One cycle; two commits are under way at once."""
        with recorder.open_cycle(
            what=fleet.WHAT, where={}, inputs=[{"name": "force_n", "value": 10.0, "unit": "N"}],
            delegation=self._delegation, actuators=["arm"], action_classes=["motion"], max_commits=30, valid_ms=60_000,
        ) as cycle:  # fmt: skip
            for _ in range(cycle.max_commits // 2):
                for asked in [cycle.submit("arm", what=fleet.WHAT) for _ in range(2)]:
                    self.acknowledged.append(str(asked.result(240).entry_id))
            if cycle.max_commits % 2:
                self.acknowledged.append(str(cycle.commit("arm", what=fleet.WHAT, deadline_ms=None).entry_id))


def _kill_loop(tmp_path: Path, kills: int, seed: int) -> None:
    state = fleet.make(tmp_path / "s", checkpoint_s=1)
    granted = kills * COMMITS_A_KILL
    chance = random.Random(seed)
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=30_000, who={"operator": "ann"}) as recorder:
            scope = builder.rescoped(fleet.SCOPE, counts=Counts(granted, 3600))
            delegation = fleet.put_in_force(recorder, state, scope=scope).hash
        clients = [_Client(running.socket, delegation, f"client {at}") for at in range(CLIENTS)]
        for client in clients:
            client.start()
        for kill in range(1, kills + 1):
            # Each in its own part of the budget, so that it falls into work.
            due = round((kill - 1 + chance.uniform(0.1, 0.8)) * COMMITS_A_KILL)
            wait_until(lambda due=due: not all(one.is_alive() for one in clients) or _made(clients) >= due)
            running.kill()
            running.restart()
        for client in clients:
            client.join(300)
        assert [client.trouble for client in clients] == [None] * CLIENTS
        assert running.stop() == 0
    acknowledged = [one for client in clients for one in client.acknowledged]
    assert len(acknowledged) == len(set(acknowledged)) == granted
    _check(state, set(acknowledged))


def _made(clients: list[_Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def _check(state: Path, acknowledged: set[str]) -> None:
    """The log has the acknowledged commits and no other one, cycles went on over a kill, and it verifies."""
    ids, requests, carried = [], [], 0
    for raw, _ in records_of(state):
        entry = decode(raw)
        if entry.header.kind == Kind.BOOT:
            carried += len(entry.header.control.carried)
        if entry.header.kind == Kind.ACTUATION and entry.header.decision == Decision.ADMITTED:
            for index, commit in enumerate(entry.header.commits or []):
                ids.append(f"{entry.header.seq}.{index}-{entry.hash.hex()[:8]}")
                requests.append(commit.request)
    assert len(requests) == len(set(requests))
    assert set(ids) == acknowledged
    assert carried, "no kill fell into an open cycle: the test shows nothing"
    report = audited(state)
    assert set(report.problem_counts) <= {"unclean_stop", "gap_declared"}, report.problem_counts
    assert report.integrity == "pass"


def test_kills_neither_give_back_nor_take_from_a_budget(tmp_path: Path) -> None:
    _kill_loop(tmp_path, KILLS_SHORT, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_kills_neither_give_back_nor_take_from_a_budget(tmp_path: Path) -> None:
    _kill_loop(tmp_path, KILLS_LONG, seed=2)
