"""`lineage demo --incident`: an authority, a signed policy, a delegation, and an arm that goes beyond it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from recorder.audit.check import check_source
from recorder.audit.state import open_state
from recorder.authority import directory
from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import output
from recorder.cli.demo_policy import Wanted, delegated, read_source
from recorder.cli.saying import Said, say_to
from recorder.cli.verify_text import VERDICTS, authority_remarks, outcome
from recorder.client import Recorder
from recorder.core import policy
from recorder.core.kinds import Kind
from recorder.core.trust import parse_trust
from recorder.daemon.founding import Answers, found

if TYPE_CHECKING:
    from hwsim import Told

FLEET, PLATFORM = "demo", "cell-1"
AUTHORITY, POLICY, TRUST, LOG = "authority", "arm.policy", "fleet.trust", "recorder.log"
DAY_S = 86_400
PATIENT_MS = 10_000  # a machine that is busy elsewhere is no part of the story
SEGMENT_MIB = 16
SOURCE = "configs/policies/arm.toml"


def run(state: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play the incident on a new state; returns what happened, as JSON.

    Raises:
        SourceError: the policy's source is not beside this installation.
        LineageError, OSError: the recorder, or a directory, cannot be made.

    """
    from hwsim import DELEGATED_N, INCIDENT, REVOKED, Player  # noqa: PLC0415 -- an extra, found to be there by the demo

    said = read_source(SOURCE)
    now_s = int(time.time())
    state.mkdir(parents=True, exist_ok=True)
    authority = directory.make(state / AUTHORITY, FLEET, now_s)
    root = f"root {authority.matrix.root}\n"
    actuators = ["arm", "arm.gripper"]
    answers = Answers(
        FLEET, PLATFORM, "hold", [os.getuid()], actuators, SEGMENT_MIB, trust=f"{root}quorum none\n".encode()
    )
    key = found(state, answers)
    (state / TRUST).write_text(f"log {key}\n{root}quorum none\n")
    with short_socket(state) as socket, RecorderProcess(state, socket, state / LOG) as recorder:
        recorder.start()
        tell("installing matrix, delegation and policy")
        _bring(socket, "matrix", authority.matrix.raw, authority.matrix.hash)
        signed = policy.sign(replace(said, nbf=now_s - DAY_S, exp=now_s + DAY_S), authority.root_signer())
        (state / POLICY).write_bytes(signed)
        wanted = Wanted("motion", actuators, {"N": (0.0, DELEGATED_N), "rad/s": (0.0, 2.4)})
        delegation = delegated(state, authority, f"{FLEET}/{PLATFORM}", wanted, now_s)
        _bring(socket, "credential", delegation.signed.raw, delegation.hash)
        bundle = policy.read(signed).hash
        in_force = say_to(socket, Kind.POLICY, body={"bundle": signed}, control=[bundle])
        with Recorder(socket, client_name="demo incident", timeout_ms=PATIENT_MS) as client:
            player = Player(client, delegation.hash)
            tell("playing the incident")
            told = player.play(INCIDENT)
            listed = directory.revoke(authority, [delegation.hash], "went beyond its limit", int(time.time()))
            revocation = _bring(socket, "revocation", listed.signed.raw, listed.signed.hash)
            told += player.play([REVOKED])
        stopped = recorder.stop()
    tell("verifying")
    with closing(open_state(state)) as source:
        report = check_source(source, trust=parse_trust((state / TRUST).read_bytes()))
    return {
        "state": str(state),
        "trust": str(state / TRUST),
        "bundle": bundle.hex(),
        "delegation": delegation.hash.hex(),
        "entries": {"policy": in_force.id, "revocation": revocation.id},
        "steps": [_step(one) for one in told],
        "verdicts": report.to_json(),
        "recorder_exit_status": stopped,
        "exit_status": 1 if stopped or not all(one.is_expected for one in told) else 0,
    }


def show(facts: dict[str, Any]) -> None:
    """Print it, and what to type next."""
    output.say("AN INCIDENT: an arm with a delegation of at most 45 N, under a policy of at most 50 N")
    for step in facts["steps"]:
        output.line(f"  {step['id']:<14} {step['outcome']:<14} {step['tells']}")
        for reason in step["reasons"]:
            output.line(f"  {'':<14} {'':<14}   {reason}")
        if not step["is_expected"]:
            output.line(f"  {'':<14} {'':<14}   expected was {step['expects']}")
    output.say()
    verdicts = facts["verdicts"]
    output.say("VERDICTS")
    for name in VERDICTS:
        output.say(f"  {name:<13} {outcome(name, verdicts[name], verdicts['notes'])}")
    for remark in authority_remarks(verdicts["roots"], verdicts["notes"]):
        output.line(f"  note: {remark}")
    output.say()
    output.say("LOOK AT NEXT")
    state = quote(facts["state"])
    by_name = {step["name"]: step["id"] for step in facts["steps"]}
    commands = (
        (f"why {by_name['slowed']} --state {state}", "what it stands on, and what was done instead"),
        (f"why {by_name['slipped']} --state {state}", "what happened outside the grant"),
        (f"impact {facts['delegation']} --state {state}", "all that was done under the delegation"),
        (f"replay --all --state {state}", "the decisions, made again"),
        (f"query --decision refused --state {state}", "what was refused"),
        (f"credential list --state {state}", "who may, and who may no longer"),
        (f"verify --state {state} --trust {quote(facts['trust'])}", "all of it"),
    )
    lineage = output.as_called()
    for command, meaning in commands:
        output.say(f"  {lineage} {command}    # {meaning}")


def _bring(socket: Path, claim: str, raw: bytes, digest: bytes) -> Said:
    return say_to(socket, Kind.CREDENTIAL, body={claim: raw}, control=[digest])


def _step(told: Told) -> dict[str, Any]:
    return {
        "name": told.step.name, "tells": told.step.tells, "expects": told.step.expects, "outcome": told.outcome,
        "is_expected": told.is_expected, "id": told.id, "reasons": told.reasons,
    }  # fmt: skip
