"""A bad storage device, as a file system in user space: slow, pausing, full, read-only, failing late."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from recorder.core.messages import Status, Verb
from tests.daemon.raw import Raw
from tests.faults.clients import Controllers, HungUp, commits, opened
from tests.faults.device import SD_CARD, Device
from tests.faults.mounted import Mounted, unavailable
from tests.faults.recovery import findings
from tests.faults.replay import Promised
from tests.faults.serving import Serving
from tests.running import lineage_of, make_state, wait_until

_missing = unavailable()
pytestmark = [pytest.mark.skipif(_missing is not None, reason=str(_missing)), pytest.mark.alone]

MIB = 1 << 20
BIG_BYTES = 48_000


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    """A device without faults, with a state on it."""
    with Mounted(tmp_path) as mounted:
        make_state(mounted.path / "state")
        yield mounted


def _serving(mounted: Mounted) -> Serving:
    return Serving(mounted.path / "state", mounted.path.parent / "socket")


def _work_on_a_card(mounted: Mounted, syncs: int, *, kills: int = 0) -> int:
    """Clients at work until so many syncs are done, the recorder killed meanwhile; returns the commits acknowledged."""
    done = before = mounted.become(SD_CARD)
    chance = random.Random(syncs)
    kill_at = sorted(chance.sample(range(before, before + syncs), kills))
    serving = _serving(mounted)
    with Controllers(serving.socket, 3) as controllers:
        while done < before + syncs and not controllers.troubles:
            time.sleep(0.05)
            done = mounted.become(SD_CARD)
            if kill_at and done > kill_at[0]:
                kill_at.pop(0)
                serving.stop(signal.SIGKILL)
                serving = _serving(mounted)
                assert serving.records, serving.said
    assert controllers.troubles == []
    assert serving.stop() == 0, serving.said
    losses = frozenset({"unclean_stop", "gap_declared"} if kills else ())
    assert findings(mounted.path / "state", controllers.promised, losses=losses) == []
    return controllers.commits


def test_a_card_that_pauses(mounted: Mounted) -> None:
    """4.2 ms a sync and half a second every 200: clients wait, nothing is refused, lost or twice."""
    assert _work_on_a_card(mounted, 450) > 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_card_that_pauses_for_long(mounted: Mounted, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for twenty thousand syncs, with forty kills."""
    count = _work_on_a_card(mounted, 20_000, kills=40)
    with capsys.disabled():
        print(f"\n{count} commits acknowledged over 20,000 syncs and 40 kills")


def _two_segments(mounted: Mounted) -> int:
    """Bytes in use once the first segment and the one after it are made."""
    wait_until((lineage_of(mounted.path / "state") / "segments" / "00000002").exists)
    return sum(path.stat().st_size for path in mounted.backing.rglob("*") if path.is_file())


def test_a_card_that_fills_up(mounted: Mounted) -> None:
    """No room for a third segment: new commits are refused as `store_full`, all earlier ones stay; with room it goes on."""
    promised = Promised()
    with _serving(mounted) as serving, Raw(serving.socket, hello=False) as raw:
        cycle = opened(raw, promised)
        mounted.become(Device(capacity_bytes=_two_segments(mounted)))
        refused = commits(raw, cycle, promised, 1000, padding=BIG_BYTES, window=2)
        assert refused is not None
        assert refused[0] == "store_full"
        acknowledged = len(promised.entries)
        assert raw.ask(Verb.STATUS)[1]["store_full"]
        sealed = raw.ask(Verb.SEAL)  # nothing was written: no reason to stop
        assert (sealed[0], sealed[1][0]) == (Status.ERROR, "checkpoint_failed")
        mounted.become(Device())
        wait_until((lineage_of(mounted.path / "state") / "segments" / "00000003").exists)
        assert not raw.ask(Verb.STATUS)[1]["store_full"]
        assert commits(raw, cycle, promised, 20, padding=BIG_BYTES) is None
        assert len(promised.entries) > acknowledged > 100
        assert serving.stop() == 0, serving.said
    assert findings(mounted.path / "state", promised) == []


def test_a_full_card_and_a_client_that_tries_again(mounted: Mounted) -> None:
    """Room for most of a third segment, and commits that never stop: they are refused, and the recorder stays."""
    promised = Promised()
    with _serving(mounted) as serving, Raw(serving.socket, hello=False) as raw:
        cycle = opened(raw, promised)
        mounted.become(Device(capacity_bytes=_two_segments(mounted) + 3 * MIB))
        until_s = None
        with suppress(HungUp, ConnectionError):
            while until_s is None or time.monotonic() < until_s:
                refused = commits(raw, cycle, promised, 1000, padding=BIG_BYTES, window=2)
                if refused is not None and until_s is None:
                    assert refused[0] == "store_full"
                    until_s = time.monotonic() + 5  # the segment is tried again once a second
                time.sleep(0.005)
        assert serving.process.poll() is None, serving.wait()
        assert serving.stop() == 0, serving.said
    assert findings(mounted.path / "state", promised) == []


def test_a_full_card_at_a_start(mounted: Mounted) -> None:
    """Not even room for a first segment: one line, status 2, and nothing stays behind that a start with room trips over."""
    mounted.become(Device(capacity_bytes=3 * MIB))
    with _serving(mounted) as serving:
        assert not serving.records
        assert serving.wait() == 2
        assert len(serving.errors) == 1, serving.said
        assert "No space left" in serving.said
    mounted.become(Device())
    assert findings(mounted.path / "state", Promised()) == []


@pytest.mark.parametrize(
    "device", [Device(read_only=True), Device(fail_syncs=True)], ids=["read-only", "syncs fail late"]
)
def test_a_device_that_fails_under_way(mounted: Mounted, device: Device) -> None:
    """It ends with status 1 and one line, acknowledges nothing more, does not start on it, and recovers once it is mended."""
    mounted.become(replace(device, read_only=False, fail_syncs=False))
    promised = Promised()
    with _serving(mounted) as serving:
        wait_until((lineage_of(mounted.path / "state") / "segments" / "00000002").exists)
        with suppress(ConnectionError, HungUp), Raw(serving.socket, hello=False) as raw:
            cycle = opened(raw, promised)
            assert commits(raw, cycle, promised, 40) is None
            mounted.become(device)
            acknowledged = len(promised.entries)
            assert commits(raw, cycle, promised, 40) is None
            pytest.fail("it acknowledged what it could not store")
        assert serving.wait() == 1, serving.said
        assert len(serving.errors) == 1, serving.said
        assert len(promised.entries) == acknowledged
    with _serving(mounted) as serving:
        assert not serving.records
        assert serving.wait() in (1, 2)
        assert len(serving.errors) == 1, serving.said
    mounted.become(Device())
    assert findings(mounted.path / "state", promised) == []
