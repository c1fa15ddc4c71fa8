"""Loads and floors against a real recorder: what they count is what it stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.bench import floors, loads, place
from recorder.bench.acts import ACTUATOR
from recorder.bench.process import ProcessError, RecorderProcess
from recorder.bench.raw import RawClient
from recorder.client import Recorder
from recorder.client.session import outgoing
from recorder.core.messages import Verb
from tests.cli.states import lineage


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RecorderProcess]:
    """A recorder to load."""
    state = tmp_path / "state"
    place.make(state, [ACTUATOR], 4)
    with RecorderProcess(state, state / "recorder.sock", tmp_path / "log") as process:
        process.start()
        yield process


@pytest.mark.parametrize("name", list(loads.LOADS))
def test_a_load_counts_what_is_stored(recorder: RecorderProcess, name: str) -> None:
    """As many commits or rows lie in the store as it says, and the lineage verifies."""
    with Recorder(recorder.path, timeout_ms=60_000) as client:
        before = client.status()["entries"]
        done = loads.LOADS[name](recorder.path, 0.05)
        after = client.status()["entries"]
    assert recorder.stop() == 0
    assert done.acts > 0
    assert sum(sample.acts for sample in floors.stored(recorder.state, before, after)) == done.acts
    assert lineage("verify", "--state", recorder.state).returncode == 0


def test_a_refusal_ends_the_pipeline(recorder: RecorderProcess) -> None:
    """What is not recorded is not counted as if it were."""
    with RawClient(recorder.path, "bench") as raw, pytest.raises(ProcessError, match="did not take"):
        raw.pipeline([outgoing(Verb.COMMIT, 999, None, 1, {}, {}, 1, None)], 4, 0.1)


def test_a_pipeline_without_time(recorder: RecorderProcess) -> None:
    """It sends nothing, and waits for no answer."""
    with RawClient(recorder.path, "bench") as raw:
        assert raw.pipeline([outgoing(Verb.STATUS)], 4, 0).answered == 0
        assert raw.ask(Verb.STATUS)["entries"] > 0
