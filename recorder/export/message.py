"""A message of an export, before anything is known of a file format."""

from __future__ import annotations

from typing import Any, NamedTuple

from recorder.core.header import Header
from recorder.core.kinds import Decision
from recorder.export.schemas import NamedSchema

INFO, WARNING, ERROR, FATAL = 2, 3, 4, 5  # of foxglove.Log


class Channel(NamedTuple):
    """A topic with its schema, and what is said of it."""

    topic: str
    schema: NamedSchema
    metadata: dict[str, str]


class Message(NamedTuple):
    """One message; its value is what the schema of its channel says, in JSON's terms."""

    channel: Channel
    utc_ns: int
    value: dict[str, Any]


def decision_of(header: Header) -> str:
    """In words; empty where an entry has none."""
    return "" if header.decision is None else Decision(header.decision).name.lower()


def class_of(header: Header) -> str:
    """The action class; empty where an entry has none."""
    return "" if header.classes is None else header.classes.action_class
