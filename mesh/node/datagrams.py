"""UDP sockets of the digests: a group of each family on every interface, and single addresses.

One socket for IPv4 and one for IPv6, both for sending and receiving; interfaces join as they come.  A network that
fails a send costs that datagram, which is what datagrams are: what is lost is pulled.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

from mesh.digest import DIGEST_MAX_BYTES
from mesh.node.config import Digests
from mesh.node.interfaces import Interface, interfaces_up
from mesh.node.places import NoAddressError

AT_ONCE = 32  # datagrams read before others have their turn
RECEIVE_BYTES = 262_144  # of the kernel's buffer: some 150 datagrams

Take = Callable[[bytes, str], None]  # a datagram, and the address that it came from


class Datagrams:
    """The sockets; used on the event loop."""

    def __init__(self, settings: Digests, names: Sequence[str], take: Take) -> None:
        """Make it inside the event loop.

        Args:
            settings: port and groups.
            names: of the interfaces to use; empty: all.
            take: gets what comes.

        Raises:
            NoAddressError: the port is taken.

        """
        self.interfaces: tuple[Interface, ...] = ()
        self.sent: Counter[str] = (
            Counter()
        )  # "datagrams", "bytes", "failed": one for each interface, family and address
        self._settings = settings
        self._names = names
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, socket.socket] = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            self._open(family)

    def look(self) -> bool:
        """Join the groups on interfaces that came; whether anything is different than before.

        Raises:
            OSError: the kernel does not tell which interfaces there are.

        """
        found = interfaces_up(self._names)
        if found == self.interfaces:
            return False
        self.interfaces = found
        if self._settings.multicast:
            for one in found:
                for family, join in self._joins(one):
                    self._join(family, join)
        return True

    def spread(self, datagram: bytes) -> None:
        """Send to the groups, on every interface."""
        if not self._settings.multicast:
            return
        port = self._settings.port
        for one in self.interfaces:
            if one.ipv4 and (sender := self._sockets.get(socket.AF_INET)) is not None:
                choice = struct.pack("@4s4si", bytes(4), bytes(4), one.number)
                with suppress(OSError):  # it went: the send below tells
                    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, choice)
                self._send(sender, datagram, (self._settings.ipv4_group, port))
            if one.ipv6 and (sender := self._sockets.get(socket.AF_INET6)) is not None:
                self._send(sender, datagram, (self._settings.ipv6_group, port, 0, one.number))

    def send_to(self, datagram: bytes, host: str) -> None:
        """Send to one address, which is no name; an IPv6 address may have a scope."""
        bare, _, scope = host.partition("%")
        family = socket.AF_INET6 if ":" in bare else socket.AF_INET
        if (sender := self._sockets.get(family)) is None:
            self.sent["failed"] += 1
        elif family == socket.AF_INET:
            self._send(sender, datagram, (bare, self._settings.port))
        else:
            index = next((one.number for one in self.interfaces if scope in {one.name, str(one.number)}), 0)
            self._send(sender, datagram, (bare, self._settings.port, 0, index))

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets.values():
            self._loop.remove_reader(one)
            one.close()
        self._sockets.clear()

    def _open(self, family: socket.AddressFamily) -> None:
        try:
            made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError:
            return  # this machine has no such family
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        else:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        try:
            made.bind(("", self._settings.port))
        except OSError as error:
            made.close()
            self.close()
            what = f"cannot listen on UDP port {self._settings.port}: {error.strerror or error}"
            raise NoAddressError(f"{what}; `ss -lunp` shows who has it, a fleet has one port for digests") from error
        self._sockets[family] = made
        self._loop.add_reader(made, self._receive, made)

    def _join(self, family: int, join: tuple[int, int, bytes]) -> None:
        try:
            self._sockets[family].setsockopt(*join)
        except OSError as error:
            # Memberships last as long as their interface, also while it is down: this one is there already.
            if error.errno != errno.EADDRINUSE:
                self.sent["not_joined"] += 1

    def _joins(self, one: Interface) -> list[tuple[int, tuple[int, int, bytes]]]:
        joins: list[tuple[int, tuple[int, int, bytes]]] = []
        if one.ipv4 and socket.AF_INET in self._sockets:
            group = struct.pack("@4s4si", ip_address(self._settings.ipv4_group).packed, bytes(4), one.number)
            joins.append((socket.AF_INET, (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)))
        if one.ipv6 and socket.AF_INET6 in self._sockets:
            group = struct.pack("@16si", ip_address(self._settings.ipv6_group).packed, one.number)
            joins.append((socket.AF_INET6, (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)))
        return joins

    def _receive(self, one: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                # One byte more than may come, so that a longer one is seen to be that.
                datagram, source = one.recvfrom(DIGEST_MAX_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # an earlier send of ours was refused: ICMP comes back here
            host = str(source[0])
            # A link-local address means something on its own link alone.
            self._take(datagram, f"{host}%{source[3]}" if len(source) > 3 and source[3] else host)

    def _send(self, sender: socket.socket, datagram: bytes, to: tuple[str | int, ...]) -> None:
        try:
            sender.sendto(datagram, to)
        except OSError:
            self.sent["failed"] += 1
        else:
            self.sent["datagrams"] += 1
            self.sent["bytes"] += len(datagram)
