"""`lineage verify`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from recorder.audit.check import check_source
from recorder.audit.incarnations import Other, Outcome, Standing, check_others, others_in
from recorder.cli import output
from recorder.cli.options import json_option, opened, socket_option, state_option
from recorder.cli.trustfile import trust_in
from recorder.cli.verify_brought import Known, read_known
from recorder.cli.verify_child import Request, checked
from recorder.cli.verify_text import print_other, print_report
from recorder.core.controls import Previous
from recorder.core.errors import LineageError, Misuse
from recorder.core.trust import Trust
from recorder.core.verdict import TailBound
from recorder.store.errors import StoreError
from recorder.store.layout import read_current

_FILE = click.Path(path_type=Path)
_BOUND = re.compile(r"(0|[1-9][0-9]{0,17})(?:,([0-9]{1,12}(?:\.[0-9]{1,9})?))?")
_GRAVITY = (0, 3, 2, 1)  # of exit statuses, rising: what was found to be wrong outweighs what could not be looked at


@click.command(
    "verify",
    epilog="Examples: lineage verify --state /var/lib/lineage; "
    "lineage verify arm-7.lineage --trust fleet.trust --checkpoint head-of-monday --json; "
    "lineage verify arm-7.lineage --trust fleet.trust --fork forks/; "
    "lineage verify --state /var/lib/lineage --trust fleet.trust --unwitnessed-max 100000,900",
)
@click.argument("bundle", type=_FILE, metavar="[FILE.lineage]", required=False)
@state_option
@socket_option
@click.option("--trust", type=_FILE, metavar="FILE", help="What you trust: C2SP tlog-policy lines and root VKEY lines.")
@click.option(
    "--checkpoint", "checkpoints", type=_FILE, metavar="FILE", multiple=True, help="A known head (signed note)."
)
@click.option(
    "--fork",
    "forks",
    type=_FILE,
    metavar="FILE",
    multiple=True,
    help="A proof that a log has two histories, or a directory of them.",
)
@click.option(
    "--unwitnessed-max",
    "bound",
    metavar="ENTRIES[,SECONDS]",
    help="The most after the last witnessed entry of the lineage in force; more fails. Needs --trust.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    bundle: Path | None,
    state: Path | None,
    socket: Path | None,
    trust: Path | None,
    checkpoints: tuple[Path, ...],
    forks: tuple[Path, ...],
    bound: str | None,
    as_json: bool,
) -> None:
    """Check a lineage in its steps and give four separate verdicts; of a state, every incarnation that lies there.

    Exit status: 0 nothing failed, 1 a check failed, 2 it cannot be read, 3 usable with declared loss only.
    """
    if bundle is not None and ctx.get_parameter_source("state") is click.core.ParameterSource.COMMANDLINE:
        raise Misuse("name either a state directory (--state DIR) or a bundle (FILE.lineage), not both")
    trust_file = trust.read_bytes() if trust is not None else None
    trusted = None if trust is None or trust_file is None else trust_in(trust_file, trust)
    known = read_known(checkpoints, forks)
    tail_max = None if bound is None else _bound(bound, trusted)
    if bundle is not None and bundle.is_dir():
        bundle, state = None, bundle
    if bundle is None and state is not None:
        request = Request(str(state), None if socket is None else str(socket), trust_file, [], tail_max=tail_max)
        in_force, others = _check_state(state, request, known)
        assert in_force.report is not None, "else an error was raised"
        if as_json:
            output.json_text({**in_force.report.to_json(), "incarnations": [one.to_json() for one in others]})
        else:
            print_report(in_force.report, in_force.origin or "a store that cannot be read")
            for one in others:
                print_other(one)
        ctx.exit(max((in_force.exit_status(), *(one.outcome.exit_status() for one in others)), key=_GRAVITY.index))
    with opened(state, bundle, socket) as source, output.Progress("verifying") as progress:
        report = check_source(
            source,
            trust=trusted,
            known=known.notes(),
            progress=progress,
            forks=known.proofs(),
            tail_max=tail_max,
        )
        origin = source.origin
    if as_json:
        output.json_text(report.to_json())
    else:
        print_report(report, origin)
    ctx.exit(report.exit_status())


def _bound(text: str, trust: Trust | None) -> TailBound:
    found = _BOUND.fullmatch(text)
    if found is None:
        raise Misuse(f"--unwitnessed-max {text!r} is not ENTRIES or ENTRIES,SECONDS, such as 100000,900")
    if trust is None or not trust.witnesses:
        raise Misuse("--unwitnessed-max needs --trust FILE that names witnesses: no other cosignature counts")
    return TailBound(int(found[1]), None if found[2] is None else float(found[2]))


def _check_state(state: Path, request: Request, known: Known) -> tuple[Outcome, list[Other]]:
    """Check the incarnation in force, then the others, each in a process of its own."""
    here = _others(state)
    mine = known.of(None, here)
    in_force = checked(request._replace(known=mine.notes(), forks=mine.proofs()))
    if in_force.error is not None:
        raise LineageError(in_force.error)

    def check(incarnation: str, standing: Standing, previous: list[Previous]) -> Outcome:
        mine = known.of(incarnation, here)
        return checked(
            request._replace(
                incarnation=incarnation, standing=standing, previous=previous, known=mine.notes(), forks=mine.proofs()
            )
        )

    return in_force, list(check_others(in_force, here, check))


def _others(state: Path) -> list[str]:
    try:
        current = read_current(state)
        return [] if current is None else others_in(state, current)
    except PermissionError:
        output.note(f"no permission to look for other incarnations in {state}; only the one in force is checked")
    except (StoreError, OSError):
        pass  # opening it says why
    return []
