"""`lineage demo --mesh`: four platforms that witness each other; one is put back, one lies, one is destroyed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Any

from mesh.node.places import FORKS
from recorder.authority import directory
from recorder.cli import demo_mesh_story as story
from recorder.cli import demo_process, output
from recorder.cli.demo_ending import print_next
from recorder.cli.demo_platform import FLEET, Place, Platform, found_platform, spread_list
from recorder.cli.mesh_options import needing_network
from recorder.cli.verify_text import VERDICTS

AUTHORITY, TRUST = "authority", "fleet.trust"
OPERATORS = {"arm-1": "acme", "arm-2": "acme", "cart-1": "bolt", "drone-1": "bolt"}
LINE_MAX = 132
DECLARED, CONVICTED = 3, 1  # exit statuses of `lineage verify`
_PARTS = (
    ("four platforms start", story.together),
    ("a commit asks for witnesses", story.asks),
    ("a store is put back from an older copy", story.put_back),
    ("a platform tells two histories", story.forks),
    ("a platform is destroyed", story.destroyed),
)


def run(state: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Tell the story on a new state; returns what happened, as JSON.

    Raises:
        MeshError: the extra [mesh] is not installed.
        MeshDemoError: something did not come about in time.
        LineageError, OSError: a recorder, a mesh or a directory cannot be made.

    """
    with needing_network():
        import_module("mesh.node.run")  # else the first that is missed would be four processes
    began = time.monotonic()
    state.mkdir(parents=True, exist_ok=True)
    authority = directory.make(state / AUTHORITY, FLEET, int(time.time()))
    places = [found_platform(state / name, name, operator, authority) for name, operator in OPERATORS.items()]
    spread_list(places, authority, state / TRUST)
    steps = []
    with ExitStack() as undo:
        arm, other, cart, drone = (Platform(place, undo) for place in places)
        scene = story.Scene(arm, other, cart, drone, undo)
        for tells, play in _PARTS:
            tell(tells)
            steps.append(play(scene))
        tell("verifying")
        for one in (arm, other, cart):
            one.stop_mesh()
            one.stop_recorder()
    proofs = arm.place.mesh / FORKS
    with ThreadPoolExecutor() as pool:
        wanted = ((arm, 0, ()), (other, DECLARED, ()), (cart, CONVICTED, ("--fork", proofs)))
        verdicts = list(pool.map(lambda one: _verified(one[0].place, state / TRUST, one[1], *one[2]), wanted))
    is_as_told = all(one.is_expected for one in steps) and all(one["is_expected"] for one in verdicts)
    return {
        "state": str(state),
        "trust": str(state / TRUST),
        "forks": str(proofs),
        "seconds": round(time.monotonic() - began, 1),
        "commit": next(one.entry for one in steps if one.entry is not None),
        "steps": [one._asdict() for one in steps],
        "verdicts": verdicts,
        "exit_status": 0 if is_as_told else 1,
    }


def show(facts: dict[str, Any]) -> None:
    """Print it, and what to type next."""
    output.say(f"FOUR PLATFORMS OF TWO OPERATORS, told in {facts['seconds']:.0f} s")
    for step in facts["steps"]:
        output.say()
        output.line(step["tells"] + ("" if step["is_expected"] else "  (expected was otherwise)"))
        for line in step["lines"]:
            output.line(f"  {line if len(line) <= LINE_MAX else line[: LINE_MAX - 1] + '…'}")
    output.say()
    output.say("VERDICTS")
    for one in facts["verdicts"]:
        words = ", ".join(f"{name} {word}" for name, word in one["verdicts"].items())
        output.line(f"  {one['platform']:<8} {words}{'' if one['is_expected'] else '  (expected was otherwise)'}")
    output.say()
    state, trust = quote(facts["state"]), quote(facts["trust"])
    last = facts["verdicts"][1]["entries"] - 1
    commands = (
        (f"verify --state {state}/arm-1/state --trust {trust}", "who witnessed what, and the tail that nobody did"),
        (f"verify --state {state}/arm-2/state --trust {trust}", "both incarnations"),
        (f"verify --state {state}/cart-1/state --trust {trust} --fork {quote(facts['forks'])}", "convicted"),
        (f"mesh forks --state {state}/arm-1/mesh", "the proof, checked again"),
        (f"mesh peers --state {state}/arm-1/mesh", "whom it cosigned, and whose hashes it keeps"),
        (f"order {state}/arm-1/state {facts['commit']} {state}/arm-2/state {last} --trust {trust}", "by no clock"),
    )
    print_next(commands)


def _verified(place: Place, trust: Path, expects: int, *more: str | Path) -> dict[str, Any]:
    status, said = demo_process.said("verify", "--state", place.state, "--trust", trust, *more, "--json")
    report = json.loads("\n".join(said))
    return {
        "platform": place.name,
        "entries": report["entries"],
        "verdicts": {name: report[name] for name in VERDICTS},
        "exit_status": status,
        "is_expected": status == expects,
    }
