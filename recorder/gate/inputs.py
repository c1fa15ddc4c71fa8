"""Inputs as a why names them: `{"name", "value", "unit", "at_mono_ns"}`, of which unit and time may be left out."""

from __future__ import annotations

from collections.abc import Collection

from recorder.core import cbor
from recorder.core.policy_replay import Given

NS_PER_MS = 1_000_000


def read(
    items: cbor.Value, now_mono_ns: int, signed: Collection[str] = frozenset()
) -> tuple[dict[str, Given], list[str]]:
    """Take the inputs of a request.

    Args:
        items: the claim `inputs`.
        now_mono_ns: CLOCK_BOOTTIME of the decision.
        signed: names of those whose observer's signature was verified.

    Returns:
        The inputs by name, and why one cannot be taken: reasons for a refusal.

    """
    taken: dict[str, Given] = {}
    reasons: list[str] = []
    if not isinstance(items, list):
        return taken, ["input_malformed: inputs are a list"]
    for number, item in enumerate(items):
        match item:
            case {"name": str(name), "value": value}:
                unit, at_mono_ns = item.get("unit") or "", item.get("at_mono_ns")
            case _:
                reasons.append(f"input_malformed: number {number} is no map with name and value")
                continue
        if type(unit) is not str or type(at_mono_ns) not in _MOMENT:
            reasons.append(f"input_malformed: {name[:64]} has a unit that is no text, or a time that is no integer")
        elif name in taken:
            reasons.append(f"input_malformed: {name[:64]} stands twice")
        else:
            age_ms = None if at_mono_ns is None else (now_mono_ns - at_mono_ns) // NS_PER_MS
            taken[name] = Given(value, unit, age_ms, name in signed)
    return taken, reasons


_MOMENT = (int, type(None))
