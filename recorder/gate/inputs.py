"""Inputs as a why names them: plain, signed by their observer, or recorded before.

    {"name", "value", "unit", "at_mono_ns"}    unit and time may be left out; anything else is kept and not looked at
    {"name", "observation"}    bytes of a signed observation (FORMAT.md section 6), which says all the rest
    {"name", "entry"}    printed id of an observation entry of this log, whose body is one of the two above

Where several are there, what is signed goes before what is recorded, and that before what is merely said.  What cannot
be taken is recorded as it was sent, without the keys that the recorder adds to what it took.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.observation import CLAIM as OBSERVATION
from recorder.core.policy import INPUTS_MAX
from recorder.core.policy_replay import Given
from recorder.gate.observed import Observers

NS_PER_MS = 1_000_000
ENTRY = "entry"
BYTES_MAX = 8192  # of signed observations and of what entries say: the why has these values beside the references

_MOMENT = (int, type(None))
_ADDED = frozenset({"signed", "credential"})  # by the recorder to what it took


class Now(NamedTuple):
    """When a decision is made, by the recorder's clocks."""

    mono_ns: int  # CLOCK_BOOTTIME
    utc_ns: int | None  # None where it was never set


class Taken(NamedTuple):
    """The inputs of a request."""

    given: dict[str, Given]  # by name
    reasons: list[str]  # why one cannot be taken: the act is refused
    recorded: list[cbor.Value]  # the claim `inputs`: as sent, with what the recorder knows of each


class _Reading(NamedTuple):
    """What one input says, whoever says it."""

    value: cbor.Value
    unit: str
    at_mono_ns: int | None
    age_ms: int | None
    credential: bytes | None = None  # of the observer who signed it


def read(items: cbor.Value, now: Now, observers: Observers) -> Taken:
    """Take the inputs of a request; `items` is its claim `inputs`."""
    taken = Taken({}, [], [])
    if not isinstance(items, list):
        return Taken({}, ["input_malformed: inputs are a list"], [items])
    if len(items) > INPUTS_MAX:
        return Taken({}, [f"input_malformed: {len(items)} inputs, over {INPUTS_MAX}"], [*map(_as_sent, items)])
    left = BYTES_MAX
    for number, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            taken.reasons.append(f"input_malformed: number {number} is no map with a name")
            taken.recorded.append(_as_sent(item))
            continue
        if name in taken.given:
            taken.reasons.append(f"input_malformed: {name[:64]} stands twice")
            taken.recorded.append(_as_sent(item))
            continue
        try:
            source, left = _source(item, observers, left)
            reading = _read(source, name, now, observers)
        except FormatError as error:
            taken.reasons.append(f"{error.error}: input {name[:64]}: {error.detail}")
            taken.recorded.append(_as_sent(item))
            continue
        taken.recorded.append(_recorded(item, reading))
        taken.given[name] = Given(reading.value, reading.unit, reading.age_ms, reading.credential is not None)
    return taken


def _source(item: Mapping[str, Any], observers: Observers, left: int) -> tuple[Mapping[str, Any], int]:
    """The map that says what an input is, and how many of the bytes that were left of `BYTES_MAX` are left after it.

    Raises:
        FormatError: input_unknown; input_malformed: none are left.

    """
    source = item if OBSERVATION in item or ENTRY not in item else observers.recorded(item[ENTRY])
    if isinstance(signed := source.get(OBSERVATION), bytes):
        left -= len(signed)
    elif source is not item:
        left -= sum(len(cbor.pack(source.get(key))) for key in ("value", "unit"))
    if left < 0:
        raise FormatError("input_malformed", f"observations are over {BYTES_MAX} bytes with it")
    return source, left


def _read(source: Mapping[str, Any], name: str, now: Now, observers: Observers) -> _Reading:
    """What an input says.

    Raises:
        FormatError: why it cannot be taken.

    """
    if OBSERVATION in source:
        says = observers.signed(source[OBSERVATION], name)
        age_ms = _age_ms(says.at_mono_ns, says.at_utc_ns, now)
        return _Reading(says.value, says.unit or "", says.at_mono_ns, age_ms, says.credential)
    if source.get("name") != name or "value" not in source:
        raise FormatError("input_malformed", "no map with name and value")
    unit, at_mono_ns = source.get("unit") or "", source.get("at_mono_ns")
    if type(unit) is not str or type(at_mono_ns) not in _MOMENT:
        raise FormatError("input_malformed", "a unit that is no text, or a time that is no integer")
    return _Reading(source["value"], unit, at_mono_ns, _age_ms(at_mono_ns, None, now), None)


def _as_sent(item: cbor.Value) -> cbor.Value:
    if not isinstance(item, dict):
        return item
    return {key: value for key, value in item.items() if key not in _ADDED}


def _recorded(item: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    recorded = {
        **item, "value": reading.value, "unit": reading.unit, "at_mono_ns": reading.at_mono_ns,
        "signed": reading.credential is not None,
    }  # fmt: skip
    # A credential that the sender merely names vouches for nothing.
    recorded.pop("credential", None)
    if reading.credential is not None:
        recorded["credential"] = reading.credential
    return recorded


def _age_ms(at_mono_ns: int | None, at_utc_ns: int | None, now: Now) -> int | None:
    """Age in whole milliseconds, rounded down: the greater of the two that are known.

    A signed observation says both times.  Its monotonic one alone would make an observation of an earlier start of
    the machine fresh again.
    """
    by_mono = None if at_mono_ns is None else (now.mono_ns - at_mono_ns) // NS_PER_MS
    if at_utc_ns is None or now.utc_ns is None:
        return by_mono
    by_utc = (now.utc_ns - at_utc_ns) // NS_PER_MS
    return by_utc if by_mono is None else max(by_mono, by_utc)
