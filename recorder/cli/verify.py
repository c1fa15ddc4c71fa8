"""`lineage verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from recorder.audit.check import check_source
from recorder.audit.incarnations import Other, Outcome, Standing, check_others, others_in
from recorder.cli import output
from recorder.cli.options import json_option, opened, socket_option, state_option
from recorder.cli.verify_child import Request, checked
from recorder.cli.verify_text import print_other, print_report
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.errors import FormatError, LineageError, Misuse
from recorder.core.kinds import Previous
from recorder.core.note import parse_note
from recorder.core.trust import parse_trust
from recorder.store.errors import StoreError
from recorder.store.layout import read_current

_FILE = click.Path(path_type=Path)
_GRAVITY = (0, 3, 2, 1)  # of exit statuses, rising: what was found to be wrong outweighs what could not be looked at


class _KnownHead(NamedTuple):
    """A signed note, and the incarnation that it says it is of."""

    note: bytes
    incarnation: str


@click.command(
    "verify",
    epilog="Examples: lineage verify --state /var/lib/lineage; "
    "lineage verify arm-7.lineage --trust fleet.trust --checkpoint head-of-monday --json",
)
@click.argument("bundle", type=_FILE, metavar="[FILE.lineage]", required=False)
@state_option
@socket_option
@click.option("--trust", type=_FILE, metavar="FILE", help="What you trust: C2SP tlog-policy lines and root VKEY lines.")
@click.option(
    "--checkpoint", "checkpoints", type=_FILE, metavar="FILE", multiple=True, help="A known head (signed note)."
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
    as_json: bool,
) -> None:
    """Check a lineage in its steps and give four separate verdicts; of a state, every incarnation that lies there.

    Exit status: 0 nothing failed, 1 a check failed, 2 it cannot be read, 3 usable with declared loss only.
    """
    if bundle is not None and ctx.get_parameter_source("state") is click.core.ParameterSource.COMMANDLINE:
        raise Misuse("name either a state directory (--state DIR) or a bundle (FILE.lineage), not both")
    trust_file = trust.read_bytes() if trust is not None else None
    trusted = parse_trust(trust_file) if trust_file is not None else None
    known = [_known_head(path) for path in checkpoints]
    if bundle is not None and bundle.is_dir():
        bundle, state = None, bundle
    if bundle is None and state is not None:
        request = Request(str(state), None if socket is None else str(socket), trust_file, [])
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
        report = check_source(source, trust=trusted, known=[head.note for head in known], progress=progress)
        origin = source.origin
    if as_json:
        output.json_text(report.to_json())
    else:
        print_report(report, origin)
    ctx.exit(report.exit_status())


def _known_head(path: Path) -> _KnownHead:
    """A head that the user brought.  What is no checkpoint at all says nothing against the lineage.

    Raises:
        FormatError: note_malformed, checkpoint_malformed; the file is named.
        OSError: it cannot be read.

    """
    note = path.read_bytes()
    try:
        return _KnownHead(note, parse_checkpoint(parse_note(note).text).origin.rpartition("/")[2])
    except FormatError as error:
        raise FormatError(error.error, f"{path} is no known head: {error.detail}") from error


def _check_state(state: Path, request: Request, known: Sequence[_KnownHead]) -> tuple[Outcome, list[Other]]:
    """Check the incarnation in force, then the others, each in a process of its own."""
    here = _others(state)
    in_force = checked(request._replace(known=_known_of(None, here, known)))
    if in_force.error is not None:
        raise LineageError(in_force.error)

    def check(incarnation: str, standing: Standing, previous: list[Previous]) -> Outcome:
        mine = _known_of(incarnation, here, known)
        return checked(request._replace(incarnation=incarnation, standing=standing, previous=previous, known=mine))

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


def _known_of(incarnation: str | None, others: Sequence[str], known: Sequence[_KnownHead]) -> list[bytes]:
    """The known heads of one incarnation; those of none that lies here are held against the one in force (None)."""
    return [one.note for one in known if (one.incarnation if one.incarnation in others else None) == incarnation]
