"""`lineage demo --bridge`: a motor controller with its own key on a serial line, and what becomes of commits."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from recorder.audit.check import check_source
from recorder.audit.state import open_state
from recorder.authority import directory
from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import demo_process, output
from recorder.cli.demo_policy import Wanted, delegated, read_source
from recorder.cli.saying import say_to
from recorder.cli.verify_text import VERDICTS, authority_remarks, outcome
from recorder.client import Recorder
from recorder.core import policy
from recorder.core.errors import LineageError
from recorder.core.kinds import Kind
from recorder.core.trust import parse_trust
from recorder.daemon import interpreter
from recorder.daemon.founding import Answers, found
from recorder.store.layout import CONFIG

if TYPE_CHECKING:
    from hwsim.firmware.story import Story, Told

FLEET, PLATFORM, ACTUATOR, DEVICE = "demo", "cell-1", "arm", "motor controller 3"
AUTHORITY, TRUST, LOG, BRIDGE, BRIDGE_LOG, PORT = (
    "authority", "fleet.trust", "recorder.log", "bridge", "bridge.log", "tty-arm",
)  # fmt: skip
SEGMENT_MIB = 16
DAY_S = 86_400
PATIENT_MS = 10_000  # a machine that is busy elsewhere is no part of the story
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

    said = read_source(SOURCE)
    now_s = int(time.time())
    state.mkdir(parents=True, exist_ok=True)
    authority = directory.make(state / AUTHORITY, FLEET, now_s)
    root = f"root {authority.matrix.root}\n"
    answers = Answers(
        FLEET, PLATFORM, "hold", [os.getuid()], [ACTUATOR], SEGMENT_MIB, trust=f"{root}quorum none\n".encode()
    )
    key = found(state, answers)
    (state / TRUST).write_text(f"log {key}\n{root}quorum none\n")
    _permit_bridge(state / CONFIG)
    story = Story(state / PORT, os.urandom(SEED_BYTES))
    with short_socket(state) as socket, RecorderProcess(state, socket, state / LOG) as recorder:
        recorder.start()
        matrix = authority.matrix
        say_to(socket, Kind.CREDENTIAL, body={"matrix": matrix.raw}, control=[matrix.hash])
        signed = policy.sign(replace(said, nbf=now_s - DAY_S, exp=now_s + DAY_S), authority.root_signer())
        say_to(socket, Kind.POLICY, body={"bundle": signed}, control=[policy.read(signed).hash])
        delegation = delegated(state, authority, f"{FLEET}/{PLATFORM}", Wanted(CLASS, [ACTUATOR], LIMITS), now_s)
        say_to(socket, Kind.CREDENTIAL, body={"credential": delegation.signed.raw}, control=[delegation.hash])
        tell("enrolling the motor controller")
        story.simulator.plug()
        enrolled = _enrolled(state, socket, story)
        with _bridge(state, socket) as bridge:
            told = list(_told(story, socket, delegation.hash, tell))
            tell("verifying")
        stopped = recorder.stop()
    with closing(open_state(state)) as source:
        report = check_source(source, trust=parse_trust((state / TRUST).read_bytes()))
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
    verdicts = facts["verdicts"]
    output.say("VERDICTS")
    for name in VERDICTS:
        output.say(f"  {name:<13} {outcome(name, verdicts[name], verdicts['notes'])}")
    for seq in facts["unconfirmed"]:
        output.say(f"  entry {seq}: a commit that no device has confirmed")
    for remark in authority_remarks(verdicts["roots"], verdicts["notes"]):
        output.line(f"  note: {remark}")
    output.say()
    output.say("LOOK AT NEXT")
    state = quote(facts["state"])
    by_name = {step["name"]: step["id"] for step in facts["steps"]}
    commands = (
        (f"show --state {state} {by_name['move']}", "the confirmation, with the frames that the controller signed"),
        (f"show --state {state} {by_name['stuck']}", "what a stuck actuator looks like"),
        (f"bridge status --state {quote(facts['state'] + '/' + BRIDGE)}", "how the bridge did"),
        (f"verify --state {state} --trust {quote(facts['trust'])}", "all of it"),
    )
    lineage = output.as_called()
    for command, meaning in commands:
        output.say(f"  {lineage} {command}    # {meaning}")


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
