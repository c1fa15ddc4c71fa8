"""What can go wrong with a store."""

from __future__ import annotations

from recorder.core.errors import LineageError


class StoreError(LineageError):
    """A store that cannot be opened or used as it is; the message says what is wrong, where, and what to do."""


class StoreDamagedError(StoreError):
    """Stored bytes are not what was written.

    Attributes:
        seq: first entry that cannot be trusted to be there, where it is known.

    """

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class ForeignStoreError(StoreError):
    """A store of another platform or another identity key: nothing to recover, but something to put back."""


class SyncFailedError(StoreError):
    """A transaction may or may not be durable: nothing more is acknowledged until the store was checked."""
