"""What of a C client's rows, events, commits and losses stands in a stopped recorder's lineage."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.core import cbor
from recorder.core.entry import decode
from recorder.core.kinds import Kind, Rows
from tests.running import records_of

ROW = "<Q6fI"  # of driver.c; the last field is the tick


@dataclass
class Recorded:
    """Ticks of rows by stream, in the order of the log; everything else counted."""

    ticks: dict[bytes, list[int]] = field(default_factory=dict)
    carriers: set[int] = field(default_factory=set)
    commits: Counter[float] = field(default_factory=Counter)
    events: list[float] = field(default_factory=list)
    ungated: list[tuple[float, str]] = field(default_factory=list)
    gaps: list[tuple[int | None, str]] = field(default_factory=list)
    abandoned: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of all streams."""
        return sum(map(len, self.ticks.values()))

    def lost(self, reason: str) -> int:
        """Losses declared for a reason that begins so."""
        return sum(count or 0 for count, why in self.gaps if why.startswith(reason))


def recorded_in(state: Path, row: str = ROW) -> Recorded:
    """Read a stopped recorder's store; `row` is the `struct` format of all rows in it, with the tick at the end."""
    found, packed_row = Recorded(), struct.Struct(row)
    for raw, packed in records_of(state):
        header = decode(raw).header
        if header.kind == Kind.GAP:
            found.gaps.append((header.control.count, header.control.reason))
        elif header.kind == Kind.ABANDON:
            found.abandoned += len(header.control.requests)
        elif header.kind == Kind.ACTUATION:
            assert packed is not None
            assert header.why is not None
            assert header.classes is not None
            claims = cbor.decode(packed)
            for commit, stored in zip(header.commits or [], claims[10], strict=True):
                found.requests.append(commit.request)
                if isinstance(commit, Rows):
                    ticks = [fields[-1] for fields in packed_row.iter_unpack(stored[2][1])]
                    found.ticks.setdefault(commit.schema + bytes([commit.actuator]), []).extend(ticks)
                    found.carriers.add(header.why.carrier)
                    continue
                magnitude = _claim(stored[0], "magnitude")
                if header.decision != 4:
                    found.commits[magnitude] += 1
                elif _claim(claims[9], "reason") == "recorder_unavailable":
                    found.ungated.append((magnitude, header.classes.action_class))
                else:
                    found.events.append(magnitude)
    return found


def _claim(family: list[Any], key: str) -> Any:
    claims = family[1]
    return claims["*"][key] if "*" in claims else claims[key]
