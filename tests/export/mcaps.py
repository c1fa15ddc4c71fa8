"""Exports read back with the mcap library's own reader, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mcap.reader import make_reader
from mcap.records import Attachment, AttachmentIndex, Statistics

from recorder.audit.opening import open_source
from recorder.export.export import Exported, Progress, export_mcap

NOW_NS = 1_790_000_000_000_000_000


class Read(NamedTuple):
    """One message as it was read back."""

    topic: str
    schema: str
    log_time: int
    publish_time: int
    value: dict[str, Any]


class Mcap:
    """A whole file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            reader = make_reader(file, validate_crcs=True)
            self.library: str = reader.get_header().library
            summary = reader.get_summary()
            assert summary is not None
            assert isinstance(summary.statistics, Statistics)
            self.statistics = summary.statistics
            self.schemas: dict[str, dict[str, Any]] = {}
            for schema in summary.schemas.values():
                assert schema.encoding == "jsonschema"
                assert schema.name not in self.schemas, "viewers keep types by name"
                self.schemas[schema.name] = json.loads(schema.data)
            self.channels = {one.topic: one for one in summary.channels.values()}
            assert len(self.channels) == len(summary.channels), "viewers take one schema a topic"
            assert {one.message_encoding for one in self.channels.values()} <= {"json"}
            self.messages = [
                Read(channel.topic, schema.name, message.log_time, message.publish_time, json.loads(message.data))
                for schema, channel, message in reader.iter_messages(log_time_order=False)
                if schema is not None
            ]
            self.metadata = {one.name: one.metadata for one in reader.iter_metadata()}
            self.attachments: list[Attachment] = list(reader.iter_attachments())
            self.attachment_indexes: list[AttachmentIndex] = summary.attachment_indexes

    def of(self, topic: str) -> list[Read]:
        """The messages of one topic, in order."""
        return [message for message in self.messages if message.topic == topic]

    def values(self, topic: str) -> list[dict[str, Any]]:
        """What they say."""
        return [message.value for message in self.of(topic)]


@contextmanager
def _silent(_what: str) -> Iterator[Progress]:
    yield lambda _done, _total: None


def export(where: Path, to: Path, since: str | None = None, until: str | None = None, **more: Any) -> Exported:
    """Export a state directory or a bundle."""
    with closing(open_source(where)) as source:
        given = None if where.is_dir() else where
        return export_mcap(source, to, since, until, utc_ns=NOW_NS, phase=_silent, given=given, **more)


def exported(where: Path, to: Path, since: str | None = None, until: str | None = None, **more: Any) -> Mcap:
    """Export it and read it back."""
    export(where, to, since, until, **more)
    return Mcap(to)
