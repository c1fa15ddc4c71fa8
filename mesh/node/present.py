"""Who is there: what digests, discovery and configuration say of peers, and of strangers apart from them.

A table without I/O, for the thread of the event loop; times come in.  Platforms of the fleet list have a row each, for
as long as the process lives.  An address says where one may try and nothing more: who answers there proves itself by
what is signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mesh.digest import Digest
from mesh.window import Seen, Windows, take

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

STRANGERS_MAX = 64
STRANGER_S = 600.0  # since when a stranger is forgotten that is not seen again
ADDRESSES_MAX = 8  # of one platform, beside those of list and configuration
ADDRESS_S = 600.0  # twice as long as discovery waits between its questions
HELD_MAX = 256  # of one platform: as many heads as its digests say in turn
NAME_MAX = 128  # of what a stranger calls itself


@dataclass(slots=True)
class Peer:
    """A platform of the fleet list."""

    platform: str  # FLEET/PLATFORM
    listed: list[str]  # URLs of the fleet list
    found: dict[str, float] = field(default_factory=dict)  # URL -> when discovery last told it
    addresses: dict[str, float] = field(default_factory=dict)  # whence verified digests came -> when
    windows: Windows = ()
    origin: str | None = None  # in force, as it says
    size: int = 0  # entries that it announced
    head_size: int = 0  # of the latest checkpoint that it announced
    held: dict[bytes, int] = field(default_factory=dict)  # by incarnation, how far it has cosigned
    heard_s: float | None = None  # the latest digest that was verified
    version: int | None = None  # of the protocol, as discovery tells


@dataclass(slots=True)
class Stranger:
    """Whoever is no platform of the fleet list: seen, never trusted."""

    name: str  # as it says, cut
    address: str
    how: str  # "mdns" or "digest"
    seen_s: float
    count: int = 1


class Present:
    """The table."""

    def __init__(self, urls: Mapping[str, Sequence[str]], tried: Sequence[str], ours: str | None) -> None:
        """Make it.

        Args:
            urls: by platform of the fleet list, where its process answers according to that.
            tried: other URLs of list and configuration, of whichever platform.
            ours: this platform, which is no peer of itself.

        """
        self.peers = {name: Peer(name, list(several)) for name, several in urls.items() if name != ours}
        self.strangers: dict[tuple[str, str], Stranger] = {}  # by how they were seen and what they call themselves
        self.not_listed = 0  # sightings of strangers for which there was no room
        self._tried = list(tried)

    def place(self, platform: str, run: int, number: int, utc_ms: int | None) -> Seen:
        """What the place of a datagram says of it.  Nothing changes: it may be asked before a signature is.

        Args:
            platform: of the fleet list.
            run: of the datagram.
            number: of the datagram.
            utc_ms: see `window.take`.

        """
        return take(self.peers[platform].windows, run, number, utc_ms)[1]

    def heard(self, platform: str, says: Digest, address: str, now_s: float, utc_ms: int | None) -> Seen:
        """Take a digest whose signature holds; only of a NEW one is anything kept."""
        peer = self.peers[platform]
        peer.windows, seen = take(peer.windows, says.run, says.number, utc_ms)
        if seen is not Seen.NEW:
            return seen
        if peer.windows[-1].top == says.number:  # a late one says what was, not what is
            peer.origin = says.origin
            peer.size = says.first + len(says.entry_hashes)
            peer.head_size = 0 if says.head is None else says.head.size
        for incarnation, size in says.held:
            _latest(peer.held, incarnation, size, HELD_MAX)
        _latest(peer.addresses, address, now_s, ADDRESSES_MAX)
        peer.heard_s = now_s
        return seen

    def found(self, platform: str, urls: Sequence[str], version: int | None, now_s: float) -> None:
        """Discovery tells where a platform answers; a hint, of whoever speaks on this network."""
        peer = self.peers[platform]
        peer.version = version
        for url in urls:
            peer.found.pop(url, None)
            peer.found[url] = now_s
            if len(peer.found) > ADDRESSES_MAX:  # whoever is on the network can tell as many as he likes
                others = (one for one in peer.found if _host(one) not in peer.addresses)
                del peer.found[next(others, next(iter(peer.found)))]

    def stranger(self, name: str, address: str, how: str, now_s: float) -> None:
        """Note one; where there is no room it is only counted, so that a flood drives out nobody."""
        cut = name[:NAME_MAX]
        known = self.strangers.get((how, cut))
        if known is not None:
            known.seen_s, known.address = now_s, address
            known.count += 1
        elif len(self.strangers) < STRANGERS_MAX:
            self.strangers[how, cut] = Stranger(cut, address, how, now_s)
        else:
            self.not_listed += 1

    def age(self, now_s: float) -> None:
        """Forget addresses and strangers that were not seen again."""
        for peer in self.peers.values():
            for known in (peer.found, peer.addresses):
                for one in [one for one, at_s in known.items() if now_s - at_s > ADDRESS_S]:
                    del known[one]
        self.strangers = {key: one for key, one in self.strangers.items() if now_s - one.seen_s <= STRANGER_S}

    def urls_of(self, platform: str) -> list[str]:
        """Where its mesh process may answer: by the fleet list, then as last found; empty where nothing is known.

        Of what discovery found only addresses that its digests come from, if there are such: else whoever forges mDNS
        could have us wait at his own for as long as a request may take.
        """
        peer = self.peers.get(platform)
        if peer is None:
            return []
        heard = {url: peer.addresses[host] for url in peer.found if (host := _host(url)) in peer.addresses}
        # Of several addresses the latest first: one that has moved is found where it is.
        found = sorted((heard or peer.found).items(), key=lambda one: -one[1])
        return list(dict.fromkeys([*peer.listed, *(url for url, _ in found)]))

    def all_urls(self) -> list[str]:
        """Where any peer may answer, those of the configuration too."""
        return list(
            dict.fromkeys(url for name in self.peers for url in self.urls_of(name)) | dict.fromkeys(self._tried)
        )

    def held_size(self, platform: str, origin: str) -> int | None:
        """How far this platform, as a witness, has cosigned an origin, as it last announced; None where it did not."""
        peer = self.peers.get(platform)
        try:
            incarnation = bytes.fromhex(origin.rpartition("/")[2])
        except ValueError:
            return None  # a foreign log, of which digests say nothing
        return None if peer is None else peer.held.get(incarnation)

    def status(self, now_s: float) -> dict[str, Any]:
        """What `lineage mesh status` and `peers` show."""
        return {
            "present": [
                {
                    "platform": one.platform,
                    "urls": self.urls_of(one.platform),
                    "addresses": sorted(one.addresses),
                    "origin": one.origin,
                    "size": one.size,
                    "head_size": one.head_size,
                    "run": one.windows[-1].run if one.windows else None,
                    "holds": {incarnation.hex(): size for incarnation, size in sorted(one.held.items())},
                    "heard_s_ago": None if one.heard_s is None else int(now_s - one.heard_s),
                    "version": one.version,
                }
                for one in self.peers.values()
            ],
            "strangers": [
                {
                    "name": one.name,
                    "address": one.address,
                    "how": one.how,
                    "seen_s_ago": int(now_s - one.seen_s),
                }
                for one in self.strangers.values()
            ],
            "strangers_not_listed": self.not_listed,
        }


def _host(url: str) -> str:
    """The address in a URL that discovery made, as a datagram's source is written."""
    return urlsplit(url).hostname or ""


def _latest(known: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Put a value last; where there are too many, what was put longest ago goes."""
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]
