"""`Stream`: rows of one actuator under one cycle, recorded without ever blocking."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from recorder.client.connection import boottime_ns
from recorder.client.ring import FULL
from recorder.client.rows import Source
from recorder.core.errors import Misuse
from recorder.core.limits import UINT64_MAX
from recorder.core.rows import TIME_BYTES

Field = tuple[str, str, int, str]  # name, numpy type such as "<f4", count, unit


class Stream:
    """One control loop's rows.  The cycle is durable, that is the permission; the rows follow as evidence."""

    def __init__(
        self, source: Source, row_format: str, fields: Sequence[Field], adopt: Callable[[Source], None]
    ) -> None:
        """Made by `Cycle.stream`.

        Args:
            source: the ring and what its rows belong to.
            row_format: of one row, time included.
            fields: as declared.
            adopt: gives the source to the sender, again after it had none left to send.

        """
        self._source = source
        self._ring = source.ring
        self._buffer = source.ring.buffer
        self._pack = struct.Struct(row_format)
        self._fields = tuple(fields)
        self._adopt = adopt
        self._is_scalar = tuple(field[2] == 1 for field in fields)
        adopt(source)

    @property
    def dropped(self) -> int:
        """Rows that found no room; they are declared as a gap."""
        return self._ring.dropped

    def record(self, values: bytes | Sequence[Any], /, at_mono_ns: int | None = None) -> bool:
        """Take one row and return at once, whatever the recorder does.

        Args:
            values: one item per field, a sequence where a field counts more than one; or the packed fields.
            at_mono_ns: when it happened, CLOCK_BOOTTIME; now if left out.

        Returns:
            True if the row was taken, False if the ring is full; then it is counted, and declared lost.

        Raises:
            Misuse: the values don't fit the declared fields.

        """
        at = boottime_ns() if at_mono_ns is None else at_mono_ns
        if not 0 <= at <= UINT64_MAX:
            raise Misuse(f"at_mono_ns {at} is not a time of CLOCK_BOOTTIME")
        ring = self._ring
        packed: bytes | bytearray | memoryview | None = None
        flat: list[Any] = []
        if isinstance(values, bytes | bytearray | memoryview):
            packed = values
            if len(packed) != ring.row_bytes - TIME_BYTES:
                raise Misuse(f"a row holds {ring.row_bytes - TIME_BYTES} bytes without its time, not {len(packed)}")
        else:
            flat = self._flat(values)
        with ring.producing:
            offset = ring.offset(at)
            if offset == FULL:
                return False
            if packed is not None:
                self._buffer[offset : offset + ring.row_bytes] = at.to_bytes(TIME_BYTES, "little") + packed
            else:
                try:
                    self._pack.pack_into(self._buffer, offset, at, *flat)
                except (struct.error, TypeError, OverflowError) as error:
                    raise Misuse(f"a row does not fit its fields {self._fields}: {error}") from None
            ring.publish(at)
        if self._source.closed:
            self._adopt(self._source)
        return True

    def _flat(self, values: Sequence[Any]) -> list[Any]:
        if len(values) != len(self._is_scalar):
            raise Misuse(f"a row has {len(self._is_scalar)} items, one per field, not {len(values)}")
        flat: list[Any] = []
        for item, is_scalar in zip(values, self._is_scalar, strict=True):
            if is_scalar:
                flat.append(item)
            else:
                flat.extend(item)
        return flat
