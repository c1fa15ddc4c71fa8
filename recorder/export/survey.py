"""What an export must know before its first message: names, schemas, deletions, and what each actuator does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.audit.state import actuator_in
from recorder.core import rows
from recorder.core.entry import Entry, decode, decode_in_order
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import UNCLASSED, Kind, Rows
from recorder.export.missing import Deleted
from recorder.export.rowdecode import RowDecoder, decoder_of

Ranges = Sequence[tuple[int, int]]


class Survey:
    """One pass over what will be exported; memory grows with actuators, schemas and deletions only."""

    def __init__(self, source: LineageSource, ranges: Ranges) -> None:
        """Go through the entries.

        Args:
            source: where they are.
            ranges: first and last seq of those to export; the others are here because these need them.

        """
        self.names: dict[int, str] = {}
        self.decoders: dict[bytes, RowDecoder | None] = {}
        self.shapes: dict[int, list[bytes | None]] = {}  # by actuator, in order of use; None: commits
        self.carriers: set[int] = set()  # cycles outside the ranges whose commits are within
        self.entries = 0  # within the ranges
        self.first_utc_ns: int | None = None
        self._ranges = ranges
        self._deletions: list[Deleted] = []
        with closing(source.read(0)) as entries:
            for held in entries:
                self._see(held)

    def is_asked_for(self, seq: int) -> bool:
        """Whether an entry is to be exported for its own sake."""
        return any(first <= seq <= last for first, last in self._ranges)

    def deletion(self, header: Header) -> Deleted | None:
        """The deletion entry that tells why claims of an entry may be gone."""
        retention = UNCLASSED if header.classes is None else header.classes.retention_class
        for one in self._deletions:
            if one.first <= header.seq <= one.last and one.retention_class == retention:
                return one
        return None

    def name(self, number: int) -> str:
        """An actuator's name, as the CLI prints it."""
        return self.names.get(number, f"#{number}")

    def topic(self, number: int, shape: bytes | None) -> str:
        """The topic of an actuator's rows of one schema, or of its commits.

        Rows are what is plotted, so the first schema has the actuator's own topic; commits have it where there are no
        rows.  Viewers take one schema a topic, so each other shape has a topic below.
        """
        base = f"/actuators/{self.names.get(number, f'number-{number}')}"
        shapes = self.shapes.get(number, [shape])
        main = next((one for one in shapes if one is not None), None)
        if shape == main:
            return base
        return f"{base}/commits" if shape is None else f"{base}/{shape.hex()[:8]}"

    def _see(self, held: Held) -> None:
        asked_for = self.is_asked_for(held.seq)
        self.entries += asked_for
        try:
            # A schema is encoded again for its id, so it has to be one of the format's values.
            entry = (decode if kind_of(held.raw) == Kind.SCHEMA else decode_in_order)(held.raw)
        except FormatError:
            return
        header = entry.header
        if asked_for and self.first_utc_ns is None:
            self.first_utc_ns = header.time.utc_ns
        if header.kind == Kind.ACTUATOR:
            self.names.update(actuator_in(held.raw, held.claims))
        elif header.kind == Kind.SCHEMA:
            fields = header.control.fields
            self.decoders.setdefault(rows.schema_id(fields), decoder_of(fields))
        elif header.kind == Kind.DELETION:
            self._deletions.append(_deleted(entry))
        elif header.kind == Kind.ACTUATION and asked_for:
            self._see_acts(header)

    def _see_acts(self, header: Header) -> None:
        for act in header.commits or ():
            shape = act.schema if isinstance(act, Rows) else None
            shapes = self.shapes.setdefault(act.actuator, [])
            if shape not in shapes:
                shapes.append(shape)
        if header.why is not None and header.why.carrier != header.seq and not self.is_asked_for(header.why.carrier):
            self.carriers.add(header.why.carrier)


def _deleted(entry: Entry) -> Deleted:
    control = entry.header.control
    return Deleted(control.first, control.last, control.retention_class, str(entry_id(entry.hash, entry.header.seq)))
