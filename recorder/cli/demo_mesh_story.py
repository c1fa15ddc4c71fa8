"""The parts of `lineage demo --mesh`, one after the other, on platforms that run."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from typing import NamedTuple

from recorder.cli import demo_process
from recorder.cli.demo_platform import FLEET, RECORDER, RECORDER_LOG, MeshDemoError, Platform, free_port
from recorder.client import Recorder
from recorder.store.layout import CONFIG

WITNESSES, WITHIN_MS = 3, 500
TRIES = 50  # until the recorder has heard who may be asked
TRY_S = 0.1
WAIT_MS = 10_000
LOST, BESIDE = 5, 3  # entries
TWIN = "cart-1-twin"
_LEARNED = "peers hold what this recorder signed"
WHO = {"operator": "demo", "delegation": None}
WHY = {"evaluator": "demo", "clauses": [], "inputs": [], "alternatives": []}
WHAT = {
    "mode": "position", "target": 1.2, "magnitude": 0.4, "unit": "rad", "duration_ms": 200,
    "reversibility": "reversible", "confirm_by_ms": None,
}  # fmt: skip


class Step(NamedTuple):
    """A part of the story: what happens, and what was seen of it."""

    name: str
    tells: str
    lines: list[str]
    is_expected: bool = True
    entry: str | None = None  # of the first platform's log, to look at


class Scene(NamedTuple):
    """Who plays, and where what they start ends."""

    arm: Platform
    other: Platform
    cart: Platform
    drone: Platform
    undo: ExitStack

    @property
    def all(self) -> tuple[Platform, ...]:
        """The four."""
        return self.arm, self.other, self.cart, self.drone


def together(scene: Scene) -> Step:
    """All start, and each has the three others cosign what it recorded."""
    for one in scene.all:
        one.begin_mesh()
    for one in scene.all:  # before any has something to show: a witness that was away is left alone for a while
        one.await_status(lambda found: found["rounds"], "its start")
    for one in scene.all:
        one.start_recorder()
    lines = []
    for one in scene.all:
        latest = one.work_until_cosigned(WITNESSES)
        where = f"{one.place.name} of {one.place.operator}"
        lines.append(f"{where:<16} {latest['cosigned']} of {latest['asked']} peers cosigned {latest['size']} entries")
    return Step("together", "four platforms of two operators start, and cosign each other's heads", lines)


def asks(scene: Scene) -> Step:
    """A commit that wants three witnesses, and who signed."""
    with Recorder(scene.arm.socket, client_name="demo mesh") as client:
        cycle = client.open_cycle(
            who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], max_commits=TRIES, valid_ms=60_000
        )
        for _ in range(TRIES):
            receipt = cycle.commit("arm", what=WHAT, where={"frame": "base"}, witnesses=WITNESSES, within_ms=WITHIN_MS)
            found = client.witnessed(receipt, wait_ms=WAIT_MS)
            if len(found.asked) == WITNESSES:
                break
            time.sleep(TRY_S)
        else:
            raise MeshDemoError(f"the recorder of {scene.arm.place.name} has not heard of {WITNESSES} witnesses")
        cycle.close()
    lines = [f"commit {receipt.entry_id} asked for {found.wanted} witnesses within {found.within_ms} ms"]
    lines += [
        f"{one.name:<16} signed {one.after_ms} ms after it was durable: entry {one.evidence}" for one in found.signed
    ]
    return Step(
        "asks",
        "a commit asks for three witnesses; it is acknowledged before they answer",
        lines,
        found.is_met,
        receipt.entry_id,
    )


def put_back(scene: Scene) -> Step:
    """A card's image is put back; its peers know more, and the recorder hears of it before it offers anything."""
    platform, state = scene.other, scene.other.place.state
    old = platform.origin()
    platform.stop_recorder()
    image = state.with_name("image")
    shutil.copytree(state, image, symlinks=True)
    platform.start_recorder()
    lost = platform.work_until_cosigned(WITNESSES, "after the image", LOST)
    platform.stop_recorder()
    shutil.rmtree(state)
    image.rename(state)
    platform.start_recorder()
    platform.await_status(
        lambda found: found["latest"] and found["latest"]["origin"] != old, "an incarnation that goes on"
    )
    new = platform.work_until_cosigned(WITNESSES)
    words = [line for line in (platform.place.root / RECORDER_LOG).read_text("utf-8").splitlines() if _LEARNED in line]
    lines = [
        f"{lost['cosigned']} peers had cosigned {lost['size']} entries of {old}",
        *words,
        f"{new['cosigned']} peers cosigned {new['size']} entries of {new['origin']}, which names the old one",
    ]
    return Step(
        "put_back",
        "arm-2 is put back from an older copy: its peers say so before it offers anything",
        lines,
        bool(words),
    )


def forks(scene: Scene) -> Step:
    """One identity key in two recorders: both record on, and each is seen by somebody."""
    cart, place = scene.cart, scene.cart.place
    cart.stop_recorder()
    twin_root = place.root.with_name(TWIN)
    shutil.copytree(place.root, twin_root, symlinks=True)
    config = twin_root / RECORDER / CONFIG
    config.write_text(config.read_text("utf-8").replace("mesh = true", "mesh = false"), "utf-8")  # it will not hear
    twin = Platform(place._replace(root=twin_root, port=free_port()), scene.undo)
    scene.arm.stop_mesh()
    scene.arm.begin_mesh([twin.place.url])  # the only one who ever sees it
    cart.start_recorder()
    cart.work_until_cosigned(1, "what it shows", BESIDE)
    twin.start_recorder()
    twin.begin_mesh()
    twin.record("what it hides", 2 * BESIDE)
    began = time.monotonic()
    for one in (scene.arm, scene.other, scene.drone):
        one.await_status(lambda found: found["forks"], "a proof of the fork")
    lines = [f"proved, and told to all, {time.monotonic() - began:.1f} s after the other history could be seen"]
    status, said = demo_process.said("mesh", "forks", "--state", scene.drone.place.mesh)
    lines += ["drone-1 $ lineage mesh forks", *(f"  {line}" for line in _first_proof(said))]
    twin.stop_mesh()
    twin.stop_recorder()
    return Step("forks", "cart-1 runs twice with one key, and tells two histories", lines, status == 1)


def destroyed(scene: Scene) -> Step:
    """Nothing is left of it but what its peers keep."""
    drone, arm = scene.drone, scene.arm
    latest = drone.work_until_cosigned(1)
    arm.await_status(
        lambda found: any(
            one["origin"] == latest["origin"] and one["size"] >= latest["size"] for one in found.get("archives", ())
        ),
        "the archive of drone-1",
    )
    drone.destroy()
    status, said = demo_process.said("mesh", "ask", f"{FLEET}/{drone.place.name}", "--state", arm.place.mesh)
    lines = [f"arm-1 $ lineage mesh ask {FLEET}/{drone.place.name}", *(f"  {line}" for line in said if line)]
    return Step("destroyed", "drone-1 is destroyed, with all that it held", lines, status == 0)


def _first_proof(said: list[str]) -> list[str]:
    """One will do: each head of the other history is one more."""
    ends = next((at for at, line in enumerate(said) if line.startswith("  proof: ")), len(said))
    return said[: ends + 1]
