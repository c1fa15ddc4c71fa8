"""Options that several verbs share, and opening what they name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from recorder.audit.carried import BundleSource
from recorder.audit.opening import open_source
from recorder.audit.state import StateSource
from recorder.cli import output

STATE_ENV = "LINEAGE_STATE"
Command = TypeVar("Command", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path, readable=False)  # else click says in four lines what the verb says in one


def state_option(command: Command) -> Command:
    """`--state DIR`."""
    return click.option(
        "--state", type=_PATH, envvar=STATE_ENV, metavar="DIR", help=f"State directory; else ${STATE_ENV}."
    )(command)  # fmt: skip


def socket_option(command: Command) -> Command:
    """`--socket PATH`."""
    return click.option(
        "--socket", type=_PATH, metavar="PATH", help="Of a running recorder; without it, DIR/recorder.sock."
    )(command)  # fmt: skip


def source_options(command: Command) -> Command:
    """`[FILE.lineage]`, `--state` and `--socket`: where a lineage is read from."""
    bundle = click.option("--bundle", type=_PATH, metavar="FILE.lineage", help="Read a bundle instead of a state.")
    return state_option(socket_option(bundle(command)))


def span_options(command: Command) -> Command:
    """`--since` and `--until`."""
    forms = "a seq, an id, a time (2026-11-21T08:00:00Z), or an age before the newest entry (10m)"
    since = click.option("--since", metavar="WHEN", help=f"From here on: {forms}.")
    until = click.option("--until", metavar="WHEN", help="Up to here, included; written as --since.")
    return since(until(command))


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@contextmanager
def opened(state: Path | None, bundle: Path | None, socket: Path | None) -> Iterator[StateSource | BundleSource]:
    """A source for as long as a verb runs; a bundle that is named goes before the state of the environment.

    Raises:
        Misuse: nothing was named.
        LineageError, OSError: it cannot be opened.

    """
    logging.getLogger("recorder").addHandler(logging.NullHandler())  # what the client would warn of, the error says
    source = open_source(bundle, None if bundle is not None else state, socket)
    try:
        for fault in source.volume_faults if isinstance(source, BundleSource) else ():
            output.note(fault)  # else a part would look like the whole; `verify` says it once more, with its verdict
        yield source
    finally:
        source.close()
