"""Policies for tests: the shipped example, a small one whose parts a test sets, and situations for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recorder.core.policy import Policy
from recorder.core.policy_replay import Given, Situation
from recorder.core.policy_source import Source, parse

EXAMPLE = Path(__file__).resolve().parent.parent / "configs/policies/arm.toml"
HEAD = """\
name = "cell"
version = 3
valid_from = 2026-11-01T00:00:00Z
valid_until = 2027-11-01T00:00:00Z
"""
CLASS = """\
[class.motion]
gated = true
on_unavailable = "hold"
[class.braking]
gated = false
on_unavailable = "continue_ungated"
"""
INPUT = """\
[input.force_n]
type = "double"
unit = "N"
"""
PERMIT = """\
[[clause]]
id = "allow"
effect = "permit"
when = "true"
reason = "allowed"
"""


def clause(when: str, effect: str = "forbid", identifier: str = "limit", **more: str) -> str:
    """The TOML of one clause."""
    lines = [f'id = "{identifier}"', f'effect = "{effect}"', f"when = '''{when}'''", 'reason = "over_limit"']
    return "\n".join(["[[clause]]", *lines, *(f"{key} = {value}" for key, value in more.items())]) + "\n"


def source(*clauses: str, inputs: str = INPUT, classes: str = CLASS, head: str = HEAD) -> str:
    """The TOML of a policy with these clauses and one that permits everything."""
    return head + inputs + classes + "".join(clauses) + PERMIT


def small(*clauses: str, inputs: str = INPUT) -> Policy:
    return parse(source(*clauses, inputs=inputs)).policy


def example() -> Source:
    return parse(EXAMPLE.read_text())


def moving(**changed: Any) -> Situation:
    """A situation that the example admits; `changed` by name, dots as two underscores, None leaves out."""
    inputs = {
        "lidar.nearest": Given(2.0, "m", 10, signed=False),
        "stick.speed": Given(0.9, "1", 10, signed=False),
        "stick.enabled": Given(True, "", 10, signed=False),
    }
    facts: dict[str, Any] = {
        "act.class": "motion",
        "who.operator": "operator:7",
        "what.magnitude": 1.5,
        "what.unit": "rad/s",
        "where.frame": "arm_base",
        "where.position_m": [0.3, 0.1, 0.4],
    }
    for key, value in changed.items():
        name = key.replace("__", ".")
        if name not in inputs:
            facts[name] = value
        elif value is None:
            del inputs[name]
        else:
            inputs[name] = value if isinstance(value, Given) else inputs[name]._replace(value=value)
    return Situation("motion", inputs, facts)
