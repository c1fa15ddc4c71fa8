"""Rows messages that follow each other within a session and a transaction become one element of their entry.

A controller sends a message every few milliseconds, a transaction takes those of a whole window: an element each would
store what and where of the stream again with every one, more than the rows of a slow stream take.
"""

from __future__ import annotations

from recorder.core import cbor, rows
from recorder.writer.families import Family
from recorder.writer.session import Stream


class Gathering:
    """One element of key 10, and the claims beside it, in the making."""

    __slots__ = (
        "_count",
        "_first_ns",
        "_last_ns",
        "_packed",
        "_request",
        "_secret",
        "_stream",
        "_what",
        "_where",
        "index",
    )

    def __init__(
        self, index: int, stream: Stream, families: tuple[Family, Family], request: bytes, secret: bytes, first_ns: int
    ) -> None:
        """Begin it.

        Args:
            index: its place in key 10.
            stream: of the rows.
            families: what and where of the stream.
            request: id of the first message; those of the others lie between it and that of the session's next element.
            secret: 16 fresh bytes for the salts of the rows.
            first_ns: at_mono_ns of the first row.

        """
        self.index = index
        self._stream = stream
        self._what, self._where = families
        self._request = request
        self._secret = secret
        self._first_ns = self._last_ns = first_ns
        self._packed: list[bytes] = []
        self._count = 0

    def takes(self, stream: Stream, first_ns: int) -> bool:
        """Whether a message of this stream, whose first row is of that time, can be a part of it."""
        return stream is self._stream and first_ns >= self._last_ns

    def add(self, packed: bytes, count: int, last_ns: int) -> None:
        """Add the rows of a message."""
        self._packed.append(packed)
        self._count += count
        self._last_ns = last_ns

    def finish(self) -> tuple[bytes, bytes]:
        """The element, and CBOR [what, where, rows at rest]."""
        stream, packed = self._stream, b"".join(self._packed)
        root = rows.root_at_rest(self._secret, packed, stream.row_bytes)
        element = [
            stream.actuator, stream.schema, self._count, root, self._what.digest, self._where.digest,
            [self._first_ns, self._last_ns], self._request,
        ]  # fmt: skip
        held = (b"\x82", cbor.byte_string(self._secret), cbor.byte_string(packed))
        return cbor.pack_ordered(element), b"".join((b"\x83", self._what.claims, self._where.claims, *held))
