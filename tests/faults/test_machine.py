"""A machine that misbehaves: it is suspended, its clocks jump, its memory is short."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.core.messages import Status
from tests.daemon.raw import Raw
from tests.faults import clocks
from tests.faults.clients import Controllers, commits, opened
from tests.faults.recovery import findings
from tests.faults.replay import Promised
from tests.faults.serving import Serving
from tests.running import make_state, records_of, verified

pytestmark = pytest.mark.alone

MIB = 1 << 20
YEAR_S = 366 * 86_400
BIG_BYTES = 48_000


def _suspended(tmp_path: Path, times: int) -> int:
    """Clients at work while the recorder is stopped and continued; returns the commits acknowledged."""
    state = make_state(tmp_path / "state", checkpoint_s=1)
    chance = random.Random(times)
    with Serving(state, tmp_path / "socket") as serving:
        with Controllers(serving.socket, 3) as controllers:
            for _ in range(times):
                time.sleep(chance.uniform(0.05, 0.2))
                serving.process.send_signal(signal.SIGSTOP)
                time.sleep(chance.uniform(0.1, 0.6))
                serving.process.send_signal(signal.SIGCONT)
        assert controllers.troubles == []
        assert serving.stop() == 0, serving.said
    assert findings(state, controllers.promised, losses=frozenset()) == []
    return controllers.commits


def test_a_recorder_that_is_stopped_and_continued(tmp_path: Path) -> None:
    """SIGSTOP at any moment, SIGCONT later: clients wait and go on, nothing is lost, twice, or marked as a gap."""
    assert _suspended(tmp_path, 6) > 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_recorder_that_is_stopped_very_often(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same three hundred times."""
    count = _suspended(tmp_path, 300)
    with capsys.disabled():
        print(f"\n{count} commits acknowledged over 300 suspensions")


@pytest.mark.skipif(clocks.unavailable() is not None, reason=str(clocks.unavailable()))
def test_utc_jumps_by_a_year_both_ways(tmp_path: Path) -> None:
    """A year forward, two back, a restart a year early, to 1970: each step under way is an entry, cycles live on, all verifies."""
    state = make_state(tmp_path / "state", checkpoint_s=3600)
    offsets = clocks.Offsets(tmp_path)
    promised = Promised()
    jumps = [YEAR_S, -YEAR_S, 0, -int(time.time()) + 1000]
    with Serving(state, tmp_path / "socket", environment=offsets.environment) as serving:
        with Raw(serving.socket, hello=False) as raw:
            cycle = opened(raw, promised)
            for jump in jumps:
                assert commits(raw, cycle, promised, 3) is None
                offsets.jump(utc_s=jump)
            assert commits(raw, cycle, promised, 3) is None
        offsets.jump(utc_s=0)
        assert serving.stop(signal.SIGKILL) == -signal.SIGKILL
    offsets.jump(utc_s=-YEAR_S)  # between two runs nobody can say by how much it was set
    with (
        Serving(state, tmp_path / "socket", environment=offsets.environment) as serving,
        Raw(serving.socket, hello=False) as raw,
    ):
        cycle = opened(raw, promised)
        assert commits(raw, cycle, promised, 3) is None
        assert serving.stop() == 0, serving.said
    steps = [decode(raw).header.kind for raw, _ in records_of(state)].count(Kind.CLOCK_STEP)
    assert steps >= len(jumps)
    assert set(verified(state).problem_counts) <= {"unclean_stop"}, verified(state).problems
    assert findings(state, promised) == []


@pytest.mark.skipif(clocks.unavailable() is not None, reason=str(clocks.unavailable()))
def test_a_year_of_sleep(tmp_path: Path) -> None:
    """CLOCK_BOOTTIME a year on, as after a suspension: old cycles are over, the epoch key is changed, new cycles work."""
    state = make_state(tmp_path / "state", checkpoint_s=3600)
    offsets = clocks.Offsets(tmp_path)
    promised = Promised()
    with Serving(state, tmp_path / "socket", environment=offsets.environment) as serving:
        with Raw(serving.socket, hello=False) as raw:
            cycle = opened(raw, promised)
            assert commits(raw, cycle, promised, 3) is None
            offsets.jump(utc_s=YEAR_S, boottime_s=YEAR_S)
            refused = commits(raw, cycle, promised, 1)
            assert refused is not None
            assert "expired" in str(refused)
            status, again = raw.open_cycle()
            assert status == Status.OK
            assert commits(raw, again, promised, 3) is None
        time.sleep(1.5)  # the epoch is looked at once a second
        assert serving.stop() == 0, serving.said
    kinds = [decode(raw).header.kind for raw, _ in records_of(state)]
    assert Kind.EPOCH in kinds
    assert verified(state).problem_counts == {}, verified(state).problems


def _in_little_memory(tmp_path: Path, segment_mib: int, commits_count: int) -> None:
    """Big commits over several segments with no more than 512 MiB of addresses."""
    state = make_state(tmp_path / "state", checkpoint_s=1)
    config = state / "recorder.toml"
    config.write_text(config.read_text().replace("segment_mib = 4", f"segment_mib = {segment_mib}"))
    promised = Promised()
    limit = ("prlimit", f"--as={512 * MIB}")
    with Serving(state, tmp_path / "socket", under=limit) as serving:
        assert serving.records, serving.said
        with Raw(serving.socket, hello=False) as raw:
            cycle = opened(raw, promised)
            assert commits(raw, cycle, promised, commits_count, padding=BIG_BYTES) is None
        assert serving.stop(signal.SIGKILL) == -signal.SIGKILL
    with Serving(state, tmp_path / "socket", under=limit) as serving:  # recovery has no more
        assert serving.records, serving.said
        with Raw(serving.socket, hello=False) as raw:
            cycle = opened(raw, promised)
            assert commits(raw, cycle, promised, 10, padding=BIG_BYTES) is None
        assert serving.stop() == 0, serving.said
    assert len(list((state / "lineages").glob("*/segments/0*"))) >= 4
    assert findings(state, promised) == []


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="no prlimit")
def test_half_a_gibibyte_of_memory(tmp_path: Path) -> None:
    """512 MiB of address space, stricter than of memory: segments roll, a restart recovers."""
    _in_little_memory(tmp_path, segment_mib=4, commits_count=300)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="no prlimit")
def test_half_a_gibibyte_of_memory_with_large_segments(tmp_path: Path) -> None:
    """The same with segments of 64 MiB, as on a device."""
    _in_little_memory(tmp_path, segment_mib=64, commits_count=4500)
