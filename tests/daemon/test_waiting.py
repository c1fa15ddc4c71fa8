"""What readers ask for and what time brings waits for nobody else, and nobody else for it."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.core.messages import Status, Verb
from tests.claims import WHAT
from tests.daemon.raw import Raw
from tests.running import Running, make_state, verified

WINDOW = 256


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A recorder whose next segment takes ten seconds at its own pace."""
    state = make_state(tmp_path / "s", checkpoint_s=1)
    config = state / "recorder.toml"
    config.write_text(config.read_text().replace("segment_mib = 4", "segment_mib = 128"))
    with Running(state) as started:
        yield started


def commit(opened: Any) -> list[Any]:
    return [opened[0], None, opened[5]["arm"], WHAT, {}, time.clock_gettime_ns(time.CLOCK_BOOTTIME), None]


def test_commits_go_on_while_a_seal_waits_for_its_segment(running: Running) -> None:
    """A technician's extraction may wait for seconds; no controller may."""
    with Raw(running.socket) as technician, Raw(running.socket) as controller:
        _, opened = controller.open_cycle()
        technician.sock.settimeout(240)
        technician.send([Verb.SEAL, 1])
        technician.send([Verb.SEAL, 2])
        assert technician.receive()[:2] == (Status.ERROR, 2), "one at a time"
        assert controller.ask(Verb.COMMIT, *commit(opened))[0] == Status.OK
        assert not select.select([technician.sock], [], [], 0)[0], "it was sealed at once: this shows nothing"
        status, counter, note = technician.receive()
        assert (status, counter) == (Status.OK, 1)
        assert int(note.split(b"\n")[1]) >= 5, "all that was recorded before it was answered"
        assert controller.ask(Verb.STATUS)[1]["segments"] == 2
    assert running.stop() == 0
    assert verified(running.state).problem_counts == {}


def test_one_read_of_a_connection_at_a_time(running: Running) -> None:
    """What is asked for ahead would be memory of the recorder's; and who may not read is told so at once."""
    with Raw(running.socket) as raw:
        running.process.send_signal(signal.SIGSTOP)
        for counter in range(1, 5):
            raw.send([Verb.READ, counter, 0, 65_536])
        running.process.send_signal(signal.SIGCONT)
        answers = sorted((raw.receive() for _ in range(4)), key=lambda one: one[1])
    assert [status for status, _, _ in answers] == [Status.OK, *[Status.ERROR] * 3]
    assert {body[0] for _, _, body in answers[1:]} == {"busy"}


def test_a_head_is_signed_under_load(running: Running) -> None:
    """By its interval, though a message always waits."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=100_000)
        before = raw.ask(Verb.STATUS)[1]["entries"]
        began_s, done = time.monotonic(), False
        in_flight = 0
        while not done:
            while in_flight < WINDOW:
                raw.counter += 1
                raw.send([Verb.COMMIT, raw.counter, *commit(opened)])
                in_flight += 1
            raw.receive()
            in_flight -= 1
            if raw.counter % 1000 == 0:
                raw.counter += 1
                raw.send([Verb.STATUS, raw.counter])
                while (answer := raw.receive())[1] != raw.counter:
                    in_flight -= 1
                done = answer[2]["checkpoint_size"] > before
                assert time.monotonic() - began_s < 60
        for _ in range(in_flight):
            raw.receive()
