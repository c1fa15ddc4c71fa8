"""Discovery by mDNS (DNS-SD service `_lineage._tcp`): this platform is announced, others are looked for.

Whoever is on the network can say anything here: what is found is where one may try, of a platform that the fleet list
has, or a stranger that is shown to a person.  Nothing secret is told, and nothing is believed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from zeroconf import Error, IPVersion, RecordUpdate, RecordUpdateListener, ServiceInfo, Zeroconf
from zeroconf._dns import DNSQuestion
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from zeroconf.const import _CLASS_IN, _FLAGS_QR_QUERY, _TYPE_PTR

from mesh.digest import VERSION
from mesh.fleetlist import FleetList
from mesh.node.budget import Budget
from mesh.node.config import Config, address
from mesh.node.hints import PER_ADDRESS_S, TOTAL_S, TYPE, Guard, instance_of, kid_of
from mesh.node.interfaces import Interface, interfaces_up, is_near
from mesh.node.present import Present
from recorder.core.keys import kid
from recorder.core.note import VerifierKey, is_key_name

LOOK_S = 5.0  # how soon an interface that came is used
ASK_AFTER_S = (0.0, 1.0, 3.0, 9.0, 30.0, 90.0)  # questions after a start, and after interfaces came
ASK_EVERY_S = 300.0  # beside them; what is found is forgotten after twice as long
WANTED_MAX = 64  # instances that wait to be looked at; a flood takes the places of strangers, not those of the list
RESOLVE_MS = 1_000
RESOLVE_AGAIN_S = 30.0
URLS_MAX = 4  # of one instance


class Discovery:
    """A part of the process."""

    def __init__(
        self, config: Config, fleet: FleetList, present: Present, ours: VerifierKey | None, say: Callable[[str], None]
    ) -> None:
        """Make it.

        Args:
            config: settings.
            fleet: whose platforms are no strangers.
            present: learns who was found.
            ours: this platform's mesh key, named FLEET/PLATFORM; without one nothing is announced.
            say: tells a person.

        """
        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # it tells of packets, which are others' to choose
        self._names = config.discovery.interfaces
        self._listen = [address(one) for one in config.witness.listen]
        self._platforms = {kid(one.key.public_key): name for name, one in fleet.platforms.items()}
        self._present = present
        self._ours = ours
        self._say = say
        self._budget = Budget(PER_ADDRESS_S, TOTAL_S)
        self._fates: Counter[str] = Counter()
        self._trouble: str | None = None
        self._interfaces: tuple[Interface, ...] = ()
        self._senders = 0  # sockets that send there, one for each address of IPv4 and one for IPv6
        self._zeroconf: AsyncZeroconf | None = None
        self._service: ServiceInfo | None = None
        self._wanted: dict[str, None] = {}  # instances that were told of
        self._asked_s: dict[str, float] = {}  # instances of the list, when their records were asked for
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Announce and look until cancelled; then say goodbye."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._resolve_often())
                await self._seek()
        finally:
            await self._close()

    def status(self) -> dict[str, Any]:
        """Whether this platform is found by others."""
        return {
            "discovery": {
                "interfaces": [one.name for one in self._interfaces],
                "announced": None if self._service is None else self._service.name,
                "trouble": self._trouble,
            }
        }

    def live(self) -> dict[str, Any]:
        """What came by mDNS, by fate."""
        return {"mdns": dict(sorted(self._fates.items()))}

    async def _seek(self) -> None:
        ask_at_s: list[float] = []
        while True:
            now_s = time.monotonic()
            if await self._look():
                ask_at_s = [now_s + after_s for after_s in ASK_AFTER_S]
            if ask_at_s and now_s >= ask_at_s[0]:
                ask_at_s = [one for one in ask_at_s if one > now_s]
                self._ask()
                if not ask_at_s:
                    ask_at_s.append(now_s + ASK_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311 -- apart from others
            await asyncio.sleep(min([LOOK_S, *(max(0.0, one - now_s) for one in ask_at_s[:1])]))

    async def _look(self) -> bool:
        """Take to the interfaces that there are; whether they are others than before."""
        try:
            found = interfaces_up(self._names)
            # An address that came just now cannot be used before the kernel has asked whether it is taken.
            is_same = found == self._interfaces
            if is_same and self._senders >= len(_choices(found)):
                return False
            if not found:
                await self._close()
            elif self._zeroconf is None:
                self._zeroconf = self._opened(found)
                await self._zeroconf.zeroconf.async_wait_for_start()
            else:
                await self._zeroconf.async_update_interfaces(_choices(found), _version(found))
            before, self._senders = self._senders, self._count_senders()
            if is_same and self._senders == before:
                return False
            self._interfaces = found
            self._set_guards()
            await self._announce()
            self._trouble = None
        except (OSError, RuntimeError) as error:
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self._trouble:
                self._say(f"no discovery: {trouble}")
                self._trouble = trouble
            self._interfaces = ()
            await self._close()  # and from the beginning at the next look
            return False
        return bool(found)

    def _opened(self, found: tuple[Interface, ...]) -> AsyncZeroconf:
        made = Zeroconf(interfaces=_choices(found), ip_version=_version(found))
        made.record_manager.async_add_listener(_Watch(self._told), None)
        return AsyncZeroconf(zc=made)

    async def _close(self) -> None:
        closing, self._zeroconf, self._service = self._zeroconf, None, None
        if closing is not None:
            with suppress(OSError, RuntimeError):
                await closing.async_close()

    def _count_senders(self) -> int:
        return 0 if self._zeroconf is None else len(self._zeroconf.zeroconf.engine.senders)

    def _set_guards(self) -> None:
        """Put a guard before each socket that has none yet."""
        if self._zeroconf is None:
            return
        for reader in self._zeroconf.zeroconf.engine.readers:
            protocol = cast("asyncio.DatagramProtocol", reader.transport.get_protocol())
            if not isinstance(protocol, Guard):
                reader.transport.set_protocol(Guard(protocol, self._budget, self._fates))

    async def _announce(self) -> None:
        """Tell where this platform answers, on the interfaces that there are now."""
        if self._zeroconf is None or self._ours is None:
            return
        ours = kid(self._ours.public_key)
        addresses = [one for one in _addresses(self._interfaces) if self._answers_at(one)]
        if not addresses:
            return  # it listens on none of them
        info = ServiceInfo(
            TYPE,
            instance_of(ours),
            port=self._listen[0][1],
            properties={"v": str(VERSION), "platform": self._ours.name, "kid": ours.hex()},
            server=f"lineage-{ours.hex()}.local.",
            parsed_addresses=addresses,
        )
        if self._service is None:
            # Its name is that of a key: who else has it is a clone, and keeps it without being asked.
            await self._zeroconf.async_register_service(info, cooperating_responders=True)
        else:
            await self._zeroconf.async_update_service(info)
        self._service = info

    def _answers_at(self, text: str) -> bool:
        everywhere = "::" if ":" in text else "0.0.0.0"  # noqa: S104 -- compared, not listened on
        return any(host in {text, everywhere} for host, _ in self._listen)

    def _ask(self) -> None:
        """Ask who is there.  Without the answers that are known: a list of them would be the network's to fill."""
        if self._zeroconf is not None:
            question = DNSOutgoing(_FLAGS_QR_QUERY)
            question.add_question(DNSQuestion(TYPE, _TYPE_PTR, _CLASS_IN))
            self._zeroconf.zeroconf.async_send(question)

    def _told(self, instance: str) -> None:
        """Something was said of an instance: look at it, soon."""
        told = kid_of(instance)
        if told is None:
            self._fates["not_named_so"] += 1
        elif instance in self._wanted or (self._ours is not None and told == kid(self._ours.public_key)):
            return
        elif told in self._platforms or len(self._wanted) < WANTED_MAX:
            self._wanted[instance] = None
            self._wake.set()
        else:
            self._fates["not_looked_at"] += 1

    async def _resolve_often(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._wanted:
                instance = next(iter(self._wanted))
                try:
                    await self._resolve(instance)
                except (Error, OSError):  # its sockets went while it was asked for
                    self._fates["not_resolved"] += 1
                self._wanted.pop(instance, None)

    async def _resolve(self, instance: str) -> None:
        """Read what the instance says; only for a platform of the list is anything asked that was not told."""
        if self._zeroconf is None:
            return
        told = kid_of(instance)
        assert told is not None, "only such are wanted"
        info = AsyncServiceInfo(TYPE, instance)
        now_s = time.monotonic()
        if not info.load_from_cache(self._zeroconf.zeroconf):
            if told not in self._platforms or now_s - self._asked_s.get(instance, -RESOLVE_AGAIN_S) < RESOLVE_AGAIN_S:
                return
            self._asked_s[instance] = now_s
            if not await info.async_request(self._zeroconf.zeroconf, RESOLVE_MS):
                return
        self._found(told, info, now_s)

    def _found(self, told: bytes, info: ServiceInfo, now_s: float) -> None:
        said = info.decoded_properties
        name, version = said.get("platform") or "", said.get("v") or ""
        shown = name if is_key_name(name) else told.hex()
        near = [one for one in info.parsed_scoped_addresses() if is_near(one, self._interfaces)][:URLS_MAX]
        urls = [f"http://{_in_url(one)}:{info.port}/" for one in near if info.port]
        platform = self._platforms.get(told)
        if platform is None:
            self._present.stranger(shown, near[0] if near else "", "mdns", now_s)
        elif platform in self._present.peers:
            self._present.found(
                platform, urls, int(version) if version.isdecimal() and len(version) < 4 else None, now_s
            )


class _Watch(RecordUpdateListener):
    """Tells of each instance that a record is about."""

    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__()
        self._told = told

    def async_update_records(self, _zc: Zeroconf, _now: float, records: list[RecordUpdate]) -> None:
        names = {getattr(one.new, "alias", one.new.name) for one in records if one.new.name.lower().endswith(TYPE)}
        for name in names:
            self._told(name.lower())


def _choices(found: Iterable[Interface]) -> list[str | int]:
    """As the library takes interfaces: an IPv4 address, an index for IPv6."""
    return [*(one for each in found for one in each.ipv4), *(each.number for each in found if each.ipv6)]


def _version(found: Iterable[Interface]) -> IPVersion:
    several = list(found)
    if not any(one.ipv6 for one in several):
        return IPVersion.V4Only
    return IPVersion.All if any(one.ipv4 for one in several) else IPVersion.V6Only


def _addresses(found: Iterable[Interface]) -> list[str]:
    return [address for one in found for address in (*one.ipv4, *one.ipv6)]


def _in_url(host: str) -> str:
    """A host as a URL has it; the scope of a link-local address with a bare %, as aiohttp takes it."""
    return f"[{host}]" if ":" in host else host
