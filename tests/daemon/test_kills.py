"""kill -9 at any moment: what was acknowledged is there, once, and the lineage verifies."""

from __future__ import annotations

import random
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from recorder.client import Recorder
from recorder.core.entry import decode
from recorder.core.errors import LineageError
from recorder.core.kinds import Kind
from tests.claims import WHAT, WHO, WHY
from tests.running import Running, make_state, records_of, verified, wait_until

KILLS_SHORT, KILLS_LONG = 6, 200


def _drive(socket: Path, acknowledged: dict[bytes, str], stop: threading.Event, failures: list[str]) -> None:
    """Commit under one cycle after another until told to stop, noting every acknowledgement."""
    with Recorder(socket, timeout_ms=60_000) as recorder:
        number = 0
        while not stop.is_set():
            try:
                with recorder.open_cycle(
                    who=WHO, why=WHY, actuators=["arm.joint1", "arm"], action_classes=["motion"], max_commits=400,
                    valid_ms=60_000,
                ) as cycle:  # fmt: skip
                    stream = cycle.stream("arm", fields=[("q", "<f4", 2, "rad")], what=WHAT, where={})
                    for _ in range(100):
                        if stop.is_set():
                            break
                        stream.record(([0.5, number / 1000],))
                        receipt = cycle.commit(
                            "arm.joint1", what={**WHAT, "target": number}, where={}, deadline_ms=None
                        )
                        if receipt.entry_id in acknowledged.values():
                            failures.append(f"{receipt.entry_id} was acknowledged twice")
                        acknowledged[str(number).encode()] = str(receipt.entry_id)
                        number += 1
            except (CancelledError, LineageError) as error:
                failures.append(repr(error))
                return
        recorder.flush(240)


def _kill_loop(tmp_path: Path, kills: int, seed: int) -> None:
    state = make_state(tmp_path / "s", checkpoint_s=1)
    acknowledged: dict[bytes, str] = {}
    failures: list[str] = []
    stop = threading.Event()
    chance = random.Random(seed)
    with Running(state) as running:
        driver = threading.Thread(target=_drive, args=(running.socket, acknowledged, stop, failures))
        driver.start()
        for _ in range(kills):
            # A driver that has no processor commits nothing, and a kill while it stands still shows nothing.
            committed = len(acknowledged)
            wait_until(lambda committed=committed: failures or len(acknowledged) > committed + 1)
            stop.wait(chance.uniform(0.02, 0.5))
            running.kill()
            running.restart()
        stop.wait(0.3)
        stop.set()
        driver.join(300)
        assert not driver.is_alive()
        assert running.stop() == 0
    assert failures == []
    report = verified(state)
    assert report.exit_status() == 3, report.to_json()["problems"]
    assert set(report.to_json()["problem_counts"]) <= {"unclean_stop", "gap_declared"}
    assert report.to_json()["problem_counts"]["unclean_stop"] == kills
    _check_once(state, acknowledged)


def _check_once(state: Path, acknowledged: dict[bytes, str]) -> None:
    """Every acknowledged commit is where its receipt says, and no request is there twice."""
    requests: list[tuple[bytes, int]] = []
    ids: set[str] = set()
    carried = False
    for raw, _ in records_of(state):
        entry = decode(raw)
        carried |= entry.header.kind == Kind.BOOT and bool(entry.header.control.carried)
        if entry.header.kind == Kind.ACTUATION:
            for index, commit in enumerate(entry.header.commits or []):
                requests.append((commit.request, commit.actuator))
                ids.add(f"{entry.header.seq}.{index}-{entry.hash.hex()[:8]}")
    assert len(requests) == len(set(requests))
    assert set(acknowledged.values()) <= ids
    assert len(acknowledged) > 10
    assert carried, "no kill fell into an open cycle: the test shows nothing"


def test_a_recorder_that_is_killed_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """A few random kills under load, with a client that retries: all acknowledged commits are there, once."""
    _kill_loop(tmp_path, KILLS_SHORT, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_kills(tmp_path: Path) -> None:
    """The same, two hundred times."""
    _kill_loop(tmp_path, KILLS_LONG, seed=2)
