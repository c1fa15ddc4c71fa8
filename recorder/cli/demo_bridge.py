"""`lineage demo --bridge`: a motor controller with its own key on a serial line, and what becomes of commits."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import demo_process, output
from recorder.cli.demo_ending import print_next, print_verdicts
from recorder.cli.demo_policy import (
    AUTHORITY,
    PATIENT_MS,
    TRUST,
    Wanted,
    found_governed,
    put_in_force,
    read_source,
    verified,
)
from recorder.client import Recorder
from recorder.core.errors import LineageError
from recorder.daemon import interpreter
from recorder.store.layout import CONFIG

if TYPE_CHECKING:
    from hwsim.firmware.story import Story, Told

ACTUATOR, DEVICE = "arm", "motor controller 3"
LOG, BRIDGE, BRIDGE_LOG, PORT = "recorder.log", "bridge", "bridge.log", "tty-arm"
CLASS, LIMITS = "motion", {"rad": (0.0, 3.2)}
SOURCE = "configs/policies/confirmed.toml"
SEED_BYTES = 32


class BridgeDemoError(LineageError):
    """The story cannot be told here; the message says what is missing."""


def run(state: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Tell the story on a new state; returns what happened, as JSON.

    Raises:
        BridgeDemoError: the bridge does not start.
        SourceError: the policy's source is not beside this installation.
        LineageError, OSError: the recorder, or a directory, cannot be made.

    """
    from hwsim.firmware.story import Story  # noqa: PLC0415 -- an extra, found to be there by the demo

    source = read_source(SOURCE)
    authority = found_governed(state, [ACTUATOR])
    _permit_bridge(state / CONFIG)
    story = Story(state / PORT, os.urandom(SEED_BYTES))
    with short_socket(state) as socket, RecorderProcess(state, socket, state / LOG) as recorder:
        recorder.start()
        ruled = put_in_force(socket, state, authority, source, Wanted(CLASS, [ACTUATOR], LIMITS))
        tell("enrolling the motor controller")
        story.simulator.plug()
        enrolled = _enrolled(state, socket, story)
        with _bridge(state, socket) as bridge:
            told = list(_told(story, socket, ruled.delegation.hash, tell))
            tell("verifying")
        stopped = recorder.stop()
    report = verified(state)
    return {
        "state": str(state),
        "trust": str(state / TRUST),
        "device": enrolled,
        "steps": [one._asdict() | {"is_expected": one.is_expected} for one in told],
        "verdicts": report.to_json(),
        "unconfirmed": [found.seq for found in report.problems if found.error == "unconfirmed"],
        "recorder_exit_status": stopped,
        "bridge_exit_status": bridge.returncode,
        "exit_status": 1 if stopped or bridge.returncode or not all(one.is_expected for one in told) else 0,
    }


def show(facts: dict[str, Any]) -> None:
    """Print it, and what to type next."""
    device = facts["device"]
    output.say("A MOTOR CONTROLLER WITH ITS OWN KEY, on a serial line; nobody else can say what it did")
    output.line(f"  its key {device['key'][:16]}..., enrolled as {device['subject']} of the actuator {ACTUATOR}")
    output.say()
    for step in facts["steps"]:
        output.line(f"  {step['id']:<14} {step['found']:<20} {step['tells']}")
        if not step["is_expected"]:
            output.line(f"  {'':<14} {'':<20}   expected was {step['expects']}")
    output.say()
    unconfirmed = [f"entry {seq}: a commit that no device has confirmed" for seq in facts["unconfirmed"]]
    print_verdicts(facts["verdicts"], unconfirmed)
    state = quote(facts["state"])
    by_name = {step["name"]: step["id"] for step in facts["steps"]}
    commands = (
        (f"show --state {state} {by_name['move']}", "the confirmation, with the frames that the controller signed"),
        (f"show --state {state} {by_name['stuck']}", "what a stuck actuator looks like"),
        (f"bridge status --state {quote(facts['state'] + '/' + BRIDGE)}", "how the bridge did"),
        (f"verify --state {state} --trust {quote(facts['trust'])}", "all of it"),
    )
    print_next(commands)


def _permit_bridge(config: Path) -> None:
    """What `lineage bridge init` says that it needs."""
    table = (
        f'\n[[controller]]\nuids = [{os.getuid()}]\nactuators = ["{ACTUATOR}"]\n'
        'append = ["confirmation", "fault", "observation"]\nread = true\n'
    )
    with config.open("a", encoding="utf-8") as file:
        file.write(table)


def _enrolled(state: Path, socket: Path, story: Story) -> dict[str, Any]:
    """The bridge's state, and the device's credential; it is there to be asked meanwhile."""
    _lineage(story, "init", "--state", state / BRIDGE, "--actuator", ACTUATOR)
    said = _lineage(
        story, "enroll", "--state", state / BRIDGE, "--port", state / PORT, "--authority", state / AUTHORITY,
        "--name", DEVICE, "--days", "1", "--socket", socket,
    )  # fmt: skip
    enrolled: dict[str, Any] = json.loads(said)
    return enrolled


def _lineage(story: Story, verb: str, *arguments: Path | str) -> str:
    """What a command of `lineage bridge` prints while the device runs."""
    command = demo_process.command("bridge", verb, *arguments, "--json")
    with subprocess.Popen(  # noqa: S603 -- ourselves
        command, env=interpreter.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        story.serve(lambda: process.poll() is not None)
        said, complained = process.communicate()
    if process.returncode:
        raise BridgeDemoError(f"lineage bridge {verb}: {complained.strip()}")
    return said


def _bridge(state: Path, socket: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """`lineage bridge run`, until the story is told."""
    arguments = ("bridge", "run", "--state", state / BRIDGE, "--port", state / PORT, "--socket", socket)
    return demo_process.running(state / BRIDGE_LOG, *arguments)


def _told(story: Story, socket: Path, delegation: bytes, tell: Callable[[str], None]) -> Iterator[Told]:
    with Recorder(socket, client_name="demo controller", timeout_ms=PATIENT_MS) as client:
        for one in story.play(client, delegation):
            tell(one.tells)
            yield one
