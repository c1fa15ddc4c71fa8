"""What a recorder knows of authority, as a part of the tail: what the next decision depends on.

The bytes themselves are here, not only their hashes: a start must decide by what was in force before it, and the
entries that brought them may lie in segments that it does not read.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from recorder.core.spending import Spent


class Authority(Struct):
    """Policy, credentials and what was used of them; moved by the tail's operations."""

    policy: bytes | None = None  # the signed bundle in force; None: the configured table
    matrix: bytes | None = None
    credentials: dict[bytes, bytes] = {}  # by hash
    revocations: dict[bytes, int] = {}  # as `gate.authorities` has them, with the seqs of their entries
    spent: dict[bytes, Spent] = {}  # by hash of the credential
    nonces: dict[bytes, int] = {}  # of external decisions, with the CLOCK_BOOTTIME after which none may be used
    floor_ns: int | None = None  # UTC that it is at least (core.moments)

    def snapshot(self) -> list[Any]:
        """A value for `restore`."""
        policy, matrix, credentials, revocations, spent, nonces, floor_ns = astuple(self)
        return [
            policy,
            matrix,
            list(credentials.items()),
            list(revocations.items()),
            [[digest, *one] for digest, one in spent.items()],
            list(nonces.items()),
            floor_ns,
        ]

    @classmethod
    def restore(cls, snapshot: list[Any]) -> Authority:
        """What `snapshot` wrote; a snapshot of before there was authority is empty.

        Raises:
            TypeError, ValueError: it is none.

        """
        if not snapshot:
            return cls()
        policy, matrix, credentials, revocations, spent, nonces, floor_ns = snapshot
        return cls(
            policy,
            matrix,
            dict(credentials),
            dict(revocations),
            {digest: Spent(*one) for digest, *one in spent},
            dict(nonces),
            floor_ns,
        )

    def use(self, nonce: bytes, until_mono_ns: int, now_mono_ns: int) -> None:
        """Note a nonce, and forget those whose decisions are over."""
        for old in [one for one, until in self.nonces.items() if until < now_mono_ns]:
            del self.nonces[old]
        self.nonces[nonce] = until_mono_ns

    def forget(self, credentials: list[bytes], revocations: list[bytes]) -> None:
        """Let go of credentials, of what was done under them, and of revocations; a snapshot may be without them."""
        for digest in credentials:
            self.credentials.pop(digest, None)
            self.spent.pop(digest, None)
        for key in revocations:
            self.revocations.pop(key, None)

    def boot(self) -> None:
        """CLOCK_BOOTTIME begins anew, and decisions of the OS boot before are worth nothing."""
        self.nonces.clear()
        self.spent = {digest: one._replace(until_mono_ns=0) for digest, one in self.spent.items()}
