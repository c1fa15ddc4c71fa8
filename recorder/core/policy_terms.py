"""What clauses may speak of: every variable of the CEL environment, with its type and where its value comes from.

    act.*    the act that is asked for, as the recorder knows it: always there
    who.* what.* where.*    claims of the request; what a request may leave out or set to null may be absent
    grant.*    what is left of the delegation; absent where it does not bound
    input.NAME    the policy's own inputs; one that is not required may be absent

Of each variable X that may be absent there is a bool `given.X`.  To use an absent value is an error, which denies, so
a condition asks `given.X && ...` first; CEL's && and || leave aside an error that cannot change their result.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.core import cbor
from recorder.core.limits import INT64_MIN, UINT64_MAX
from recorder.core.policy import Policy

# What a value may be at most: conditions may copy it as often as their budget lets them.
TEXT_MAX = 4096  # code points
ITEMS_MAX = 1024

GIVEN = "given."
INPUT = "input."


class Variable(NamedTuple):
    """One variable of the environment."""

    type: str  # bool, int, double, string, or list<one of these>
    absent: bool = True  # it may be


FACTS: dict[str, Variable] = {
    "act.class": Variable("string", absent=False),
    "act.stage": Variable("string", absent=False),
    "act.actuators": Variable("list<string>", absent=False),
    "act.max_commits": Variable("int", absent=False),
    "act.valid_ms": Variable("int", absent=False),
    "who.platform": Variable("string"),
    "who.operator": Variable("string"),
    "who.authority": Variable("string"),
    "who.task": Variable("string"),
    "who.requested_by": Variable("string"),
    "who.capability": Variable("string"),
    "what.mode": Variable("string"),
    "what.target": Variable("string"),
    "what.magnitude": Variable("double"),
    "what.unit": Variable("string"),
    "what.duration_ms": Variable("int"),
    "what.reversibility": Variable("string"),
    "what.confirm_by_ms": Variable("int"),
    "where.frame": Variable("string"),
    "where.position_m": Variable("list<double>"),
    "where.orientation_xyzw": Variable("list<double>"),
    "where.velocity_mps": Variable("list<double>"),
    "grant.commits_left": Variable("int"),
    "grant.ms_left": Variable("int"),
}


def environment(policy: Policy) -> dict[str, str]:
    """Every variable of this policy's clauses with its type: bool, int, double, string, or a list of one."""
    variables = {**FACTS, **{INPUT + name: Variable(one.type, not one.required) for name, one in policy.inputs.items()}}
    types = {name: variable.type for name, variable in variables.items()}
    return types | {GIVEN + name: "bool" for name, variable in variables.items() if variable.absent}


def typed(value: cbor.Value, wanted: str) -> cbor.Value:
    """The value as a variable of this type holds it; None where it cannot be one.

    A whole number is a double where one is wanted, since encoders may shorten it; nothing else is converted.  Longer
    texts than `TEXT_MAX` and lists than `ITEMS_MAX` are refused.
    """
    if wanted.startswith("list<"):
        return _typed_list(value, wanted[5:-1])
    kind = type(value)
    if wanted == "double":
        if kind is float:
            return value
        return float(value) if kind is int and INT64_MIN <= value <= UINT64_MAX else None
    if wanted == "int":
        return value if kind is int and INT64_MIN <= value < -INT64_MIN else None
    if wanted == "string":
        return value if kind is str and len(value) <= TEXT_MAX else None
    return value if kind is bool else None


def _typed_list(value: cbor.Value, wanted: str) -> cbor.Value:
    if type(value) is not list or len(value) > ITEMS_MAX:
        return None
    if wanted == "double" and set(map(type, value)) <= {float}:
        return value
    items = [typed(item, wanted) for item in value]
    return None if None in items else items
