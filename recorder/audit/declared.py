"""Which entry below introduced a key, declared an actuator or a schema, brought a policy or a credential."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Mapping
from typing import Any

from recorder.core import credential
from recorder.core.header import Header
from recorder.core.kinds import IDENTITY_SIGNED, Kind
from recorder.core.rows import schema_id

DECLARING = frozenset({*IDENTITY_SIGNED, Kind.POLICY, Kind.ACTUATOR, Kind.SCHEMA, Kind.CREDENTIAL})
_MATRIX = b"matrix"  # among credential entries, whose other names are digests
_DEVICE = b"device"
_KEY = b"key"  # all introductions are on one line: the nearest counts, whatever it introduced


class Declared:
    """Declarations in order of seq; grows with them and not with what uses them."""

    def __init__(self) -> None:
        self._seqs: dict[tuple[int, Hashable], list[int]] = {}

    def note(self, header: Header, body: Mapping[str, Any] | None = None) -> None:
        """Remember an entry that others may name by what it declares; seqs may come in any order.

        Args:
            header: of the entry.
            body: its claims; of a credential entry they alone say that it is a recognition matrix.

        """
        control = header.control
        if header.kind in IDENTITY_SIGNED:
            self._note(Kind.BOOT, _KEY, header.seq)
        elif header.kind in (Kind.POLICY, Kind.CREDENTIAL):
            self._note(header.kind, control.digest, header.seq)
            if header.kind == Kind.CREDENTIAL and body is not None and _MATRIX.decode() in body:
                self._note(header.kind, _MATRIX, header.seq)
            if header.kind == Kind.CREDENTIAL and body is not None:
                self.note_device(credential.device_kid_in(body.get("credential")), header.seq)
        elif header.kind == Kind.ACTUATOR:
            self._note(header.kind, control.number, header.seq)
        elif header.kind == Kind.SCHEMA:
            self._note(header.kind, schema_id(control.fields), header.seq)

    def note_device(self, kid: bytes | None, seq: int) -> None:
        """Remember an entry that brought the credential of an actuator's device with this key."""
        if kid is not None:
            self._note(Kind.CREDENTIAL, (_DEVICE, kid), seq)

    def device(self, kid: bytes | None, seq: int) -> int | None:
        """Seq of the nearest credential below `seq` of an actuator's device with this key."""
        return self.nearest(Kind.CREDENTIAL, (_DEVICE, kid), seq)

    def introduction(self, seq: int) -> int | None:
        """Seq of the nearest boot or epoch entry below `seq`."""
        return self.nearest(Kind.BOOT, _KEY, seq)

    def matrix(self, seq: int) -> int | None:
        """Seq of the nearest recognition matrix below `seq`."""
        return self.nearest(Kind.CREDENTIAL, _MATRIX, seq)

    def nearest(self, kind: int, name: Hashable, seq: int) -> int | None:
        """Seq of the nearest declaration of `name` below `seq`: a digest, a number, the id of a schema."""
        seqs = self._seqs.get((kind, name), ())
        at = bisect_left(seqs, seq)
        return seqs[at - 1] if at else None

    def _note(self, kind: int, name: Hashable, seq: int) -> None:
        seqs = self._seqs.setdefault((kind, name), [])
        at = bisect_right(seqs, seq)
        if not at or seqs[at - 1] != seq:
            seqs.insert(at, seq)
