"""What a reader is told of each thing that a device may say, or that may be said in its name (firmware_bridge/DESIGN.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.cli.verify_text import print_report
from recorder.core.deviceframe import CommitRequest, Outcome
from recorder.core.verify import verify_lineage
from tests.audit.lineages import write_state
from tests.batches import Bench, InTheNameOf
from tests.cli.states import lineage
from tests.frames import DEVICE, KID
from tests.gated_builder import GatedBuilder
from tests.vectors.broken_devices import bench

Story = Callable[[GatedBuilder, Bench], None]
CONFIRM_BY_MS, LATE_NS = 500, 2_000_000_000


def committed(made: GatedBuilder, actuators: tuple[int, ...] = (1,)) -> int:
    return made.commit(made.gated(actuators), actuators)


def elsewhere(made: GatedBuilder, device: Bench) -> None:
    """It says that it reached another place than it was told to."""
    device.batch(device.reached(committed(made), value=3.0))


def stuck(made: GatedBuilder, device: Bench) -> None:
    device.batch(device.reached(committed(made))._replace(outcome=Outcome.NOT_MOVED))


def late(made: GatedBuilder, device: Bench) -> None:
    commit = committed(made)
    made.clock.pass_ns(LATE_NS)
    device.batch(device.reached(commit))


def never(made: GatedBuilder, _: Bench) -> None:
    committed(made)
    made.clock.pass_ns(LATE_NS)


def twice(made: GatedBuilder, device: Bench) -> None:
    commit = committed(made)
    device.batch(device.reached(commit))
    device.batch(device.reached(commit))


def of_another_actuator(made: GatedBuilder, device: Bench) -> None:
    commit = committed(made, (2,))
    device.batch(device.reached(commit))


def of_no_commit(made: GatedBuilder, device: Bench) -> None:
    """As the bridge records it: without naming what is not there."""
    commit = committed(made)
    device.batch(device.reached(commit, 7), device.reached(commit), refs=[[None, commit, made.hash_of(commit), 0]])


def by_a_thief(made: GatedBuilder, device: Bench) -> None:
    device.batch(device.reached(committed(made)), by=InTheNameOf(DEVICE, made.identity))


def deleted(made: GatedBuilder, device: Bench) -> None:
    device.batch(device.reached(committed(made)))
    made.records[-1] = made.records[-1]._replace(claims=None)


def asked_for(made: GatedBuilder, device: Bench) -> None:
    made.doing = {**made.doing, "device": [KID, 1, 0]}
    commit = committed(made)
    made.doing.pop("device")
    device.batch(CommitRequest(4, 1, [(2, 0.5)], None, None), device.reached(commit))


def not_asked_for(made: GatedBuilder, device: Bench) -> None:
    made.doing = {**made.doing, "device": [KID, 1, 9]}
    device.batch(device.reached(committed(made)))


@pytest.mark.parametrize(
    ("story", "verdicts", "words"),
    [
        (elsewhere, "pass pass pass", "note: 1 commits were confirmed by devices"),
        (stuck, "pass pass pass", "note: 1 confirmations say that a commit was not reached, or in part"),
        (late, "pass pass pass", "note: 1 commits were confirmed by devices"),
        (never, "pass lossy pass", "unconfirmed: commit 8.0 was due to be confirmed, and its effect is not known"),
        (twice, "pass pass pass", "note: 1 confirmations are of commits that were confirmed before"),
        (of_another_actuator, "pass pass fail", "the credential of motor controller 3 is not for 'elbow'"),
        (of_no_commit, "pass pass fail", "confirmation_frames: key 12 lacks entry"),
        (by_a_thief, "pass pass fail", "confirmation_signature: not signed by"),
        (deleted, "fail pass indeterminate", "note: 1 batches or commits of them were not judged"),
        (asked_for, "pass pass pass", "note: 1 commits were confirmed by devices"),
        (not_asked_for, "pass pass pass", "note: 1 commits say that a device asked for them, and no frame here"),
    ],
)
def test_what_verify_says(story: Story, verdicts: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Integrity, completeness and authority; and a line about it."""
    made, device = bench(confirmation="by its own device")
    made.doing = {"confirm_by_ms": CONFIRM_BY_MS}
    story(made, device)
    made.stop()
    records = [(record.raw, record.claims) for record in made.records]
    report = verify_lineage(made.origin, records, roots=made.roots)
    assert [report.integrity, report.completeness, report.authority] == verdicts.split(), report.problems
    print_report(report, made.origin)
    said = capsys.readouterr().out
    assert words in said
    assert ("no frame here" in said) == (story is not_asked_for)


def test_what_was_asked_stands_beside_what_was_reached(tmp_path: Path) -> None:
    """Whether that is good enough is not for a recorder to say: it has both, each with its own signature."""
    made, device = bench()
    commit = committed(made)
    seq = device.batch(device.reached(commit, value=3.0))
    state = write_state(tmp_path / "state", made)
    said = lineage("why", "--state", state, f"{commit}.0-{made.hash_of(commit).hex()[:8]}")
    assert "magnitude 0.5" in said.stdout.replace(":", ""), said.stdout + said.stderr
    assert f"confirmed by {seq}-" in said.stdout
    assert "reached, angle 3 rad" in said.stdout
