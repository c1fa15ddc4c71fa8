"""Claims as a controller states them: completed from the hello, checked, and encoded, before anything is sent."""

from __future__ import annotations

from typing import Any

from recorder.client.session import Outgoing, outgoing
from recorder.core import cbor, required
from recorder.core.errors import FormatError, Misuse
from recorder.core.messages import Verb

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
