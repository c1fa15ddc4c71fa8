"""Observations that were recorded lately, for decisions that refer to one by its printed id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from recorder.core import ids
from recorder.core.errors import FormatError

READINGS_MAX = 1024  # what is older than so many others is stale for any decision; and a card need not be read
BYTES_MAX = 1024 * 1024  # of their requests


class Readings:
    """Bodies of the latest observation entries, by seq and hash."""

    def __init__(self) -> None:
        self._pending: dict[int, tuple[int, Mapping[str, Any]]] = {}
        self._held: OrderedDict[int, tuple[bytes, int, Mapping[str, Any]]] = OrderedDict()
        self._bytes = 0

    def note(self, seq: int, size: int, body: Mapping[str, Any]) -> None:
        """One was drafted; `size` is that of its request, in bytes."""
        self._pending[seq] = (size, body)

    def settle(self, first: int, hashes: list[bytes]) -> None:
        """The drafted ones are durable, and have their hashes."""
        for seq, (size, body) in self._pending.items():
            self._held[seq] = (hashes[seq - first], size, body)
            self._bytes += size
        self._pending.clear()
        while len(self._held) > READINGS_MAX or self._bytes > BYTES_MAX:
            _, (_, size, _) = self._held.popitem(last=False)
            self._bytes -= size

    def find(self, printed: str) -> Mapping[str, Any] | None:
        """The body of the entry with this id; None where it is none of the latest observations.

        Args:
            printed: `SEQ-HHHHHHHH`.

        """
        try:
            named = ids.parse_id(printed)
        except FormatError:
            return None
        found = self._held.get(named.seq)
        if found is None or named.index is not None or not found[0].hex().startswith(named.digits):
            return None
        return found[2]
