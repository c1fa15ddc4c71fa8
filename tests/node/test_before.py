"""A class whose policy has actuation wait for witnesses, from a controller over a real mesh, with and without its peers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.cli import run
from recorder.client import Recorder, Refused
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from tests import fleet as authority
from tests.node.meshes import Platform, checked, fleet, needs_namespaces
from tests.node.networks import bring_up, take_down
from tests.policies import CLASS
from tests.running import wait_until

pytestmark = needs_namespaces
RULE = 'witnesses = { k = 2, within_ms = 4000, rule = "independent", before = true }'
FORCE = [{"name": "force_n", "value": 10.0, "unit": "N"}]


class Controller:
    """One that acts when its commit is receipted, and never else."""

    def __init__(self, platform: Platform) -> None:
        self.client = Recorder(platform.state / "recorder.sock", timeout_ms=60_000, who={"operator": "ann"})
        self.acted: list[str] = []
        self.refused: list[str] = []
        classes = CLASS.replace("braking", "emergency_stop").replace("[class.motion]\n", f"[class.motion]\n{RULE}\n")
        self.delegation = authority.put_in_force(self.client, platform.state, classes=classes).hash

    def act(self) -> bool:
        """Ask; whether it acted."""
        cycle = self.client.open_cycle(
            what=authority.WHAT, where={}, inputs=FORCE, delegation=self.delegation, actuators=["arm"],
            action_classes=["motion"], valid_ms=60_000,
        )  # fmt: skip
        try:
            receipt = cycle.commit("arm", what=authority.WHAT)
        except Refused as refused:
            (reason,) = refused.reasons
            self.refused.append(str(reason))
            return False
        self.acted.append(str(receipt.entry_id))
        return True

    def abandoned(self) -> int:
        """How many entries say that nobody acted."""
        found: list[int] = []
        while page := self.client.read(len(found)).entries:
            found += [decode(raw).header.kind for raw, _ in page]
        return found.count(Kind.ABANDON)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Platform]]:
    with fleet(tmp_path, 3, needed=2) as platforms:
        with (tmp_path / "fleet.trust").open("a") as trust:
            trust.write(f"root {authority.ROOT}\n")
        platforms[0].stop_recorder()
        authority.trusting(platforms[0].state)
        platforms[0].start_recorder()
        platforms[0].round()
        yield platforms


def test_it_acts_with_its_witnesses_and_not_without(three: list[Platform], capsys: pytest.CaptureFixture[str]) -> None:
    """With two of two it acts; cut off from them nobody acts, and the log says so; after that it acts again."""
    first, *peers = three
    controller = Controller(first)
    wait_until(
        controller.act
    )  # a policy that comes has all connect anew, the mesh too, which then says whom it may ask

    for _ in range(2):  # one may have been under way when it was wanted
        first.round()
    for one in peers:
        take_down(one.network, "eth0")
    assert not controller.act()
    assert controller.refused[-1] == "unwitnessed: 0 of 2 within 4000 ms"
    first.mark()
    first.round()  # which names nobody any more, since nobody answered
    wait_until(lambda: not controller.act() and controller.refused[-1].startswith("unwitnessed: 2 were wanted"))
    assert len(controller.acted) == 1

    for one in peers:
        bring_up(one.network, "eth0")
    first.mark()
    wait_until(lambda: first.round()["latest"]["cosigned"] == 2)
    wait_until(controller.act)
    assert len(controller.acted) == 2
    abandoned = controller.abandoned()
    assert abandoned == len(controller.refused)
    controller.client.close()

    report = checked(first)
    assert (report.integrity, report.witnessing, report.exit_status()) == ("pass", "pass", 0)
    assert report.authority in {"pass", "indeterminate"}, "as far as the clock of this machine is known"
    notes: dict[str, Any] = report.notes
    assert notes["witnessed_in_time"] >= len(controller.acted), "by the clock of entries, a little before its own"
    assert notes["witnesses_asked"] == len(controller.acted) + abandoned
    capsys.readouterr()
    assert run(["verify", "--state", str(first.state), "--trust", str(first.state.parent / "fleet.trust")]) == 0
    said = capsys.readouterr().out
    assert f"{2 + abandoned} entries asked for witnesses" in said
    assert "0 of 2 signed within 4000 ms" in said
