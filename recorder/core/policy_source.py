"""A policy as its author writes it: TOML, and where in it each condition stands.

    name = "cell-7"
    version = 3
    valid_from = 2026-11-01T00:00:00Z
    valid_until = 2027-11-01T00:00:00Z

    [input.separation_m]
    type = "double"
    unit = "m"

    [class.motion]
    gated = true
    on_unavailable = "hold"

    [[clause]]
    id = "separation.reject"
    effect = "forbid"
    when = "input.separation_m < 0.5"
    reason = "separation_below_reject"

What may be left out has the value that `recorder.toml` gives it.  The bundle that is signed leaves nothing out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import ValidationError, convert

from recorder.core.errors import LineageError, Misuse
from recorder.core.policy import ANY, FORMAT, Fault, Policy, faults
from recorder.core.quantities import amount, term_s

SOURCE_MAX_CHARACTERS = 1_000_000

_NEEDED = ("name", "version", "valid_from", "valid_until")
_KEYS = (*_NEEDED, "engine", "input", "class", "clause", "at_risk", "retention")
_INPUT: Mapping[str, Any] = {"unit": "", "required": True, "max_age_ms": None, "signed": False}
_CLASS: Mapping[str, Any] = {
    "retention": "1y",
    "claims": "fields",
    "max_commits": 1_000_000,
    "max_valid_ms": 60_000,
    "disk_full_action": None,
    "verbs": ["commit", "record", "event"],
    "witnesses": None,
    "disclosure": "inspector",
    "confirmation": None,
}
_CLAUSE: Mapping[str, Any] = {"classes": ANY, "deviate_to": None}
_AT_RISK: Mapping[str, Any] = {"rows_window_ms": 50, "at_risk_ms": 2000}
_RETENTION: Mapping[str, Any] = {"keep": "forever", "max_bytes": None, "rows_may_go": False}

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*clause[ \t]*\]\]", re.MULTILINE)
_WHEN = re.compile(r"^[ \t]*when[ \t]*=[ \t]*", re.MULTILINE)
_TOML_PLACE = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", re.DOTALL)
_INDEXED = re.compile(r"`\$\.clauses\[([0-9]+)\]")


class Place(NamedTuple):
    """Line and column of a text's first character, both from 1."""

    line: int
    column: int

    def at(self, line: int, column: int) -> Place:
        """The place in the whole of a place in a text that begins here."""
        return Place(self.line + line - 1, column + (self.column - 1 if line == 1 else 0))


