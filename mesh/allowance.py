"""What one platform may cost this witness: each head that is newly cosigned is a sync, and wears its card.

What is bounded is what is written, not what is asked: heads of a log are public, so a bound on requests would be
anyone's to use up in its name.
"""

from __future__ import annotations

from collections import Counter

from mesh.bucket import Buckets, Rate

# A checkpoint a second, and as many rounds at once beside; ten a second for two minutes before.
HEADS = Rate(2.0, 1_200)
# An incarnation is begun where a store was lost.  Eight at once, then one an hour: who has stolen the identity key
# needs ten days for as many as a witness ever follows, not a minute.
INCARNATIONS = Rate(1 / 3_600, 8)


class Allowance:
    """What is left, by line of the fleet list; times are of one monotonic clock, and a start begins anew."""

    def __init__(self, heads: Rate = HEADS, incarnations: Rate = INCARNATIONS) -> None:
        self.put_off: Counter[str] = Counter()  # heads and incarnations that had to wait, by line
        self._heads = Buckets(heads)
        self._incarnations = Buckets(incarnations)

    def take(self, line: str, now_s: float, *, is_new: bool) -> float:
        """Take what a head of a log costs, the first one of a new incarnation the more.

        Returns:
            0 where it was there; else how many seconds until it is, and nothing is taken.

        """
        wanted = [self._heads.of(line), *([self._incarnations.of(line)] if is_new else [])]
        wait_s = max(one.wait_s(now_s) for one in wanted)
        if wait_s > 0:
            self.put_off[line] += 1
            return wait_s
        for one in wanted:
            one.take(now_s)
        return 0.0
