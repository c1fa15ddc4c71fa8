"""The C client against a real recorder that is there, away, stopped, full or another one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.core.messages import Verb
from tests.c.building import Program, needs_gcc
from tests.c.recorded import recorded_in
from tests.daemon.cosigners import Mesh
from tests.daemon.raw import Raw
from tests.running import Running, kinds_of, make_state, verified, wait_until

pytestmark = needs_gcc


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Running]:
    with Running(make_state(tmp_path / "s")) as started:
        yield started


@pytest.fixture
def script(driver: Path, recorder: Running) -> Iterator[Program]:
    with Program(driver, recorder.socket, "script") as program:
        yield program


def _ended(script: Program, recorder: Running) -> None:
    assert script.end()["closed"] == 1
    assert recorder.stop() == 0, recorder.said
    report = verified(recorder.state)
    assert report.integrity == "pass", report.problems


def test_a_cycle_its_commits_rows_and_end(script: Program, recorder: Running) -> None:
    """All verbs in the usual order; the rows refer to the cycle's why, and the cycle's end counts them."""
    opened = script.do("open motion 60000")
    assert re.fullmatch(r"open ok .* \d+-[0-9a-f]{8}", opened), opened
    assert re.fullmatch(
        r"commit ok late=0 rule=1 decision=3 duplicate=0 \d+\.0-[0-9a-f]{8}", script.do("commit 0.25 60000")
    )
    script.do("stream arm 1024")
    assert script.do("push - 100") == "push 100"
    script.do("lane arm 16")
    assert script.do("event curtain 2") == "event 2"
    assert script.do("gap dropout 7").startswith("gap ok")
    assert script.do("close done 60000").startswith("close ok")
    assert script.do("close again 60000") == (
        "close ok late=0 rule=0 decision=-1 duplicate=0 cycle_unknown; no open cycle 2; it has ended"
    ).replace("cycle 2", "cycle " + opened.split()[-1].split("-")[0])
    counts = script.settled()
    assert (counts["rows_acknowledged"], counts["events_acknowledged"]) == (100, 3)
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    assert list(found.ticks.values()) == [list(range(100))]
    assert found.carriers == {int(opened.split()[-1].split("-")[0])}
    assert dict(found.commits) == {0.25: 1}
    assert sorted(found.events) == [1, 2]
    assert found.gaps == [(7, "dropout")]
    assert verified(recorder.state).problem_counts == {"gap_declared": 1}


def test_a_refusal_says_why(script: Program, recorder: Running) -> None:
    """Claims that are missing are the recorder's to name; the refusal is on record."""
    script.do("open motion 60000")
    refused = script.do("bare - 60000")
    assert refused.startswith("bare refused ")
    assert refused.endswith(
        "claim_missing: what.target; claim_missing: what.magnitude; claim_missing: what.unit;"
        " claim_missing: what.duration_ms; claim_missing: what.reversibility; claim_missing: what.confirm_by_ms"
    )
    assert script.do("open hover 60000").startswith("open refused ")
    _ended(script, recorder)
    assert kinds_of(recorder.state).count(5) == 2


def test_a_contemplated_act_is_opened_in_stages_and_aborted(script: Program, recorder: Running) -> None:
    """The recorder takes what the act would be and what came instead; the abort is an event."""
    assert script.do("stage tentative 60000").startswith("stage ok ")
    assert script.do("abort objection 9").startswith("abort ok ")
    assert script.settled()["events_acknowledged"] == 1
    _ended(script, recorder)
    assert recorded_in(recorder.state).events == [0]


def test_a_cycle_can_be_joined(script: Program, recorder: Running, driver: Path) -> None:
    """By its printed id, from another process; a mistyped id joins nothing."""
    opened = script.do("open motion 60000").split()[-1]
    with Program(driver, recorder.socket, "script") as other:
        assert other.do(f"join {opened[:-1]}{'0' if opened[-1] != '0' else '1'} 60000").startswith("join not_recorded ")
        assert other.do("join nonsense 60000").startswith("join misuse ")
        assert other.do(f"join {opened} 60000").startswith("join ok ")
        assert other.do("commit 3 60000").startswith("commit ok ")
        other.end()
    _ended(script, recorder)
    assert dict(recorded_in(recorder.state).commits) == {3: 1}


