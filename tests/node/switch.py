"""A switch in user space that loses, doubles, delays and reorders frames as it is told: values and bytes, without I/O.

Time comes in, chance comes from a seed: the same frames at the same times meet the same faults.
"""

from __future__ import annotations

import heapq
import random
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple

Direction = Literal["from", "to"]  # from a platform into the switch, or to a platform

QUEUE_MAX_FRAMES = 50_000  # that wait for their time; what comes beyond that is lost, as in a real switch
HELD_BACK_S = 0.02  # for a frame that others shall overtake
MDNS_PORT = 5353
_MULTICAST = 1  # a bit of the first byte of a MAC
_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_TCP, _UDP, _IPV6_HEADER_BYTES = 6, 17, 40


@dataclass(frozen=True, slots=True)
class Faults:
    """What one direction of one port does to frames; shares are 0 to 1."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # share that waits HELD_BACK_S longer, so that later ones overtake
    delay_s: float = 0.0
    jitter_s: float = 0.0  # up to so much on top of the delay; it reorders too


class Flap(NamedTuple):
    """A port that comes and goes from a moment on: up first."""

    since_s: float
    up_s: float
    down_s: float

    def is_up(self, now_s: float) -> bool:
        return (now_s - self.since_s) % (self.up_s + self.down_s) < self.up_s


class Due(NamedTuple):
    """A frame that waits for its time; `number` keeps the order of those with the same time."""

    due_s: float
    number: int
    port: int
    frame: bytes


def protocol_of(frame: bytes) -> str:
    """What a frame is counted as: mdns, udp, tcp, arp or other."""
    (kind,) = struct.unpack_from(">H", frame, 12)
    if kind == _ARP:
        return "arp"
    if kind == _IPV4 and len(frame) >= 34:
        protocol, below = frame[23], 14 + (frame[14] & 15) * 4
    elif kind == _IPV6 and len(frame) >= 54:
        protocol, below = frame[20], 14 + _IPV6_HEADER_BYTES
    else:
        return "other"
    if protocol == _TCP:
        return "tcp"
    if protocol != _UDP or len(frame) < below + 4:
        return "other"
    return "mdns" if struct.unpack_from(">H", frame, below + 2)[0] == MDNS_PORT else "udp"


class Switch:
    """Forwards between ports 0 to `ports` - 1: unicast to where its address was last seen, all else to everybody."""

    def __init__(self, ports: int, seed: int) -> None:
        self._ports = range(ports)
        self._where: dict[bytes, int] = {}  # MAC -> port
        self._faults: dict[tuple[int, Direction], Faults] = {}
        self._chance = {
            (port, way): random.Random(f"{seed}/{port}/{way}")  # each its own: traffic elsewhere changes nothing here
            for port in self._ports
            for way in ("from", "to")
        }
        self._island: dict[int, int] | None = None  # port -> number of its part
        self._down: set[int] = set()
        self._flaps: dict[int, Flap] = {}
        self._queue: list[Due] = []
        self._number = count()
        self.frames: Counter[tuple[int, Direction, str]] = Counter()
        self.octets: Counter[tuple[int, Direction, str]] = Counter()
        self.lost: Counter[str] = Counter()  # by why: loss, cut (a partition or a port that is down), queue

    # --- What is told from outside

    def impair(self, faults: Faults, ports: Iterable[int] | None = None, way: Direction = "to") -> None:
        """Have these ports (all, if none are named) do that to frames from now on."""
        for port in self._ports if ports is None else ports:
            self._faults[port, way] = faults

    def part(self, islands: Iterable[Iterable[int]] | None) -> None:
        """Let frames pass inside each set of ports only; a port in none is alone. None heals."""
        self._island = None
        if islands is not None:
            self._island = {port: number for number, island in enumerate(islands) for port in island}

    def plug(self, port: int, *, is_up: bool) -> None:
        """Pull a cable or put it back; either ends a flapping."""
        self._flaps.pop(port, None)
        (self._down.discard if is_up else self._down.add)(port)

    def flap(self, port: int, up_s: float, down_s: float, now_s: float) -> None:
        """Have a port come and go."""
        self._flaps[port] = Flap(now_s, up_s, down_s)

    def counts(self) -> dict[int, dict[str, dict[str, tuple[int, int]]]]:
        """Frames and bytes, by port, direction and protocol; those of `to` were delivered."""
        counts: dict[int, dict[str, dict[str, tuple[int, int]]]] = {
            port: defaultdict(dict, {"from": {}, "to": {}}) for port in self._ports
        }
        for (port, way, protocol), frames in self.frames.items():
            counts[port][way][protocol] = (frames, self.octets[port, way, protocol])
        return counts

    # --- What passes

    def take(self, port: int, frame: bytes, now_s: float) -> None:
        """Take a frame that a platform sent."""
        self._count(port, "from", frame)
        if not self._is_up(port, now_s):
            self.lost["cut"] += 1
            return
        self._where[frame[6:12]] = port
        for late_s in self._fate(port, "from"):
            for target in self._targets(port, frame):
                if not (self._is_up(target, now_s) and self._is_joined(port, target)):
                    self.lost["cut"] += 1
                    continue
                for later_s in self._fate(target, "to"):
                    self._put(now_s + late_s + later_s, target, frame)

    def due(self, now_s: float) -> Iterable[tuple[int, bytes]]:
        """Take out what is due, in the order of its time: pairs of port and frame."""
        while self._queue and self._queue[0].due_s <= now_s:
            one = heapq.heappop(self._queue)
            self._count(one.port, "to", one.frame)
            yield one.port, one.frame

    def next_s(self) -> float | None:
        """When something is due next."""
        return self._queue[0].due_s if self._queue else None

    def _targets(self, port: int, frame: bytes) -> Iterable[int]:
        known = None if frame[0] & _MULTICAST else self._where.get(frame[:6])
        if known is not None:
            return () if known == port else (known,)
        return (one for one in self._ports if one != port)

    def _is_up(self, port: int, now_s: float) -> bool:
        flap = self._flaps.get(port)
        return port not in self._down and (flap is None or flap.is_up(now_s))

    def _is_joined(self, one: int, other: int) -> bool:
        if self._island is None:
            return True
        return one in self._island and self._island[one] == self._island.get(other)

    def _fate(self, port: int, way: Direction) -> list[float]:
        """How much later each copy leaves, in seconds; no copy where the frame is lost."""
        faults = self._faults.get((port, way))
        if faults is None:
            return [0.0]
        chance = self._chance[port, way].random
        if chance() < faults.loss:
            self.lost["loss"] += 1
            return []
        copies = 2 if chance() < faults.duplicate else 1
        return [
            faults.delay_s + faults.jitter_s * chance() + (HELD_BACK_S if chance() < faults.reorder else 0.0)
            for _ in range(copies)
        ]

    def _put(self, due_s: float, port: int, frame: bytes) -> None:
        if len(self._queue) >= QUEUE_MAX_FRAMES:
            self.lost["queue"] += 1
            return
        heapq.heappush(self._queue, Due(due_s, next(self._number), port, frame))

    def _count(self, port: int, way: Direction, frame: bytes) -> None:
        key = (port, way, protocol_of(frame))
        self.frames[key] += 1
        self.octets[key] += len(frame)