class SourceError(LineageError):
    """A source that is no policy: one fault or more, each a line for its author."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Source(NamedTuple):
    """A policy that was read from its source."""

    policy: Policy
    places: list[Place | None]  # of each clause's condition; None where the source spells it with escapes

    def line(self, fault: Fault, at: tuple[int, int] | None = None) -> str:
        """What the author is told: clause, and place in the file; `at` is the place in the condition."""
        if fault.clause is None:
            return fault.text
        clause = f"clause {self.policy.clauses[fault.clause].id}: "
        place = self.places[fault.clause]
        if at is None:
            return clause + fault.text
        if place is None:
            return f"{clause}{at[0]}:{at[1]} of its condition: {fault.text}"
        line, column = place.at(*at)
        return f"{line}:{column}: {clause}{fault.text}"


def parse(text: str, issuer: bytes | None = None) -> Source:
    """Read a source.

    Args:
        text: TOML.
        issuer: SHA-256 of the credential of who will sign; None for a root.

    Raises:
        SourceError: it is no policy; every fault that was found.

    """
    if len(text) > SOURCE_MAX_CHARACTERS:
        raise SourceError([f"{len(text)} characters, at most {SOURCE_MAX_CHARACTERS} are allowed"])
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SourceError([_toml_fault(str(error))]) from None
    except RecursionError:
        raise SourceError(["not TOML that can be read: it nests too deep"]) from None
    if unknown := written.keys() - _KEYS:
        raise SourceError([f"{key!r} is none of {', '.join(_KEYS)}" for key in sorted(unknown)])
    if missing := [key for key in _NEEDED if key not in written]:
        raise SourceError([f"{key} is missing" for key in missing])
    value = {
        "format": FORMAT,
        "name": written["name"],
        "version": written["version"],
        "nbf": _seconds(written, "valid_from"),
        "exp": _seconds(written, "valid_until"),
        "issuer": issuer,
        "engine": written.get("engine", "cel"),
        "inputs": _each(written.get("input", {}), _INPUT),
        "classes": _each(written.get("class", {}), _CLASS),
        "clauses": _all(written.get("clause", []), _CLAUSE),
        "at_risk": _filled(written.get("at_risk", {}), _AT_RISK),
        "retention": _retention(written.get("retention", {})),
    }
    try:
        read = convert(value, Policy, builtin_types=(bytes,))
    except ValidationError as error:
        raise SourceError([_named(str(error), value["clauses"])]) from None
    source = Source(read, _places(text, read))
    if found := [source.line(fault) for fault in faults(read)]:
        raise SourceError(found)
    return source


def _toml_fault(error: str) -> str:
    """What tomllib says, its place first as in every other fault."""
    match = _TOML_PLACE.fullmatch(error)
    return f"{match[2]}:{match[3]}: not TOML: {match[1]}" if match else f"not TOML: {error}"


# What is not of the right type goes through as it is: the conversion refuses it, with its place.


def _filled(table: Any, defaults: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any TOML
    return {**defaults, **table} if isinstance(table, dict) else table


def _each(tables: Any, defaults: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- the same
    if not isinstance(tables, dict):
        return tables
    filled = {name: _filled(table, defaults) for name, table in tables.items()}
    for table in filled.values():
        # An act that is not gated is one that must be recorded whatever it meets (`config.ClassSettings.on_full`).
        if isinstance(table, dict) and table.get("disk_full_action", "") is None:
            table["disk_full_action"] = "refuse" if table.get("gated") else "notify"
    return filled


def _all(tables: Any, defaults: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- the same
    return [_filled(table, defaults) for table in tables] if isinstance(tables, list) else tables


def _retention(tables: Any) -> Any:  # noqa: ANN401 -- the same
    rules = _each(tables, _RETENTION)
    for name, rule in rules.items() if isinstance(rules, dict) else ():
        if not isinstance(rule, dict):
            continue
        try:
            rule["keep_s"] = term_s(str(rule.pop("keep")))
            if rule["max_bytes"] is not None:
                rule["max_bytes"] = amount(rule["max_bytes"]).bytes or 0
        except (Misuse, TypeError) as error:
            raise SourceError([f"[retention.{name}]: {error}"]) from None
    return rules


def _seconds(written: Mapping[str, Any], key: str) -> int:
    moment = written[key]
    if not isinstance(moment, datetime) or moment.tzinfo is None or moment.microsecond:
        raise SourceError([f"{key} is a moment to the second with its zone, such as 2026-11-21T00:00:00Z"])
    return int(moment.timestamp())


def _named(error: str, clauses: Any) -> str:  # noqa: ANN401 -- TOML
    """A type error of the bundle as its author knows the parts: msgspec counts clauses, and names them by index."""
    match = _INDEXED.search(error)
    if match is None or not isinstance(clauses, list):
        return error
    clause = clauses[int(match[1])]
    named = clause.get("id") if isinstance(clause, dict) else None
    return f"clause {named if isinstance(named, str) else int(match[1]) + 1}: {error}"


def _places(text: str, read: Policy) -> list[Place | None]:
    """Where each condition begins: tomllib does not say, so it is looked for below its clause's own header."""
    headers = [match.end() for match in _HEADER.finditer(text)]
    if len(headers) != len(read.clauses):
        return [None] * len(read.clauses)  # written as inline tables, or a header stands inside of a text
    ends = [*headers[1:], len(text)]
    return [_place(text, clause.when, *part) for clause, *part in zip(read.clauses, headers, ends, strict=True)]


def _place(text: str, condition: str, begin: int, end: int) -> Place | None:
    written = _WHEN.search(text, begin, end)
    at = -1 if written is None else text.find(condition, written.end(), end)
    if at < 0:
        return None
    before = text[:at]
    return Place(before.count("\n") + 1, at - before.rfind("\n"))
