"""Step 3: which key may have signed an entry (FORMAT.md section 2, "Keys and windows")."""

from __future__ import annotations

from recorder.core.entry import Entry
from recorder.core.keys import kid
from recorder.core.kinds import Kind
from recorder.core.verify.found import Found

EARLIER_MAX = 65_536  # epoch kids remembered to tell "an earlier window" from "unknown"; 7 years of hourly epochs


class KeyWindows:
    """The identity key and the epoch key that the nearest boot or epoch entry below introduced."""

    __slots__ = (
        "_earlier",
        "_epoch",
        "_epoch_kid",
        "_found",
        "_identity_kid",
        "_started",
        "_stopped",
        "_trusted",
        "identity",
    )

    def __init__(self, found: Found, trusted_identity: bytes | None) -> None:
        self.identity: bytes | None = None
        self._found = found
        self._trusted = trusted_identity
        self._identity_kid = b""
        self._epoch: bytes | None = None
        self._epoch_kid = b""
        self._earlier: dict[bytes, None] = {}  # in the order in which they were introduced
        self._started = self._stopped = False

    def admit(self, entry: Entry) -> bytes | None:
        """Judge the signer of the next entry; return the key that must have signed, None if its kid is another's."""
        header = entry.header
        kind, seq = header.kind, header.seq
        if not self._started:
            self._started = True
            if kind != Kind.BOOT or seq != 0:
                self._found("boot_missing", seq, f"the lineage begins with kind {kind} at seq {seq}, not a boot at 0")
        if self._stopped and kind != Kind.BOOT:
            self._found("after_stop", seq, f"kind {kind} after a stop; only a boot may follow")
        self._stopped = kind == Kind.STOP
        if kind == Kind.BOOT:
            self._adopt(seq, header.control.identity_key)
        if kind in (Kind.BOOT, Kind.EPOCH):
            expected, expected_kid = self.identity, self._identity_kid
        else:
            expected, expected_kid = self._epoch, self._epoch_kid
        if entry.kid != expected_kid:
            self._refuse(entry, expected_kid)
            expected = None
        if kind in (Kind.BOOT, Kind.EPOCH):
            self._introduce(seq, header.control.epoch_key)
        return expected

    def _adopt(self, seq: int, identity: bytes) -> None:
        if self.identity is None:
            self.identity, self._identity_kid = identity, kid(identity)
            if self._trusted not in (None, identity):
                self._found("identity_untrusted", seq, f"identity key {identity.hex()} is not the trusted one")
        elif identity != self.identity:
            self._found("identity_changed", seq, f"identity key {identity.hex()}; a new one means a new origin")

    def _introduce(self, seq: int, epoch: bytes) -> None:
        introduced = kid(epoch)
        if introduced in self._earlier or introduced in (self._epoch_kid, self._identity_kid):
            self._found("epoch_key_reused", seq, f"epoch key {epoch.hex()} was known before")
        if self._epoch_kid:
            self._earlier[self._epoch_kid] = None
            if len(self._earlier) > EARLIER_MAX:
                del self._earlier[next(iter(self._earlier))]
        self._epoch, self._epoch_kid = epoch, introduced

    def _refuse(self, entry: Entry, expected_kid: bytes) -> None:
        known = entry.kid in self._earlier or entry.kid in (self._identity_kid, self._epoch_kid)
        self._found(
            "key_window" if known else "kid_unknown",
            entry.header.seq,
            f"kid {entry.kid.hex()}{' outside its window' if known else ''}, expected {expected_kid.hex() or 'none'}",
        )
