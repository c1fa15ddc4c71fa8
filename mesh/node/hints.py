"""What mDNS may cost and what it may say: a guard before the library, and names that are taken for ours.

The library keeps up to 10,000 records and 10,000 questions, and parses whatever comes; a flood on the network would be
paid by this process.  So only datagrams that can be about us get to it, and of those not more than a fleet needs.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import cast

from mesh.node.budget import Budget

TYPE = "_lineage._tcp.local."
DATAGRAM_MAX_BYTES = 1_500  # a peer says all of itself in some 300
PER_ADDRESS_S, TOTAL_S = 10.0, 100.0  # a start takes some ten, and each peer answers each question

_INSTANCE = re.compile(rf"lineage-(?P<kid>[0-9a-f]{{16}})\.{re.escape(TYPE)}")
_OURS = (b"_lineage", b"lineage-", b"_dns-sd")  # type, instances and hosts, and who asks for all types there are


def instance_of(kid: bytes) -> str:
    """The name under which the platform with this mesh key is announced."""
    return f"lineage-{kid.hex()}.{TYPE}"


def kid_of(instance: str) -> bytes | None:
    """The mesh key that an instance's name tells, None where it is not named as `instance_of` names one."""
    found = _INSTANCE.fullmatch(instance)
    return None if found is None else bytes.fromhex(found["kid"])


class Guard(asyncio.DatagramProtocol):
    """Stands before a listener of the library, on each of its sockets."""

    def __init__(self, inner: asyncio.DatagramProtocol, budget: Budget, fates: Counter[str]) -> None:
        self._inner = inner
        self._budget = budget
        self._fates = fates

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        lower = data.lower()
        if len(data) > DATAGRAM_MAX_BYTES or not any(one in lower for one in _OURS):
            self._fates["not_ours"] += 1
        elif not self._budget.take(str(addr[0]), time.monotonic(), known=False):
            self._fates["too_many"] += 1
        else:
            self._fates["read"] += 1
            self._inner.datagram_received(data, cast(tuple[str, int], addr))

    def error_received(self, exc: Exception) -> None:
        self._inner.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
