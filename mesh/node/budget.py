"""How much of our time strangers may take: token buckets, one for each source address and one for all together."""

from __future__ import annotations

from mesh.bucket import Bucket

ADDRESSES_MAX = 1024  # buckets kept; of more addresses at once, those not heard for longest begin anew


class Budget:
    """A bucket for each address, and one for all of those that are not known.

    An address from which something verified came lately does not share with others: a flood from invented addresses
    takes the common part, and leaves what peers have.
    """

    def __init__(self, per_address_s: float, total_s: float) -> None:
        self._per_address_s = per_address_s
        self._total = Bucket(total_s, total_s)
        self._by_address: dict[str, Bucket] = {}  # in the order of use

    def take(self, address: str, now_s: float, *, known: bool) -> bool:
        """Whether there is a token for this address; it is taken."""
        bucket = self._by_address.pop(address, None) or Bucket(self._per_address_s, self._per_address_s)
        self._by_address[address] = bucket
        if len(self._by_address) > ADDRESSES_MAX:
            del self._by_address[next(iter(self._by_address))]
        return bucket.take(now_s) and (known or self._total.take(now_s))
