"""The verbs that read, against a recorder that runs and is driven meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Recorder
from tests.claims import WHAT, WHO, WHY
from tests.running import Running, make_state, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Running]:
    """A recorder that lets us log extractions."""
    with Running(make_state(tmp_path / "s", append='["mark", "observation", "extraction"]')) as started:
        yield started


def commit(recorder: Running, count: int) -> None:
    with (
        Recorder(recorder.socket, timeout_ms=60_000) as client,
        client.open_cycle(
            who=WHO, why=WHY, actuators=["arm.joint1", "arm"], action_classes=["motion"], max_commits=1000,
            valid_ms=60_000,
        ) as cycle,
    ):  # fmt: skip
        stream = cycle.stream("arm", fields=[("q", "<f4", 2, "rad")], what=WHAT, where={})
        for number in range(count):
            stream.record(([0.5, number / 1000],))
            cycle.commit("arm.joint1", what=WHAT, where={"frame": "base"})
        client.flush(240)


@contextmanager
def driven(recorder: Running) -> Iterator[None]:
    """Somebody commits all the while."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def drive() -> None:
        try:
            while not stop.is_set():
                commit(recorder, 5)
        except BaseException as error:  # noqa: BLE001 -- shown by the test
            failures.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


def lineage(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "recorder.cli", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_everything_can_be_asked_of_a_recorder_that_is_working(recorder: Running, tmp_path: Path) -> None:
    """Log, walk, show, questions, verify and extract while commits go on; the bundle holds the receipt and verifies."""
    commit(recorder, 10)
    state = recorder.state
    with driven(recorder):
        status, out, _ = lineage("verify", "--state", state, "--json")
        assert (status, json.loads(out)["integrity"]) == (0, "pass")
        status, out, _ = lineage("log", "--state", state, "--no-follow", "-n", 5, "--json")
        assert (status, out.count("\n")) == (0, 5)
        printed = json.loads(out.split("\n")[0])["id"]
        status, out, _ = lineage("show", printed, "--state", state, "--json")
        assert (status, json.loads(out)["id"]) == (0, printed)
        assert json.loads(out)["proof"].startswith("c2sp.org/tlog-proof@v1\n")
        status, out, _ = lineage("walk", "--state", state, "--axis", "actuator", "--of", "arm", "--since", "1m")
        assert (status, "BROKEN" in out) == (0, False)
        assert out
        status, out, err = lineage("query", "--state", state, "--kind", "actuation", "-n", 1, "--json")
        assert status == 0, err
        commit_id = json.loads(out)["listed"][0]["id"]
        assert lineage("why", commit_id, "--state", state)[0] == 0
        status, out, err = lineage("impact", json.loads(out)["listed"][0]["why"]["carrier"], "--state", state)
        assert (status, "commits and" in out) == (0, True), err
        status, out, err = lineage("query", "--links", "--state", state)
        assert status == 0, out + err
        status, out, err = lineage("extract", "--state", state, "--to", tmp_path / "a.lineage")
        assert status == 0, err
        assert "logged this extraction as entry" in out
        status, out, err = lineage("extract", "--state", state, "--to", tmp_path / "b.lineage", "--since", "3")
        assert status == 0, err
    assert recorder.stop() == 0
    status, out, _ = lineage("verify", tmp_path / "a.lineage")
    assert (status, "unsigned" in out) == (0, False)
    assert lineage("verify", tmp_path / "b.lineage")[0] == 3
    status, out, _ = lineage("verify", "--state", state)
    assert status == 0, out


def test_what_a_bundle_leaves_out_of_a_later_state_is_found(recorder: Running, tmp_path: Path) -> None:
    """A checkpoint that was carried away earlier is a known head of the state, and the other way round."""
    commit(recorder, 3)
    lineage("extract", "--state", recorder.state, "--to", tmp_path / "early.lineage")
    commit(recorder, 3)
    recorder.stop()
    lineage("extract", "--state", recorder.state, "--to", tmp_path / "late.lineage")
    for name in ("early", "late"):
        with zipfile.ZipFile(tmp_path / f"{name}.lineage") as opened:
            (tmp_path / f"{name}.head").write_bytes(opened.read("checkpoint"))
    assert lineage("verify", tmp_path / "late.lineage", "--checkpoint", tmp_path / "early.head")[0] == 0
    status, out, _ = lineage("verify", tmp_path / "early.lineage", "--checkpoint", tmp_path / "late.head")
    assert status == 1
    assert "truncated" in out


def test_log_follows(recorder: Running) -> None:
    """Entries appear as they come, and a recorder that restarts is waited for."""
    commit(recorder, 2)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "recorder.cli", "log", "--state", str(recorder.state), "-n", "1", "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen: list[dict[str, Any]] = []

    def read() -> None:
        assert process.stdout is not None
        seen.extend(json.loads(line) for line in process.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(lambda: len(seen) == 1)
        commit(recorder, 3)
        wait_until(lambda: any(entry["kind"] == "cycle_end" for entry in seen[1:]))
        recorder.stop()
        recorder._hang_up()
        recorder.restart()
        wait_until(lambda: any(entry["kind"] == "boot" for entry in seen))
        process.send_signal(signal.SIGINT)  # as its reader ends it
        assert process.wait(240) == 130
    finally:
        process.kill()
        process.wait()
        reader.join()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    assert [entry["seq"] for entry in seen] == list(range(seen[0]["seq"], seen[0]["seq"] + len(seen)))


def test_without_the_right_to_log_it_an_extraction_is_unsigned(tmp_path: Path) -> None:
    """Who may read but not append takes the evidence along all the same."""
    with Running(make_state(tmp_path / "s")) as recorder:
        commit(recorder, 2)
        status, out, err = lineage("extract", "--state", recorder.state, "--to", tmp_path / "a.lineage")
        assert status == 0, err
        assert "unsigned" in out
        assert "not_permitted" in out
        recorder.stop()
    assert lineage("verify", tmp_path / "a.lineage")[0] == 0


def test_a_recorder_that_was_killed_leaves_a_lineage_that_verifies(recorder: Running, tmp_path: Path) -> None:
    """Stopped or killed, the state is read from its files; the missing stop shows once a boot follows."""
    commit(recorder, 3)
    recorder.kill()
    assert lineage("verify", "--state", recorder.state)[0] == 0
    assert lineage("extract", "--state", recorder.state, "--to", tmp_path / "a.lineage")[0] == 0
    assert lineage("verify", tmp_path / "a.lineage")[0] == 0
    recorder.restart()
    recorder.stop()
    status, out, _ = lineage("verify", "--state", recorder.state)
    assert status == 3
    assert "unclean_stop" in out


def test_a_recorder_that_is_paused_is_one_clear_line(recorder: Running) -> None:
    """It holds the lock and does not answer: nothing is read behind its back."""
    recorder.process.send_signal(signal.SIGSTOP)
    try:
        status, out, err = lineage("log", "--state", recorder.state)
    finally:
        recorder.process.send_signal(signal.SIGCONT)
    assert (status, out) == (2, "")
    assert err.startswith("lineage: ")
    assert err.count("\n") == 1
