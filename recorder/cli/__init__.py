"""The command `lineage`: one module a verb, loaded when it is called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple, NoReturn

import click

from recorder.core.errors import LineageError

EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143  # 128 + SIGTERM
EXIT_PIPE = 141  # 128 + SIGPIPE: whoever read our output has gone


class Verb(NamedTuple):
    """Where a verb's `command` is, and its line in the help."""

    module: str
    line: str


VERBS: dict[str, Verb] = {
    "init": Verb(
        "recorder.cli.init", "Make a state directory: configuration, identity key, what to do without a recorder."
    ),
    "run": Verb("recorder.cli.serve", "Record: serve the local socket until stopped."),
    "demo": Verb(
        "recorder.cli.demo", "See it work: a recorder, a simulated arm and a replayed flight, then verification."
    ),
    "status": Verb("recorder.cli.status", "How the recorder does."),
    "log": Verb("recorder.cli.log", "The latest entries; follows a running recorder like tail -f."),
    "show": Verb("recorder.cli.show", "One entry, commit or row: claims, proof, neighbours on the axes."),
    "walk": Verb("recorder.cli.walk", "Entries along the temporal, an actuator's or a policy's axis."),
    "why": Verb("recorder.cli.why", "All that an entry or a commit stands on, upstream to inputs, policy and keys."),
    "replay": Verb("recorder.cli.replay", "Make recorded decisions again, and say whether they come out the same."),
    "impact": Verb("recorder.cli.impact", "All that leads to an entry, a commit, a policy bundle or a credential."),
    "query": Verb(
        "recorder.cli.query", "Entries by operator, task, actuator, decision; counts; do links close both ways."
    ),
    "mark": Verb("recorder.cli.mark", "Mark an incident in a running recorder's lineage."),
    "hold": Verb("recorder.cli.hold", "Exempt entries from deletion: add, list, release."),
    "policy": Verb("recorder.cli.policy", "Policies: check a source, sign it, install it, show the one in force."),
    "credential": Verb(
        "recorder.cli.credential", "Credentials of a lineage: install, list, show, and what revokes them."
    ),
    "extract": Verb("recorder.cli.extract", "Take the lineage, or a part of it with proofs, to a .lineage file."),
    "export": Verb("recorder.cli.export", "Write it as MCAP for Foxglove and PlotJuggler, the bundle attached."),
    "verify": Verb("recorder.cli.verify", "Check a state directory or a .lineage file; four separate verdicts."),
    "compare": Verb("recorder.cli.compare", "Whether the observations of two lineages agree; names contradictions."),
    "order": Verb("recorder.cli.order", "Which of two entries of different lineages came first, without a clock."),
    "authority": Verb("recorder.cli.authority", "Issue, revoke and rotate a fleet's credentials."),
    "identity": Verb("recorder.cli.identity", "Ask for a credential for a key, or pass on a part of one."),
    "bridge": Verb("recorder.cli.bridge", "Have a microcontroller with its own key take part, over a serial line."),
    "mesh": Verb("recorder.cli.mesh", "Have checkpoints cosigned by peers, and cosign theirs."),
    "bench": Verb("recorder.cli.bench", "Measure what this machine and its disk can do."),
    "doctor": Verb("recorder.cli.doctor", "Check this machine: sync time, clock, permissions, disk, identity."),
    "recover": Verb("recorder.cli.recover", "Keep a damaged store aside and begin a new incarnation that names it."),
}


class _Verbs(click.Group):
    """Help comes from the table, so that `lineage --help` imports no verb."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = importlib.import_module(verb.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.line) for name, verb in VERBS.items()])


@click.group(
    cls=_Verbs,
    epilog="`lineage VERB --help` shows an example of each. Exit status: 0 nothing failed, "
    "1 a check failed, 2 misuse or unreadable input, 3 usable with declared loss only.",
)
@click.version_option(package_name="lineage-recorder", prog_name="lineage")
def lineage() -> None:
    """Embedded edge lineage recorder: signed, chained, durable evidence of what a robot's actuators did, and why."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit; what goes wrong is one line and status 2."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(run(arguments))


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, by an exception: temporary files and processes go too."""
    signal.signal(number, signal.SIG_IGN)  # once is enough
    sys.exit(EXIT_TERMINATED)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        status = lineage.main(arguments, prog_name="lineage", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        return _failed("interrupted", EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        return _failed("interrupted", EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return EXIT_MISUSE
    except BrokenPipeError:
        # Nobody reads on; without this the interpreter complains again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except LineageError as error:
        return _failed(str(error), EXIT_MISUSE)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return _failed(f"{named}{error.strerror or error}", EXIT_MISUSE)
    return status if isinstance(status, int) else 0


def _failed(message: str, status: int) -> int:
    click.echo(f"lineage: {' '.join(message.split())}", err=True)
    return status
