"""A device that fails: EIO and ENOSPC from every call that changes the state, one at a time, once and for good."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from recorder.core.messages import Verb
from tests import fleet
from tests.claims import WHAT
from tests.daemon.raw import Raw
from tests.faults import governed, governed_story
from tests.faults.injected import Failing, Tried, possible, story, tried
from tests.faults.injected_sweep import SweepFailing, erasing, full, possible_in_sweep, tried_in_sweep
from tests.faults.recovery import findings
from tests.faults.replay import Promised
from tests.faults.traced import Traced
from tests.faults.work import IN_HASTE
from tests.running import Running, lineage_of, make_state, wait_until

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

LONG_PARTS = 8
# Raises as LMDB does, with the transaction durable all the same: what a device may do whose error comes late.
_PERSISTED = """
from recorder.store.errors import SyncFailedError
from recorder.store.segment import Segment
commit, left = Segment.put, [{count}]
def failing(self, puts):
    commit(self, puts)
    left[0] -= 1
    if left[0] == 0:
        raise SyncFailedError("writing failed: Input/output error")
Segment.put = failing
"""

_SWALLOWS = """
import contextlib
from recorder.store import erase
cut = erase._cut
def swallowing(data, size):
    with contextlib.suppress(OSError):
        cut(data, size)
erase._cut = swallowing
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state before its first start."""
    return make_state(tmp_path_factory.mktemp("fresh") / "state", checkpoint_s=3600)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose next segment is made, so that only the main thread makes calls for a while."""
    state = make_state(tmp_path_factory.mktemp("settled") / "state", checkpoint_s=3600)
    with Running(state) as running:
        wait_until((lineage_of(state) / "segments" / "00000002").exists)
        assert running.stop() == 0
    return state


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose next start gives claims up."""
    return full(tmp_path_factory.mktemp("over"))


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state before its first start, that trusts a root."""
    return fleet.trusting(make_state(tmp_path_factory.mktemp("trusting") / "state", checkpoint_s=3600))


def _wrong(failing: Failing | SweepFailing, done: Tried) -> list[str]:
    return [f"{failing}: {line}" for line in done.found]


