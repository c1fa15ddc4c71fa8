"""`lineage verify`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

import recorder
from recorder.audit.check import check_source
from recorder.cli import output
from recorder.cli.options import json_option, opened, socket_option, state_option
from recorder.core.errors import LineageError, Misuse
from recorder.core.trust import Trust, parse_trust
from recorder.core.verdict import ProblemLog, Report, Tail, make_report, problem
from recorder.store.errors import StoreDamagedError

PROBLEMS_SHOWN = 20
VERDICTS = ("integrity", "completeness", "authority", "witnessing")
_FILE = click.Path(path_type=Path)
# LMDB reads through a memory map: a page that is missing or wrong ends the process that reads it.
_CRASHES = (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT)


class CheckEndedError(LineageError):
    """The process that checked was killed."""


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
@click.option("--unguarded", is_flag=True, hidden=True)
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
    unguarded: bool,
) -> None:
    """Check a lineage in its steps and give four separate verdicts.

    Exit status: 0 nothing failed, 1 a check failed, 2 it cannot be read, 3 usable with declared loss only.
    """
    if bundle is not None and ctx.get_parameter_source("state") is click.core.ParameterSource.COMMANDLINE:
        raise Misuse("name either a state directory (--state DIR) or a bundle (FILE.lineage), not both")
    if bundle is None and state is not None and not unguarded:
        ctx.exit(_guarded(_arguments(state, socket, trust, checkpoints, as_json=as_json), as_json=as_json))
    trusted = parse_trust(trust.read_bytes()) if trust is not None else None
    known = [path.read_bytes() for path in checkpoints]
    try:
        with opened(state, bundle, socket) as source, output.Progress("verifying") as progress:
            report = check_source(source, trust=trusted, known=known, progress=progress)
            origin = source.origin
    except StoreDamagedError as error:
        ctx.exit(_unreadable(str(error), as_json=as_json))
    _print(report, origin, trusted, as_json=as_json)
    ctx.exit(report.exit_status())


def _arguments(
    state: Path, socket: Path | None, trust: Path | None, checkpoints: tuple[Path, ...], *, as_json: bool
) -> list[str]:
    given = [
        ("--state", state),
        ("--socket", socket),
        ("--trust", trust),
        *(("--checkpoint", path) for path in checkpoints),
    ]
    listed = [part for name, path in given if path is not None for part in (name, str(path))]
    return [*listed, *(["--json"] if as_json else []), "--unguarded"]


def _guarded(arguments: list[str], *, as_json: bool) -> int:
    """Run the same command in a process of its own, since reading a damaged store may end it."""
    # -P: what lies in the working directory, a stick perhaps, is not imported.
    program = [sys.executable, "-P", "-c", "import sys; from recorder.cli import main; main(sys.argv[1:])"]
    env = {**os.environ, "PYTHONPATH": str(Path(recorder.__file__).parent.parent)}
    sys.stdout.flush()
    status = subprocess.run([*program, "verify", *arguments], check=False, env=env).returncode  # noqa: S603 -- ourselves
    if status >= 0:
        return status
    ended = signal.Signals(-status)
    if ended not in _CRASHES:
        raise CheckEndedError(f"the check was ended from outside by {ended.name}")
    detail = f"reading the store ends the process with {ended.name}: pages are missing or are not what was written"
    return _unreadable(detail, as_json=as_json)


def _unreadable(detail: str, *, as_json: bool) -> int:
    """The verdict on a store of which not even the beginning can be read."""
    log = ProblemLog()
    log.add(problem("record_damaged", None, detail))
    report = make_report(log, {}, entries=0, commits=0, head=None, tail=Tail(0, 0.0), pinned=False, notes={})
    _print(report, "a store that cannot be read", None, as_json=as_json)
    return report.exit_status()


def _print(report: Report, origin: str, trust: Trust | None, *, as_json: bool) -> None:
    if as_json:
        output.json_text(report.to_json())
        return
    output.say(
        f"lineage of {origin}: {report.entries:,} entries, {report.commits:,} commits, head {report.head or 'none'}"
    )
    output.say()
    for verdict in VERDICTS:
        found = getattr(report, verdict)
        output.say(f"  {verdict:<13} {output.coloured(found)}{' to check' if found == 'nothing' else ''}")
    output.say()
    for step in report.steps:
        if step.checked or step.outcome != "nothing":
            output.say(f"  step {step.step:>2}  {step.outcome:<8} {step.title}: {step.checked:,} checked")
    for remark in _remarks(report, trust):
        output.say(f"  note: {remark}")
    if not report.problems:
        return
    output.say()
    output.say("problems:")
    for found in report.problems[:PROBLEMS_SHOWN]:
        place = "lineage" if found.seq is None else f"entry {found.seq}"
        output.say(f"  step {found.step}, {place}: {found.error}: {found.detail}")
    left_out = sum(report.problem_counts.values()) - min(len(report.problems), PROBLEMS_SHOWN)
    if left_out:
        counts = ", ".join(f"{name} {count}" for name, count in report.problem_counts.items())
        output.say(f"  and {left_out} more; in all: {counts}")


def _remarks(report: Report, trust: Trust | None) -> list[str]:
    remarks = []
    if report.identity == "unpinned":
        remarks.append("the identity key is the one that the lineage itself names; --trust FILE pins it")
    if report.unwitnessed.entries:
        tail = f"the last {report.unwitnessed.entries:,} entries ({report.unwitnessed.seconds:,.0f} s)"
        remarks.append(f"no witness vouches for {tail}: whoever holds the identity key could rewrite them")
    if trust is not None and trust.roots:
        remarks.append("root lines have nothing to check yet: no credentials are recorded")
    if report.notes.get("unsigned_bundle"):
        remarks.append("the bundle is unsigned: no recorder logged that it was taken")
    if count := report.notes.get("refs_unchecked"):
        remarks.append(f"{count:,} references lead to other logs or too far back to be checked")
    return remarks
