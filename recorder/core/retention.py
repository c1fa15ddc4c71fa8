"""How long the claims of a retention class are kept, how many of them, and what may go before its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from recorder.core import cbor, policy
from recorder.core.errors import FormatError
from recorder.core.policy_classes import RetentionRule
from recorder.core.sign1 import SIGNED

RULES = "lineage/retention/1"  # their key in a configured table


class Rule(NamedTuple):
    """What holds for one retention class; a class without a rule is kept for ever."""

    keep_s: int | None = None  # at least so long; None: for ever
    max_bytes: int | None = None  # of claims in sealed segments; over it the oldest go whatever their age
    rows_may_go: bool = False  # the oldest claims of entries with rows, before their time, where the disk gets full


FOR_EVER = Rule()


class _Stated(msgspec.Struct, forbid_unknown_fields=True):
    keep_s: int | None
    max_bytes: int | None
    rows_may_go: bool


def rules_in(bundle: bytes) -> dict[str, Rule] | None:
    """Read the rules out of a policy bundle; None where it is of another kind and states none that we can read."""
    try:
        if bundle.startswith(SIGNED):
            rules: Mapping[str, _Stated | RetentionRule] = policy.read(bundle).policy.retention
        else:
            stated = cbor.decode(bundle)
            if not isinstance(stated, dict) or RULES not in stated:
                return None
            rules = msgspec.convert(stated[RULES], dict[str, _Stated])
    except (FormatError, msgspec.ValidationError):
        return None
    return {name: Rule(rule.keep_s, rule.max_bytes, rule.rows_may_go) for name, rule in rules.items()}
