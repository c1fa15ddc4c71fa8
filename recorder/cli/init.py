"""`lineage init`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from recorder.cli import output
from recorder.cli.identity import read_bounded
from recorder.cli.options import json_option, state_option
from recorder.core.errors import Misuse
from recorder.core.trust import TRUST_MAX_BYTES
from recorder.daemon import accounts
from recorder.daemon.founding import FLEET, Answers, check_free, default_platform, found

RULES = ("hold", "continue_ungated")
QUESTION = """\
What shall a controller of class motion do while the recorder is away?
  hold              do not act: nothing unrecorded happens, and the machine stands
  continue_ungated  act, and record it as ungated once the recorder is back"""


@click.command(
    "init",
    epilog="Examples: lineage init --state /var/lib/lineage; "
    "lineage init --state state --yes --on-unavailable hold --platform arm-7 --actuator arm.joint1 --actuator arm",
)
@state_option
@click.option("--fleet", help=f"First part of the origin; {FLEET} if left out.")
@click.option("--platform", help="Second part of the origin; this machine's name if left out.")
@click.option("--on-unavailable", type=click.Choice(RULES), help="Of class motion; never chosen for you.")
@click.option("--uid", "uids", type=click.IntRange(min=0), multiple=True, help="Local user that may act; you.")
@click.option("--actuator", "actuators", multiple=True, metavar="NAME", help="What they may act for.")
@click.option(
    "--technician",
    "technicians",
    multiple=True,
    metavar="USER|:GROUP",
    help="Who may extract from a running recorder, and read; by name or number, a group also without the colon.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Whose policies and credentials it takes: a file with `root` lines, copied into the state.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is left out.")
@json_option
def command(
    *,
    state: Path | None,
    fleet: str | None,
    platform: str | None,
    on_unavailable: str | None,
    uids: tuple[int, ...],
    actuators: tuple[str, ...],
    technicians: tuple[str, ...],
    trust: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a state directory: configuration, identity key, what to do without a recorder."""
    if state is None:
        raise Misuse("say where the state goes: --state DIR")
    check_free(state)
    asks = not yes and sys.stdin.isatty()
    if on_unavailable is None and not asks:
        raise Misuse(f"say --on-unavailable {'|'.join(RULES)}: the recorder does not choose what happens without it")
    if not asks and not yes:
        raise Misuse("there is no terminal to ask on: say --yes to take the defaults for what is left out")
    if asks:
        fleet = fleet or click.prompt("Fleet", default=FLEET, err=True)
        platform = platform or click.prompt("Platform", default=default_platform(), err=True)
        if on_unavailable is None:
            click.echo(QUESTION, err=True)
            on_unavailable = click.prompt("on_unavailable", type=click.Choice(RULES), err=True)
        if not uids:
            uids = (click.prompt("User id of the controllers", type=int, default=os.getuid(), err=True),)
        if not actuators:
            actuators = _asked("Actuators, by name, with spaces between")
        if not technicians:
            technicians = _asked("Technicians, who may extract: users and :groups, with spaces between")
    assert on_unavailable is not None, "asked for or refused above"
    answers = Answers(
        fleet or FLEET, platform or default_platform(), on_unavailable, uids or (os.getuid(),), actuators,
        technicians=accounts.find(technicians), trust=None if trust is None else read_bounded(trust, TRUST_MAX_BYTES),
    )  # fmt: skip
    key = found(state, answers)
    if as_json:
        output.json_text({"state": str(state), "origin_prefix": key.name, "verifier_key": str(key)})
        return
    _print(state, str(key), answers)


def _asked(question: str) -> tuple[str, ...]:
    """Several names, or none."""
    answer: str = click.prompt(question, default="", show_default=False, err=True)
    return tuple(answer.replace(",", " ").split())


def _print(state: Path, key: str, answers: Answers) -> None:
    output.say(f"{state}: configuration recorder.toml, identity key identity.key (0600)")
    output.say(f"class motion without a recorder: {answers.on_unavailable}")
    if answers.trust is not None:
        output.say("takes policies and credentials that descend from a root of its file trust")
    if any(answers.technicians):
        named = [f"user {uid}" for uid in answers.technicians.uids] + [f"group {n}" for n in answers.technicians.gids]
        output.say(f"may extract from a running recorder: {', '.join(named)}")
    output.say()
    output.say("The auditor's trust file needs this line (with `quorum none` as long as there are no witnesses):")
    output.say(f"  log {key}")
    if answers.trust is not None:
        output.say("and the `root` lines of the authority, as here.")
    output.say()
    if not answers.actuators:
        output.say(f"next: name your actuators in {state / 'recorder.toml'}, then")
    else:
        output.say("next:")
    output.say(f"  lineage doctor --state {state}")
    output.say(f"  lineage run --state {state}")
