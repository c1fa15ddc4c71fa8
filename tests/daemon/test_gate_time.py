"""A recorder under a signed policy whose clock is set back, or whose machine starts anew."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Recorder, Refused
from recorder.core import revocation
from recorder.core.kinds import Kind
from tests import credential_builder as builder
from tests import fleet
from tests.daemon.sound import verify
from tests.daemon.test_gate import headers, opening
from tests.faults import clocks
from tests.running import Running

# What runs in a recorder before anything of its own: its operating system was started at another time.
STARTED_ANEW = """
from pathlib import Path
from recorder.daemon import boot
boot.BOOT_ID = Path(__file__).with_name("boot_id")
"""


def connected(running: Running) -> Recorder:
    return Recorder(running.socket, timeout_ms=60_000, who={"operator": "ann"})


def test_the_why_of_an_earlier_os_boot_is_worth_nothing(tmp_path: Path) -> None:
    """What was decided before the machine started anew admits nothing after; it is decided again."""
    (tmp_path / "sitecustomize.py").write_text(STARTED_ANEW)
    booted = tmp_path / "boot_id"
    booted.write_text("00000000-0000-4000-8000-000000000001\n")
    with Running(fleet.make(tmp_path / "state"), env={"PYTHONPATH": str(tmp_path)}) as running:
        with connected(running) as recorder:
            delegation = fleet.put_in_force(recorder, running.state)
            cycle = opening(recorder, delegation)
            cycle.commit("arm", what=fleet.WHAT)
            running.kill()
            running.restart()  # in the same OS boot it is carried over
            cycle.commit("arm", what=fleet.WHAT)
            running.kill()
            booted.write_text("00000000-0000-4000-8000-000000000002\n")
            running.restart()
            with pytest.raises(Refused, match="cycle_unknown"):
                cycle.commit("arm", what=fleet.WHAT)
            opening(recorder, delegation).commit("arm", what=fleet.WHAT)
        found = headers(running)
    assert len({one.control.os_boot for one in found if one.kind == Kind.BOOT}) == 2
    verify(running.state)


@pytest.mark.skipif(clocks.unavailable() is not None, reason=str(clocks.unavailable()))
def test_a_clock_set_back_to_before_a_revocation_revives_nothing(tmp_path: Path) -> None:
    """It acts from its entry on, whatever the clock says afterwards; over a restart too."""
    offsets = clocks.Offsets(tmp_path)
    with Running(fleet.make(tmp_path / "state"), env=dict(offsets.environment)) as running:
        with connected(running) as recorder:
            delegation = fleet.put_in_force(recorder, running.state)
            opening(recorder, delegation).commit("arm", what=fleet.WHAT)
            listed = [revocation.Revoked(delegation.hash, 0, "tablet lost")]
            fleet.install(recorder, revocation=revocation.make(1, listed, builder.signer("acme/root")))
            offsets.jump(utc_s=-1800)  # still within the credential's own bounds
            for _ in range(2):
                with pytest.raises(Refused, match="credential_revoked"):
                    opening(recorder, delegation)
                running.kill()
                running.restart()
        found = headers(running)
    times = [one.time.utc_ns for one in found]
    assert min(after - before for before, after in pairwise(times)) < -1700 * 10**9
    assert not _cycles_after_revocation(found)
    verify(running.state)


def _cycles_after_revocation(found: list[Any]) -> list[Any]:
    since = max(one.seq for one in found if one.kind == Kind.CREDENTIAL)
    return [one for one in found if one.kind == Kind.CYCLE and one.seq > since]
