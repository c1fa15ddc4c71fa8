"""Rows out of their packed form, as values that JSON can hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import isfinite, isnan
from typing import Any, NamedTuple

from recorder.core import rows
from recorder.core.errors import FormatError


class Row(NamedTuple):
    """One row."""

    row: int
    at_mono_ns: int
    values: dict[str, Any]  # without the floats that are not finite
    not_finite: dict[str, Any]  # those fields whole: numbers, and "NaN", "Infinity", "-Infinity" in their places


class RowDecoder:
    """Rows of one schema."""

    def __init__(self, fields: list[list[Any]]) -> None:
        """Prepare for `[name, type, count, unit]` each.

        Raises:
            FormatError: schema_malformed.

        """
        text = rows.struct_format(fields)
        self.fields = fields
        self.row_bytes = rows.size_of(text)
        self._unpack = struct.Struct(text).unpack
        self._places: list[tuple[str, int, int, bool]] = []  # name, first number, count, whether floats
        at = 1  # the time comes first
        for name, kind, count, _ in fields:
            self._places.append((name, at, count, kind[1] == "f"))
            at += count

    def decode(self, held: Any, count: int) -> tuple[Iterator[Row], int]:  # noqa: ANN401 -- rows in either form
        """The rows that are here, in order, and how many are withheld.

        Raises:
            FormatError: rows_malformed.

        """
        rows.leaves_of(held, count, self.row_bytes)  # checks its form
        if isinstance(held, list):
            size = self.row_bytes
            packed = ((row, held[1][row * size : (row + 1) * size]) for row in range(count))
            return (self._row(row, data) for row, data in packed), 0
        here = [(row, one[1]) for row, one in held.items() if isinstance(one, list)]
        return (self._row(row, data) for row, data in here), count - len(here)

    def _row(self, row: int, packed: bytes) -> Row:
        numbers = self._unpack(packed)
        values: dict[str, Any] = {}
        not_finite: dict[str, Any] = {}
        for name, at, count, is_float in self._places:
            taken = numbers[at : at + count]
            if is_float and not all(map(isfinite, taken)):
                taken = tuple(_json(number) for number in taken)
                not_finite[name] = taken[0] if count == 1 else list(taken)
            else:
                values[name] = taken[0] if count == 1 else list(taken)
        return Row(row, numbers[0], values, not_finite)


def _json(number: float) -> float | str:
    if isfinite(number):
        return number
    return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"


def decoder_of(fields: Any) -> RowDecoder | None:  # noqa: ANN401 -- what a schema entry declares
    """A decoder; None for a declaration that is none."""
    try:
        return RowDecoder(fields)
    except FormatError:
        return None
