"""JSON schemas of what is exported, in the dialect that viewers can read.

Foxglove's reader (and those that came of it) takes a subset of JSON Schema: every object has `properties`, every
property one single `type`, an array one type of items; no unions, so no `["number", "null"]`.  What may be null, or of
any type, therefore stands inside an object that declares no properties, and a typed property is left out where it has
no value.
PlotJuggler needs a schema for every channel and plots whatever is a number, however deep it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Schema = dict[str, Any]

ROW_FACTS = "_lineage"  # where a row says what it is, beside its fields
_JSON_TYPES = {"f": "number", "b": "boolean"}  # by the letter of numpy's type; all others are integers


class NamedSchema(NamedTuple):
    """A schema and its name; viewers keep types by name, so two schemas never share one."""

    name: str
    schema: Schema


def _typed(kind: str, description: str) -> Schema:
    return {"type": kind, "description": description}


def _text(description: str) -> Schema:
    return _typed("string", description)


def _integer(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _number(description: str) -> Schema:
    return _typed("number", description)


def _open(description: str) -> Schema:
    """Whatever was recorded, nulls included."""
    return {"type": "object", "description": description, "properties": {}}


def _texts(description: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def _record(properties: Schema, optional: Sequence[str] = (), description: str = "") -> Schema:
    said = {"description": description} if description else {}
    required = [name for name in properties if name not in optional]
    return {"type": "object", **said, "properties": properties, "required": required, "additionalProperties": False}


_ID = _text("printed id: `lineage show` finds it")
_ACTUATOR = {"actuator": _text("name, or #number where the name is withheld"), "number": _integer("of the actuator")}
_CYCLE = _integer("seq of the entry that carries the why; its message on /why has this seq")
_AT = _integer("CLOCK_BOOTTIME, ns, as the controller claims it")
_MISSING = {
    "type": "array",
    "description": "claims that are shown as null, or not at all, and why",
    "items": _record({"claim": _text("family.key, a family, or rows"), "reason": _text("why it is not here")}),
}
_TIMESTAMP = {
    "type": "object",
    "title": "time",
    "description": "the message's log time",
    "properties": {
        "sec": {"type": "integer", "minimum": 0},
        "nsec": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    },
}

COMMIT = NamedSchema(
    "lineage.Commit",
    _record(
        {
            "id": _ID,
            **_ACTUATOR,
            "action_class": _text("class of the act"),
            "decision": _text("admitted, deviated, external, ungated or outside_grant"),
            "stage": _text("direct, tentative, witnessed, executed or aborted"),
            "mode": _text("claim what.mode, where it is text"),
            "target": _number("claim what.target, where it is a number"),
            "magnitude": _number("claim what.magnitude, where it is a number"),
            "unit": _text("claim what.unit, where it is text"),
            "duration_ms": _number("claim what.duration_ms, where it is a number"),
            "what": _open("all claims of what; null: none, or not here (see missing)"),
            "where": _open("all claims of where; null: none, or not here (see missing)"),
            "cycle": _CYCLE,
            "at_mono_ns": _AT,
            "missing": _MISSING,
        },
        ("mode", "target", "magnitude", "unit", "duration_ms", "missing"),
    ),
)

WHY = NamedSchema(
    "lineage.Why",
    _record(
        {
            "id": _ID,
            "seq": _integer("of the entry; commits name it as their cycle"),
            "decision": _text("as of a commit"),
            "action_class": _text("first class of the cycle, or the class of what needed none"),
            "policy": _text("SHA-256 of the policy bundle in force; empty where nothing gated it"),
            "who": _open("all claims of who; null: none, or not here (see missing)"),
            "why": _open("all claims of why; null: none, or not here (see missing)"),
            "bounds": _record(
                {
                    "not_after_mono_ns": _integer("CLOCK_BOOTTIME, ns"),
                    "valid_ms": _number("from the opening to not_after_mono_ns"),
                    "max_commits": _integer("commits and rows, all actuators together"),
                    "actuators": _texts("that may be acted on"),
                    "action_classes": _texts("that are admitted"),
                },
                description="of a cycle; what needs no cycle has none",
            ),
            "missing": _MISSING,
        },
        ("bounds", "missing"),
    ),
)

RECEIPT = NamedSchema(
    "lineage.Receipt",
    _record(
        {
            "seq": _integer("of the entry"),
            "index": _integer("of the commit or rows message in the entry"),
            "id": _ID,
            "hash": _text("of the entry: SHA-256, the leaf of the log"),
            **_ACTUATOR,
            "request": _text("session and counter of the controller's message"),
            "count": _integer("rows, or 1 for a commit"),
            "cycle": _CYCLE,
            "flags": _texts("rows, ungated, outside_grant, deviated, a stage other than direct, missing"),
            "clock": _text("quality of the recorder's UTC: unknown, free-running, NTP/PTP, GNSS or signed"),
            "clock_error_us": _integer("estimated error of the recorder's UTC"),
            "what": _open("of rows: all claims of what that they share"),
            "where": _open("of rows: all claims of where that they share"),
            "missing": _MISSING,
        },
        ("clock_error_us", "what", "where", "missing"),
    ),
)

# Foxglove's well-known Log, which its log panel lists, with three properties more.
LOG = NamedSchema(
    "foxglove.Log",
    _record(
        {
            "timestamp": _TIMESTAMP,
            "level": _integer("2 info, 3 warning, 4 error, 5 fatal"),
            "message": _text("what happened, in words"),
            "name": _text("kind of entry"),
            "file": _text("printed id of the entry; empty for the verification before the export"),
            "line": _integer("seq of the entry"),
            "details": _open("the whole entry, as `lineage show --json` prints it"),
            "missing": _MISSING,
        },
        ("missing",),
    ),
)  # fmt: skip

_AXES = ("x", "y", "z", "w")
POSE = NamedSchema(
    "foxglove.PoseInFrame",
    _record(
        {
            "timestamp": _TIMESTAMP,
            "frame_id": _text("claim where.frame"),
            "pose": _record(
                {
                    "position": _record({axis: _number("m") for axis in _AXES[:3]}),
                    "orientation": _record({axis: _number("of a quaternion") for axis in _AXES}),
                },
                ("position", "orientation"),
                "claims where.position_m and where.orientation_xyzw, as far as they were made",
            ),
        }
    ),
)


def facts_name(fields: Sequence[Sequence[Any]]) -> str:
    """The property under which a row says what it is; never the name of one of its fields."""
    name, taken = ROW_FACTS, {field[0] for field in fields}
    while name in taken:
        name += "_"
    return name


def row_schema(fields: Sequence[Sequence[Any]], schema_id: bytes) -> NamedSchema:
    """The schema of one row.

    Args:
        fields: `[name, type, count, unit]` each, as a schema entry declares them.
        schema_id: of that declaration.

    """
    properties: Schema = {}
    for name, kind, count, unit in fields:
        one = _JSON_TYPES.get(kind[1], "integer")
        said = f"{unit or 'no unit'} ({kind})"
        properties[name] = (
            _typed(one, said)
            if count == 1
            else {"type": "array", "items": {"type": one}, "minItems": count, "maxItems": count, "description": said}
        )
    properties[facts_name(fields)] = _record(
        {
            "id": _ID,
            "at_mono_ns": _AT,
            "decision": _text("external, ungated or outside_grant"),
            "cycle": _CYCLE,
            "not_finite": _open("fields left out because JSON has no NaN and no infinities: these as text, in place"),
        },
        ("not_finite",),
    )
    # A float is left out where it is not finite, so no field is required.
    schema = _record(properties, [field[0] for field in fields if field[1][1] == "f"])
    return NamedSchema(f"lineage.Row.{schema_id.hex()[:16]}", schema)
