"""Which network interfaces there are now: up, for more than this machine, and able to multicast."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

import ifaddr

_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_MULTICAST = 0x1, 0x1000
_NAME_BYTES = 16  # IFNAMSIZ


class Interface(NamedTuple):
    """One of them."""

    name: str
    number: int  # its index, as the kernel counts
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]  # without scope
    networks: tuple[IPv4Network | IPv6Network, ...]  # that these addresses lie in


def interfaces_up(names: Collection[str]) -> tuple[Interface, ...]:
    """Look which there are, by number; `names` keeps to these, where it is not empty.

    Raises:
        OSError: the kernel does not tell.

    """
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        for adapter in ifaddr.get_adapters():
            if adapter.index is None or (names and adapter.name not in names) or not _is_usable(probe, adapter.name):
                continue
            usable = [one for one in adapter.ips if not ip_address(_bare(one)).is_loopback]
            ipv4, ipv6 = (tuple(sorted(_bare(one) for one in usable if one.is_IPv4 is four)) for four in (True, False))
            if ipv4 or ipv6:
                networks = {ip_network(f"{_bare(one)}/{one.network_prefix}", strict=False) for one in usable}
                found.append(Interface(adapter.name, adapter.index, ipv4, ipv6, tuple(sorted(networks, key=str))))
    return tuple(sorted(found, key=lambda one: one.number))


def is_near(address: str, interfaces: Iterable[Interface]) -> bool:
    """Whether an address, of which a scope is cut off, lies in a network of these interfaces."""
    at = ip_address(address.partition("%")[0])
    return any(at in network for one in interfaces for network in one.networks if network.version == at.version)


def _bare(address: ifaddr.IP) -> str:
    return address.ip if isinstance(address.ip, str) else address.ip[0]


def _is_usable(probe: socket.socket, name: str) -> bool:
    request = struct.pack(f"{_NAME_BYTES}sh14x", name.encode()[: _NAME_BYTES - 1], 0)
    try:
        answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, request)
    except OSError:
        return False  # it went away in between
    (flags,) = struct.unpack_from("h", answer, _NAME_BYTES)
    return bool(flags & _IFF_UP and flags & _IFF_MULTICAST)
