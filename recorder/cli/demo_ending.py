"""How the stories of `lineage demo` end: the verdicts, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recorder.cli import output
from recorder.cli.verify_text import VERDICTS, authority_remarks, outcome


def print_verdicts(report: dict[str, Any], found: Iterable[str] = ()) -> None:
    """Print what verification said, with what else was found, and what it could not judge."""
    output.say("VERDICTS")
    for name in VERDICTS:
        output.say(f"  {name:<13} {outcome(name, report[name], report['notes'])}")
    for line in found:
        output.say(f"  {line}")
    for remark in authority_remarks(report["roots"], report["notes"]):
        output.line(f"  note: {remark}")
    output.say()


def print_next(commands: Iterable[tuple[str, str]]) -> None:
    """Print commands and what each shows; those that say it by their names have no words."""
    output.say("LOOK AT NEXT")
    lineage = output.as_called()
    for command, meaning in commands:
        output.say(f"  {lineage} {command}{meaning and f'    # {meaning}'}")
