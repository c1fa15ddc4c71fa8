"""`lineage recover`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from recorder import config as configs
from recorder.cli import output
from recorder.cli.options import json_option, state_option
from recorder.clock import SystemClock
from recorder.core.errors import Misuse
from recorder.daemon import identity
from recorder.daemon.randomness import ReadAhead
from recorder.daemon.recover import Diagnosis, Recovered, begin, diagnose
from recorder.store.errors import StoreError
from recorder.store.layout import StateLock


@click.command("recover", epilog="Example: lineage recover --state /var/lib/lineage")
@state_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(*, state: Path | None, yes: bool, as_json: bool) -> None:
    """Keep a damaged store aside as it is, and begin a new incarnation that names it.

    Nothing is repaired, copied or deleted; the damaged lineage stays in its directory for those who examine it.
    """
    if state is None:
        raise Misuse("say which state directory: --state DIR")
    if not state.is_dir():
        raise StoreError(f"{state} is no state directory")
    config = configs.load(state)
    signer = identity.load(state)
    lock = StateLock(state)
    try:
        found = diagnose(state, config, signer)
        if not yes:
            _confirm(found)
        new = begin(state, config, signer, SystemClock(), ReadAhead(), found)
    finally:
        lock.close()
    _print(state, found, new, as_json=as_json)


def _confirm(found: Diagnosis) -> None:
    output.note(f"damaged: {found.damage}")
    if not sys.stdin.isatty():
        raise Misuse("there is no terminal to ask on: say --yes to begin a new incarnation")
    click.confirm("Keep it aside and begin a new incarnation?", abort=True, err=True)


def _print(state: Path, found: Diagnosis, new: Recovered, *, as_json: bool) -> None:
    named = [{"origin": one.origin, "size": one.size, "root": one.root and one.root.hex()} for one in new.previous]
    if as_json:
        kept = [str(path) for path in found.kept]
        output.json_text({"damage": found.damage, "kept": kept, "origin": new.origin, "previous": named})
        return
    output.say(f"damaged: {found.damage}")
    for path in found.kept:
        output.say(f"kept as it is: {path}")
    output.say(f"new incarnation: {new.origin}; its first entry names")
    for one in named:
        known = "the size that could be read" if one["root"] is None else "the last signed head"
        output.say(f"  {one['origin']} with {one['size']} entries ({known})")
    output.say()
    output.say("next:")
    output.say(f"  lineage run --state {state}")
    output.say(f"  lineage verify --state {state}")
