"""The MCAP file that an export is written to: whole or not at all, with its bundle attached in bounded memory."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Self
from zlib import crc32

import msgspec
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import AttachmentIndex, Statistics
from mcap.writer import LIBRARY_IDENTIFIER, Writer

from recorder.core.errors import LineageError
from recorder.export.message import Message

PART = ".part"
CHANNELS_MAX = 65_535  # ids of channels and of schemas are 16 bits, and 0 is none
COPY_BYTES = 1 << 20
MEDIA_TYPE = "application/zip"

_HEAD_BYTES = 1 + 8  # opcode and length of a record


class ExportError(LineageError):
    """An export could not be written; nothing is left of it."""


def tool_version() -> str:
    """Of this package; a source tree that was never installed has none."""
    try:
        return version("lineage-recorder")
    except PackageNotFoundError:
        return "unknown"


def refuse_taken(path: Path) -> None:
    """Refuse a name under which nothing can be made.

    Raises:
        ExportError: it is taken, or lies in no directory.

    """
    if os.path.lexists(path):
        raise ExportError(f"{path} is there already; choose another name")
    if not path.parent.is_dir():
        raise ExportError(f"{path.parent} is no directory")


class _Medium(io.FileIO):
    """A file that says what it could not take, so that nobody mistakes it for a source that cannot be read."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 -- whatever has bytes; Python 3.11 has no name for it
        try:
            return super().write(data)
        except OSError as error:
            raise ExportError(f"cannot write {self.name}: {error.strerror}; nothing is left of it") from error


class McapFile:
    """Messages go in one by one; `finish` makes the file appear, leaving the context without it removes all traces.

    Whoever begins has asked `refuse_taken` before the work that led here; `finish` asks again.
    """

    def __init__(self, path: Path, remark: str) -> None:
        """Begin to write `path`, under the name `path` with `.part` behind it.

        Args:
            path: the file to make.
            remark: stands behind the tool's version in the file's header, which `mcap info` prints.

        Raises:
            ExportError: it cannot be written there.

        """
        self.path = path
        self.messages = 0
        self._part = path.with_name(path.name + PART)
        try:
            self._part.unlink(missing_ok=True)  # of an export that was cut short
            self._file: BinaryIO = io.BufferedRandom(_Medium(str(self._part), "x+b"))
        except OSError as error:
            raise ExportError(f"cannot write {self._part}: {error.strerror}") from error
        self._writer = Writer(self._file)
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, str], int] = {}
        self._encode = msgspec.json.Encoder().encode
        self._done = False
        self._writer.start(library=f"lineage-recorder {tool_version()}{remark}, {LIBRARY_IDENTIFIER}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._done:
            return
        with suppress(ExportError):  # what it still buffers finds no room
            self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, message: Message) -> None:
        """Write a message, after its schema and channel where they are new.

        Raises:
            ExportError: too many channels, or no room for it.

        """
        channel = message.channel
        number = self._channels.get((channel.topic, channel.schema.name)) or self._register(message)
        self._writer.add_message(number, message.utc_ns, self._encode(message.value), message.utc_ns)
        self.messages += 1

    def say(self, name: str, values: dict[str, str]) -> None:
        """Write a metadata record; raises as `add`."""
        self._writer.add_metadata(name, values)

    def attach(self, name: str, source: BinaryIO, utc_ns: int) -> str:
        """Attach all of an open file; returns its SHA-256 in hex; raises as `add`.

        The library's `add_attachment` takes the bytes and copies them twice; a lineage may be larger than this
        machine's memory. So the record is written here (MCAP specification, "Attachment (op=0x09)"), and the library's
        writer, which has no call for that, is told of it where it keeps what goes into the summary.
        """
        source.seek(0)
        size = os.fstat(source.fileno()).st_size
        head = RecordBuilder()
        head.start_record(Opcode.ATTACHMENT)
        head.write8(utc_ns)
        head.write8(utc_ns)
        head.write_prefixed_string(name)
        head.write_prefixed_string(MEDIA_TYPE)
        head.write8(size)
        start = head.end()
        length = len(start) + size + 4
        start = start[:1] + (length - _HEAD_BYTES).to_bytes(8, "little") + start[_HEAD_BYTES:]
        self._writer.flush()
        offset = self._file.tell()
        self._file.write(start)
        crc, digest, left = crc32(start[_HEAD_BYTES:]), sha256(), size
        while data := source.read(min(COPY_BYTES, left)):
            crc = crc32(data, crc)
            digest.update(data)
            self._file.write(data)
            left -= len(data)
        if left:
            raise ExportError(f"{name} became shorter while it was attached")
        self._file.write(crc.to_bytes(4, "little"))
        kept: dict[str, Any] = vars(self._writer)
        statistics: Statistics = kept["_Writer__statistics"]
        statistics.attachment_count += 1
        kept["_Writer__attachment_indexes"].append(
            AttachmentIndex(
                offset=offset,
                length=length,
                log_time=utc_ns,
                create_time=utc_ns,
                data_size=size,
                name=name,
                media_type=MEDIA_TYPE,
            )
        )
        return digest.hexdigest()

    def finish(self) -> int:
        """Close the file, have the medium hold it, give it its name; returns its size in bytes; raises as `add`."""
        self._writer.finish()
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ExportError(f"cannot write {self._part}: {error.strerror}; nothing is left of it") from error
        size = os.fstat(self._file.fileno()).st_size
        self._file.close()
        refuse_taken(self.path)
        self._part.rename(self.path)
        self._done = True
        return size

    def _register(self, message: Message) -> int:
        channel = message.channel
        if len(self._channels) >= CHANNELS_MAX:
            raise ExportError(f"more than {CHANNELS_MAX} topics: export a part, with --since and --until")
        name = channel.schema.name
        if name not in self._schemas:
            data = msgspec.json.encode(channel.schema.schema)
            self._schemas[name] = self._writer.register_schema(name, "jsonschema", data)
        number: int = self._writer.register_channel(channel.topic, "json", self._schemas[name], channel.metadata)
        self._channels[channel.topic, name] = number
        return number