def test_a_class_that_holds_does_not_act_without_the_recorder(script: Program, recorder: Running) -> None:
    """Away or stopped: unavailable by the deadline; what the recorder may have got is abandoned, what never left is not."""
    script.do("open motion 60000")
    recorder.process.send_signal(signal.SIGSTOP)
    stopped = script.do("commit 1 1000")  # in which its thread has surely sent it
    recorder.process.send_signal(signal.SIGCONT)
    assert stopped.startswith("commit unavailable late=0 rule=1 "), stopped
    assert script.do("commit 2 60000").startswith("commit ok ")
    recorder.kill()
    wait_until(lambda: "nobody listens" in script.do("trouble"))
    away = script.do("commit 3 50")
    assert away.startswith(
        "commit unavailable late=0 rule=1 decision=-1 duplicate=0 no durable commit: nobody listens"
    ), away
    recorder.restart()
    assert script.do("commit 4 60000").startswith("commit ok ")
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    # Stopped, it was refused as late by the time the recorder went on, or stands there with an abandonment.
    assert found.abandoned == 1
    assert {2.0, 4.0} <= set(found.commits) <= {1.0, 2.0, 4.0}


def test_a_class_that_continues_acts_and_says_so(script: Program, recorder: Running) -> None:
    """At once where nobody is there, at the deadline where nobody answers; each follows as one ungated event."""
    script.do("open fast 60000")
    assert script.do("commit 1 60000").startswith("commit ok ")
    recorder.process.send_signal(signal.SIGSTOP)
    assert script.do("commit 2 50").startswith("commit ungated_pending late=0 rule=2 ")
    recorder.kill()
    wait_until(lambda: "nobody listens" in script.do("trouble"))
    assert script.do("commit 3 60000").startswith("commit ungated_pending ")
    recorder.restart()
    counts = script.settled()
    assert counts["events_acknowledged"] == 2
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    assert sorted(found.ungated) == [(2.0, "fast"), (3.0, "fast")]


def test_events_and_rows_outlive_the_recorder(script: Program, recorder: Running) -> None:
    """Given while it is away: kept, and delivered once, in order, when it is back."""
    script.do("open motion 60000")
    script.do("stream arm 1024")
    script.do("lane arm 64")
    recorder.kill()
    assert script.do("push - 500") == "push 500"
    assert script.do("event curtain 30") == "event 30"
    assert script.counts()["rows_pending"] == 500
    recorder.restart()
    script.settled()
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    assert list(found.ticks.values()) == [list(range(500))]
    assert found.events == list(range(30, 0, -1))
    assert found.gaps == []


def test_times_that_run_backwards_are_kept(script: Program, recorder: Running) -> None:
    """A message holds rows in the order of their times, so there it ends and another begins; none is turned away."""
    script.do("open motion 60000")
    script.do("stream arm 64")
    script.do("push - 5")
    script.do("back - 5")
    script.do("push - 5")
    assert script.settled()["rows_rejected"] == 0
    _ended(script, recorder)
    assert list(recorded_in(recorder.state).ticks.values()) == [list(range(15))]


def test_what_finds_no_room_is_declared(script: Program, recorder: Running) -> None:
    """A ring of 64 and 100 rows, a lane of 4 and 10 events: the rest stands in the log as gaps with their counts."""
    script.do("open motion 60000")
    script.do("stream arm 64")
    script.do("lane arm 4")
    recorder.kill()
    assert script.do("push - 100") == "push 64"
    assert script.do("event curtain 10") == "event 4"
    counts = script.counts()
    assert (counts["rows_dropped"], counts["events_dropped"], counts["losses_pending"]) == (36, 6, 42)
    recorder.restart()
    counts = script.settled()
    assert counts["lost_declared"] == 42
    assert script.do("push - 10") == "push 10"
    script.settled()
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    assert list(found.ticks.values()) == [[*range(64), *range(100, 110)]]
    assert sorted(found.gaps) == [(6, "event lane of client driver full"), (36, "row ring of client driver full")]


def test_what_the_recorder_does_not_take_is_declared(script: Program, recorder: Running) -> None:
    """An actuator that this user may not act for: its rows are lost, and even their gap may not name it."""
    script.do("open motion 60000")
    script.do("stream wing 64")
    script.do("push - 5")
    script.do("lane wing 4")
    script.do("event curtain 1")
    counts = script.settled()
    assert (counts["rows_rejected"], counts["events_rejected"], counts["lost_declared"]) == (5, 1, 6)
    assert counts["lost_undeclared"] == 0
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    assert sorted(count or 0 for count, _ in found.gaps) == [1, 5]
    assert all("for actuator wing, which it may not name: not_permitted" in reason for _, reason in found.gaps)


