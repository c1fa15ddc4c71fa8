"""What a platform tells next, and when: a decision over hashes as they come, without I/O.

Hashes wait a little, so that they fill a datagram.  Where they come faster than datagrams may go, the oldest are left
out, which peers pull; the latest and the head go.  At rest a beacon goes, with the head and the sizes held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from mesh.bucket import Bucket
from mesh.digest import HELD_MAX, Digest, Head, Held, room_for_hashes
from mesh.node.config import Digests

FILL_S = 0.05
WAITING_MAX = 1_024  # hashes: what may go in a burst, and no more


class Announcer:
    """The sender's state; times are of one monotonic clock."""

    def __init__(self, settings: Digests, now_s: float) -> None:
        self.left_out = 0  # hashes that were never sent
        self._interval_s = settings.interval_s
        self._bucket = Bucket(settings.per_s, settings.burst)
        self._origin: str | None = None
        self._size = 0
        self._waiting: deque[bytes] = deque()  # of the entries that end at `_size`
        self._since_s: float | None = None  # when the first of what waits came
        self._latest: tuple[str, Head] | None = None
        self._is_head_new = False
        self._beacon_s = now_s
        self._held_at = 0  # which of the sizes held the next beacon begins with

    def pushed(self, origin: str, first: int, hashes: Sequence[bytes], now_s: float) -> None:
        """Take entries as the recorder pushes them; without hashes, how many there are."""
        if origin != self._origin:
            self._origin = origin
            self._waiting.clear()
        if first != self._size:  # a push was lost, or the recorder began again: hashes of a digest lie side by side
            self.left_out += len(self._waiting)
            self._waiting.clear()
        self._waiting.extend(hashes)
        self._size = first + len(hashes)
        self._keep(WAITING_MAX)
        self._note_since(now_s)

    def headed(self, origin: str, head: Head, now_s: float) -> None:
        """Take the latest checkpoint of the own log."""
        if (origin, head) != self._latest:
            self._latest = (origin, head)
            self._is_head_new = True
            self._note_since(now_s)

    def is_beacon_due(self, now_s: float) -> bool:
        """Whether the next datagram is a beacon, for which the sizes held are to be read."""
        return self._origin is not None and now_s >= self._beacon_s

    def wait_s(self, now_s: float) -> float:
        """How long nothing is to be sent if nothing comes."""
        if self._origin is None:
            return self._interval_s
        due_s = self._beacon_s if self._since_s is None else min(self._beacon_s, self._since_s + FILL_S)
        return max(0.0, due_s - now_s, self._bucket.wait_s(now_s))

    def due(self, held: Sequence[Held], now_s: float) -> list[Digest]:
        """What is to be sent now; run and number are the sender's to fill in."""
        sent: list[Digest] = []
        if self._origin is None:
            return sent
        if now_s >= self._beacon_s and self._bucket.take(now_s):
            sent.append(self._says(self._size)._replace(head=self._head(), held=self._next(held)))
            self._beacon_s = now_s + self._interval_s
            self._is_head_new = False
        if self._since_s is not None and now_s >= self._since_s + FILL_S and self._bucket.fill(now_s) >= 1:
            self._keep(int(self._bucket.fill(now_s)) * self._room())
            while (self._waiting or self._is_head_new) and self._bucket.take(now_s):
                sent.append(self._chunk())
        if not self._waiting and not self._is_head_new:
            self._since_s = None
        return sent

    def _says(self, first: int) -> Digest:
        assert self._origin is not None, "nothing is said before there is a log"
        return Digest(self._origin, 0, 0, first, b"", None, [])

    def _chunk(self) -> Digest:
        says = self._says(self._size - len(self._waiting))
        if self._is_head_new:
            says = says._replace(head=self._head())
            self._is_head_new = False
        count = min(len(self._waiting), room_for_hashes(_numbered(says)))
        return says._replace(hashes=b"".join(self._waiting.popleft() for _ in range(count)))

    def _head(self) -> Head | None:
        """The latest checkpoint, if it is one of this log: the recorder may have begun another since."""
        return self._latest[1] if self._latest is not None and self._latest[0] == self._origin else None

    def _room(self) -> int:
        return room_for_hashes(_numbered(self._says(self._size)))

    def _keep(self, most: int) -> None:
        while len(self._waiting) > most:
            self._waiting.popleft()
            self.left_out += 1

    def _note_since(self, now_s: float) -> None:
        if self._since_s is None and (self._waiting or self._is_head_new):
            self._since_s = now_s

    def _next(self, held: Sequence[Held]) -> list[Held]:
        """As many sizes as a digest has room for, in turn."""
        at = self._held_at % len(held) if held else 0
        turned = [*held[at:], *held[:at]][:HELD_MAX]
        self._held_at = at + len(turned)
        return turned


def _numbered(says: Digest) -> Digest:
    """With the largest numbers that run and number can have: what fits then always fits."""
    most = (1 << 64) - 1
    return says._replace(run=most, number=most)