def test_a_failing_call_costs_nothing_that_was_acknowledged(fresh: Path, settled: Path, tmp_path: Path) -> None:
    """One failure of each call on each file: one clear line and an exit status, or it goes on; then a start finds all."""
    chance = random.Random(1)
    wrong: list[str] = []
    kinds: set[tuple[str, str]] = set()
    for state in (fresh, settled):
        choices = possible(state, tmp_path)
        chance.shuffle(choices)
        for failing in choices:
            if (failing.call, failing.place) not in kinds:
                kinds.add((failing.call, failing.place))
                wrong += _wrong(failing, tried(state, tmp_path, failing))
    print(f"{len(kinds)} injections")
    assert wrong == []
    assert len(kinds) > 15


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_every_failing_call(
    fresh: Path, settled: Path, tmp_path: Path, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call, with each error, once and lasting."""
    wrong, count = [], 0
    for state in (fresh, settled):
        for failing in possible(state, tmp_path)[part::LONG_PARTS]:
            wrong += _wrong(failing, tried(state, tmp_path, failing))
            count += 1
    with capsys.disabled():
        print(f"\n{count} injections, {len(wrong)} wrong")
    assert wrong == []


def test_a_failing_call_under_a_policy(trusting: Path, tmp_path: Path) -> None:
    """What was installed, spent and used is there after it, as far as it was acknowledged; `authority` judges it."""
    told = governed_story.story(governed.authority(trusting))
    choices = possible(trusting, tmp_path, told)
    random.Random(1).shuffle(choices)
    chosen = {failing.call: failing for failing in choices if failing.place.startswith("lineages")}
    wrong: list[str] = []
    for name in ("pwrite64", "fdatasync"):
        wrong += _wrong(chosen[name], tried(trusting, tmp_path, chosen[name], told))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_every_failing_call_under_a_policy(
    trusting: Path, tmp_path: Path, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call, with each error, once and lasting."""
    told = governed_story.story(governed.authority(trusting))
    wrong, count = [], 0
    for failing in possible(trusting, tmp_path, told)[part::LONG_PARTS]:
        wrong += _wrong(failing, tried(trusting, tmp_path, failing, told))
        count += 1
    with capsys.disabled():
        print(f"\n{count} injections, {len(wrong)} wrong")
    assert wrong == []


def test_a_failing_call_while_claims_go(over: Path, tmp_path: Path) -> None:
    """In the child that rewrites segments: one line, recording goes on, and the next start does what was announced."""
    choices = possible_in_sweep(over, tmp_path)
    random.Random(1).shuffle(choices)
    chosen = {failing.call: failing for failing in choices}
    wrong: list[str] = []
    for failing in chosen.values():
        wrong += _wrong(failing, tried_in_sweep(over, tmp_path, failing))
    assert wrong == []
    assert chosen.keys() >= {"pwrite64", "fdatasync", "fsync", "ftruncate", "write", "rename"}


def test_a_child_that_swallows_a_failed_sync_is_found_out(over: Path, tmp_path: Path) -> None:
    """A sweep that goes on after one says nothing, which this suite takes for a fault."""
    failing = next(
        one for one in possible_in_sweep(over, tmp_path) if one.call == "fsync" and one.path.parent.suffix == ".tmp"
    )
    done = tried_in_sweep(over, tmp_path, failing, _SWALLOWS)
    assert done.found == ["status 0, and says []"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_every_failing_call_while_claims_go(
    over: Path, tmp_path: Path, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call of the child and of the recorder, with each error, once and lasting."""
    wrong, count = [], 0
    for failing in possible_in_sweep(over, tmp_path)[part::LONG_PARTS]:
        wrong += _wrong(failing, tried_in_sweep(over, tmp_path, failing))
        count += 1
    for failing_here in possible(over, tmp_path, erasing, IN_HASTE)[part::LONG_PARTS]:
        wrong += _wrong(failing_here, tried(over, tmp_path, failing_here, erasing, IN_HASTE))
        count += 1
    with capsys.disabled():
        print(f"\n{count} injections, {len(wrong)} wrong")
    assert wrong == []


@pytest.mark.parametrize("count", [3, 5, 7])
def test_a_failed_sync_whose_bytes_arrived(fresh: Path, tmp_path: Path, count: int) -> None:
    """A commit that is durable but reported as failed: it ends the recorder, is acknowledged to nobody, and is there once."""
    state = Path(shutil.copytree(fresh, tmp_path / "state"))
    promised = Promised()
    with Traced(state, tmp_path / "socket", tmp_path / "trace", prelude=_PERSISTED.format(count=count)) as traced:
        if traced.records:
            story(tmp_path / "socket", promised)
        assert traced.wait() in (1, 2), traced.said
    assert findings(state, promised) == []


def test_a_failed_sync_in_a_seal_ends_the_recorder(settled: Path, tmp_path: Path) -> None:
    """The head of the sealing segment is durable but reported as failed: going on in the old one would lose all that follows."""
    state = Path(shutil.copytree(settled, tmp_path / "state"))
    promised = Promised()
    # Boot entry, policy entry, actuators, cycle; then the seal's.
    with Traced(state, tmp_path / "socket", tmp_path / "trace", prelude=_PERSISTED.format(count=4)) as traced:
        with suppress(AssertionError, ConnectionError), Raw(tmp_path / "socket") as raw:
            _, opened = raw.open_cycle()
            promised.entries[opened[0]] = opened[1]
            raw.ask(Verb.SEAL)
            _, receipt = raw.ask(Verb.COMMIT, opened[0], None, opened[5]["arm"], WHAT, {}, 5, None)
            promised.entries[receipt[0]] = receipt[2]
            traced.process.terminate()
        assert traced.wait() == 1, traced.said
    assert findings(state, promised) == []