def test_the_answer_lost_with_the_connection_is_the_first_answer(
    script: Program, recorder: Running, driver: Path
) -> None:
    """Repeats over reconnects, from a recorder killed with answers on their way: nothing stands in the log twice."""
    script.do("open motion 60000")
    script.do("stream arm 4096")
    for _ in range(4):
        script.do("push - 200")
        recorder.process.send_signal(signal.SIGSTOP)
        recorder.kill()
        recorder.restart()
    script.settled()
    _ended(script, recorder)
    found = recorded_in(recorder.state)
    assert list(found.ticks.values()) == [list(range(800))]
    assert len(set(found.requests)) == len(found.requests)


def test_another_recorder_gets_what_the_first_did_not_answer(
    script: Program, recorder: Running, tmp_path: Path
) -> None:
    """A store that is gone, a new one in its place: ids begin anew, and nothing that waits is lost."""
    script.do("open motion 60000")
    script.do("stream arm 1024")
    script.do("push - 10")
    script.settled()
    recorder.kill()
    script.do("push - 10")
    shutil.rmtree(recorder.state)
    make_state(recorder.state)
    recorder.restart()
    script.settled()
    _ended(script, recorder)
    assert list(recorded_in(recorder.state).ticks.values()) == [list(range(10, 20))]


def test_a_flood_by_others_delays_and_loses_nothing(script: Program, recorder: Running) -> None:
    """Sixteen connections that ask without pause, one of which never reads, and one that sends garbage."""
    script.do("open motion 60000")
    script.do("stream arm 8192")
    over = threading.Event()

    def flood(garbage: bool) -> None:
        while not over.is_set():
            with Raw(recorder.socket) as raw:
                try:
                    for _ in range(100):
                        if garbage:
                            raw.sock.send(os.urandom(64))
                        else:
                            raw.ask(Verb.STATUS)
                except (OSError, AssertionError):
                    continue

    threads = [threading.Thread(target=flood, args=(number == 0,)) for number in range(16)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert script.do("push - 100") == "push 100"
            assert script.do("commit 1 60000").startswith("commit ok ")
        script.settled()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    _ended(script, recorder)
    assert list(recorded_in(recorder.state).ticks.values()) == [list(range(1000))]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for one segment of 4 MiB, but not for a second."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=7m", "tmpfs", str(disk)], check=False, capture_output=True
    ).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stalls_and_loses_nothing(driver: Path, small_disk: Path) -> None:
    """Commits hold, rows and events wait; with room again, all goes on where it stopped."""
    with Running(make_state(small_disk / "s")) as recorder, Program(driver, recorder.socket, "script") as script:
        script.do("open motion 60000")
        script.do("stream arm 65536")
        script.do("lane arm 16")
        pushed = 0
        while script.do("commit 1 60000").startswith("commit ok "):
            assert script.do("push - 2000") == "push 2000"
            pushed += 2000
            script.do("flush - 1000")
            assert pushed < 120_000, "the disk never filled"
        held = script.do("commit 2 60000")
        assert re.match(r"commit unavailable late=0 rule=1 .* store_full", held), held
        assert script.do("push - 100") == "push 100"
        assert script.do("event curtain 3") == "event 3"
        assert script.do("flush - 300").startswith("flush unavailable ")
        assert "cannot store" in script.do("trouble")
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        counts = script.settled()
        assert counts["rows_acknowledged"] == pushed + 100
        assert (counts["events_acknowledged"], counts["lost_declared"]) == (3, 0)
        _ended(script, recorder)
        found = recorded_in(recorder.state)
        assert list(found.ticks.values()) == [list(range(pushed + 100))]


def test_a_commit_that_two_are_to_witness(driver: Path, tmp_path: Path) -> None:
    """It is durable without them; the report waits for both, and tells who they were; a commit that asked nobody has none."""
    state = make_state(tmp_path / "s", append='["mark", "evidence"]', more="mesh = true")
    with Running(state) as recorder, Program(driver, recorder.socket, "script") as script:
        with Mesh(recorder.socket, ["arm-8", "arm-9"]) as mesh:
            script.do("open motion 60000")
            assert script.do("ask 0.5 60000").startswith("ask ok")
            assert script.do("witnessed - 0").endswith("0 of 2, 2 asked, 0 in time:")
            mesh.sign("arm-8")
            mesh.sign("arm-9")
            assert script.do("witnessed - 60000").endswith("2 of 2, 2 asked, 2 in time: arm-8")
        _ended(script, recorder)
