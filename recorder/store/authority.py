"""What a recorder knows of authority, as a part of the tail: what the next decision depends on.

The bytes themselves are here, not only their hashes: a start must decide by what was in force before it, and the
entries that brought them may lie in segments that it does not read.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from recorder.core.limits import NONCES_KEPT
from recorder.core.spending import Spent

_NONCE = Layout(">16sQ")  # as one byte string: a roll waits for the snapshot, and 65,536 pairs of CBOR take 0.1 s


class Authority(Struct):
    """Policy, credentials and what was used of them; moved by the tail's operations."""

    policy: bytes | None = None  # the signed bundle in force; None: the configured table
    matrix: bytes | None = None
    credentials: dict[bytes, bytes] = {}  # by hash
    revocations: dict[bytes, int] = {}  # as `gate.authorities` has them, with the seqs of their entries
    spent: dict[bytes, Spent] = {}  # by hash of the credential
    nonces: dict[bytes, int] = {}  # of external decisions, with the CLOCK_BOOTTIME up to which their grants hold
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
            b"".join(_NONCE.pack(*item) for item in nonces.items()),
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
        if len(nonces) % _NONCE.size:
            raise ValueError(f"{len(nonces)} bytes of nonces")
        return cls(
            policy,
            matrix,
            dict(credentials),
            dict(revocations),
            {digest: Spent(*one) for digest, *one in spent},
            dict(_NONCE.iter_unpack(nonces)),
            floor_ns,
        )

    def use(self, nonce: bytes, until_mono_ns: int, now_mono_ns: int) -> None:
        """Note a nonce; beyond as many as a verifier remembers, forget the oldest once their grants are over."""
        self.nonces[nonce] = until_mono_ns
        while len(self.nonces) > NONCES_KEPT:
            oldest, until = next(iter(self.nonces.items()))
            if until >= now_mono_ns:
                break
            del self.nonces[oldest]

    def forget(self, credentials: list[bytes], revocations: list[bytes]) -> None:
        """Let go of credentials, of what was done under them, and of revocations; a snapshot may be without them."""
        for digest in credentials:
            self.credentials.pop(digest, None)
            self.spent.pop(digest, None)
        for key in revocations:
            self.revocations.pop(key, None)

    def boot(self) -> None:
        """CLOCK_BOOTTIME begins anew: the grants of before are over, and their nonces used all the same."""
        self.nonces = dict.fromkeys(self.nonces, 0)
        self.spent = {digest: one._replace(until_mono_ns=0) for digest, one in self.spent.items()}
