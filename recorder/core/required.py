"""Claims that must be there, by family (FORMAT.md section 4); null says "none", absence is an error.

The recorder refuses a message that lacks one, and verification says so: one table for both.  It binds cycles,
actuations, policy entries and control transitions; a refusal keeps what it was given, which may be its very reason.
"""

from __future__ import annotations

from collections.abc import Collection

UNGATED_WHY = "why_ungated"  # the why of an ungated actuation: which event, and for how long the recorder was away
POLICY_BODY = "body_policy"  # of a policy entry: the bytes of which control holds the digest
CONTROL_BODY = "body_control"  # of a control transition: who was to be in control, who is, by what means

REQUIRED: dict[str, tuple[str, ...]] = {
    "who": ("platform", "operator", "delegation"),
    "what": ("mode", "target", "magnitude", "unit", "duration_ms", "reversibility", "confirm_by_ms"),
    "where": ("frame",),
    "why": ("evaluator", "clauses", "inputs", "alternatives"),
    UNGATED_WHY: ("reason",),
    "body": (),
    POLICY_BODY: ("bundle",),
    CONTROL_BODY: ("asked", "in_control", "means"),
}

_KEYS = {family: frozenset(keys) for family, keys in REQUIRED.items()}


def missing(family: str, claims: Collection[str]) -> list[str]:
    """List the required keys that `claims` lacks; a withheld claim counts as there, an empty where is whole."""
    if (family == "where" and not claims) or _KEYS[family].issubset(claims):
        return []
    return [key for key in REQUIRED[family] if key not in claims]
