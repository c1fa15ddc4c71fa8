"""`lineage demo --incident`: an authority, a signed policy, a delegation, and an arm that goes beyond it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from recorder.authority import directory
from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import output
from recorder.cli.demo_ending import print_next, print_verdicts
from recorder.cli.demo_policy import (
    PATIENT_MS,
    TRUST,
    Wanted,
    bring,
    found_governed,
    put_in_force,
    read_source,
    verified,
)
from recorder.client import Recorder

if TYPE_CHECKING:
    from hwsim import Told

POLICY, LOG = "arm.policy", "recorder.log"
SOURCE = "configs/policies/arm.toml"


def run(state: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play the incident on a new state; returns what happened, as JSON.

    Raises:
        SourceError: the policy's source is not beside this installation.
        LineageError, OSError: the recorder, or a directory, cannot be made.

    """
    from hwsim import DELEGATED_N, INCIDENT, REVOKED, Player  # noqa: PLC0415 -- an extra, found to be there by the demo

    source = read_source(SOURCE)
    actuators = ["arm", "arm.gripper"]
    authority = found_governed(state, actuators)
    with short_socket(state) as socket, RecorderProcess(state, socket, state / LOG) as recorder:
        recorder.start()
        tell("installing matrix, delegation and policy")
        wanted = Wanted("motion", actuators, {"N": (0.0, DELEGATED_N), "rad/s": (0.0, 2.4)})
        ruled = put_in_force(socket, state, authority, source, wanted)
        (state / POLICY).write_bytes(ruled.bundle.signed.raw)
        delegation = ruled.delegation.hash
        with Recorder(socket, client_name="demo incident", timeout_ms=PATIENT_MS) as client:
            player = Player(client, delegation)
            tell("playing the incident")
            told = player.play(INCIDENT)
            listed = directory.revoke(authority, [delegation], "went beyond its limit", int(time.time()))
            revocation = bring(socket, "revocation", listed.signed.raw, listed.signed.hash)
            told += player.play([REVOKED])
        stopped = recorder.stop()
    tell("verifying")
    return {
        "state": str(state),
        "trust": str(state / TRUST),
        "bundle": ruled.bundle.hash.hex(),
        "delegation": delegation.hex(),
        "entries": {"policy": ruled.entry.id, "revocation": revocation.id},
        "steps": [_step(one) for one in told],
        "verdicts": verified(state).to_json(),
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
    print_verdicts(facts["verdicts"])
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
    print_next(commands)


def _step(told: Told) -> dict[str, Any]:
    return {
        "name": told.step.name, "tells": told.step.tells, "expects": told.step.expects, "outcome": told.outcome,
        "is_expected": told.is_expected, "id": told.id, "reasons": told.reasons,
    }  # fmt: skip
