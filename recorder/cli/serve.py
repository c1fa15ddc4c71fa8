"""`lineage run`; not in a module `run`, which would shadow the function of that name in this package."""

from __future__ import annotations

import signal
from pathlib import Path

import click
import lmdb

from recorder.audit.state import SOCKET
from recorder.cli.options import state_option
from recorder.core.errors import Misuse
from recorder.daemon.run import run
from recorder.store.errors import StoreDamagedError


@click.command(
    "run",
    epilog="Examples: lineage run --state /var/lib/lineage; "
    "lineage run --state /var/lib/lineage --socket /run/lineage/recorder.sock",
)
@state_option
@click.option("--socket", type=click.Path(path_type=Path), metavar="PATH", help="Where to listen; DIR/recorder.sock.")
@click.pass_context
def command(ctx: click.Context, *, state: Path | None, socket: Path | None) -> None:
    """Record: serve the local socket until SIGTERM or SIGINT.

    Exit status: 0 after a clean stop, 1 after a failed sync (start again), 2 where it could not start; then nothing on
    disk was changed.

    It has no --json: what it says on standard error is for the journal, a line for each change of state. Programs ask
    `lineage status --json`, or read status.json beside the socket.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until it serves there is nothing to clean up
    if state is None:
        raise Misuse("say which state directory: --state DIR")
    try:
        status = run(state, socket or state / SOCKET)
    except (StoreDamagedError, lmdb.Error) as error:
        raise StoreDamagedError(f"{error}; `lineage recover --state {state}` keeps it aside and begins anew") from error
    ctx.exit(status)
