"""Claims as a controller states them: completed from the hello, checked, and encoded, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recorder.client.session import Outgoing, outgoing
from recorder.core import cbor, required
from recorder.core.errors import FormatError, Misuse
from recorder.core.protocol import Verb

Claims = dict[str, Any]
NOBODY: Claims = {"operator": None, "delegation": None}  # who behind an event that names none: a reflex, a watchdog


def who_of(platform: str, *parts: Claims | None) -> Claims:
    """Put who together, later parts over earlier ones."""
    who: Claims = {"platform": platform}
    for part in parts:
        who.update(part or {})
    return who


def check(family: str, claims: Claims, table: str | None = None) -> None:
    """Refuse claims that the recorder would refuse.

    Raises:
        Misuse: naming the keys that are missing.

    """
    if not isinstance(claims, dict):
        raise Misuse(f"{family} is a map of claims, not {type(claims).__name__}")
    if missing := required.missing(table or family, claims):
        raise Misuse(f"{family} lacks {', '.join(missing)} (FORMAT.md section 4; null says that there is none)")


def request(verb: Verb, *parts: cbor.Value) -> Outgoing:
    """Encode a request out of what a caller gave.

    Raises:
        Misuse: something in it has no place in the format.

    """
    try:
        return outgoing(verb, *parts)
    except FormatError as error:
        raise Misuse(f"this can't be recorded: {error.detail}") from None


def event(
    action_class: str,
    actuators: Sequence[str],
    families: tuple[Claims, Claims, Claims, Claims],
    at_mono_ns: int,
) -> Outgoing:
    """Check and encode an event; keys that are missing are no error, since what has happened is never refused.

    Its tail lies in three pieces, the middle one being who, so that `complete` can add what is not known yet.

    Args:
        action_class: its class.
        actuators: names.
        families: who, what, where, why.
        at_mono_ns: when it happened, CLOCK_BOOTTIME.

    Raises:
        Misuse: something in it has no place in the format.

    """
    who, what, where, why = families
    check("why", why, required.UNGATED_WHY)
    whole = request(Verb.EVENT, action_class, list(actuators), who, what, where, why, at_mono_ns)
    encoded = bytes(whole.tail[0])
    start = len(cbor.pack([action_class, list(actuators)])) - 1  # without the list's own head of one byte
    stop = start + len(cbor.pack(who))
    whole.tail = (encoded[:start], encoded[start:stop], encoded[stop:])
    return whole


def complete(request: Outgoing, platform: str) -> None:
    """Add the platform to an event's who, where no recorder had been met when it happened."""
    before, who, after = request.tail
    claims = cbor.load(bytes(who))
    request.tail = (before, cbor.pack({"platform": platform, **claims}), after)
