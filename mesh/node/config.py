"""Configuration: `mesh.toml` in the mesh's state directory, read once at start; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from mesh.allowance import HEADS
from recorder.core.errors import Misuse
from recorder.store.configfile import ConfigError, tables_of, text_at

PORT = 7171
DIGEST_PORT = 7172
TEMPLATE = """\
# Configuration of `lineage mesh run`, read once at start; an unknown key is an error.  Written by `lineage mesh init`.

[witness]
listen = [{listen}]    # ADDRESS:PORT, an IPv6 address in brackets
# Whose word it takes that the time is right; without a right time nothing is cosigned.
#   "kernel"     the kernel's: what NTP (chrony, timesyncd) sets
#   "operator"   yours: PTP or GNSS keep the time, which the kernel does not know
clock = "kernel"

[submit]
interval_s = 60.0                 # a checkpoint goes to the witnesses at least this often, where anything was recorded
timeout_s = 10.0                  # for one witness and checkpoint, retries included
learn_s = 3.0                     # that a start of the recorder waits for what peers hold of it; later ones count too

[discovery]
enabled = true                    # announce this platform by mDNS, and look for others; what is found is only tried
interfaces = []                   # names, such as "wlan0"; empty: all that are up.  Digests go by the same
peers = []                        # where there is no multicast: "http://192.0.2.7:{port}", addresses to try

[digest]
enabled = true                    # tell peers hashes, head and sizes held as they come
multicast = true
port = {digest_port}                       # one for the whole fleet
ipv4_group = "239.192.76.78"
ipv6_group = "ff12::cc4e:474d"
interval_s = 5.0                  # one at least this often, also at rest
per_s = 10.0                      # at most so many on average; else only heads and the latest hashes go
burst = 20

[archive]
per_peer_mib = 64.0               # hashes of one platform's entries that are kept, 32 bytes each; then the oldest go
total_mib = 1024.0                # of all platforms together
save_s = 60.0                     # made durable at least this often; a card wears by it
interval_s = 60.0                 # between comparisons of histories with all peers
pulls = 4                         # at a time

[limits]
connections = 64                  # that peers may have open
per_address = 4                   # of them from one address
request_s = 10.0                  # for a request, from the connection to the answer
heads_per_s = 2.0                 # of one platform that are newly cosigned, on average: each wears the card
heads_burst = 1200                # of them at once
"""


class Witness(Struct, forbid_unknown_fields=True, frozen=True):
    """The side that cosigns."""

    listen: Annotated[list[str], Meta(min_length=1, max_length=8)]
    clock: Literal["kernel", "operator"] = "kernel"


class Submit(Struct, forbid_unknown_fields=True, frozen=True):
    """The side that asks for cosignatures."""

    interval_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0
    learn_s: Annotated[float, Meta(ge=0.1, le=600)] = 3.0


class Archiving(Struct, forbid_unknown_fields=True, frozen=True):
    """What is kept of peers' logs, and how often histories are compared."""

    per_peer_mib: Annotated[float, Meta(ge=0.01, le=65_536)] = 64.0
    total_mib: Annotated[float, Meta(ge=0.01, le=1_048_576)] = 1_024.0
    save_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 60.0
    interval_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    pulls: Annotated[int, Meta(ge=1, le=64)] = 4


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """What peers may take of this process."""

    connections: Annotated[int, Meta(ge=1, le=512)] = 64
    per_address: Annotated[int, Meta(ge=1, le=512)] = 4
    request_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0
    heads_per_s: Annotated[float, Meta(ge=0.001, le=1_000)] = HEADS.per_s
    heads_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = HEADS.burst


class Discovery(Struct, forbid_unknown_fields=True, frozen=True):
    """How peers are found where no list names an address."""

    enabled: bool = True
    interfaces: Annotated[list[Annotated[str, Meta(min_length=1, max_length=15)]], Meta(max_length=16)] = []
    peers: Annotated[list[str], Meta(max_length=256)] = []  # URLs


class Digests(Struct, forbid_unknown_fields=True, frozen=True):
    """What is told to all by datagrams."""

    enabled: bool = True
    multicast: bool = True
    port: Annotated[int, Meta(ge=1, lt=1 << 16)] = DIGEST_PORT
    ipv4_group: str = "239.192.76.78"  # of the organisation-local scope (RFC 2365); never routed beyond it
    ipv6_group: str = "ff12::cc4e:474d"  # of the link, and of those that nobody hands out (RFC 3307)
    interval_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 5.0
    per_s: Annotated[float, Meta(ge=0.1, le=1_000)] = 10.0
    burst: Annotated[int, Meta(ge=1, le=1_000)] = 20


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    witness: Witness
    submit: Submit = Submit()
    discovery: Discovery = Discovery()
    digest: Digests = Digests()
    archive: Archiving = Archiving()
    limits: Limits = Limits()


def load(path: Path) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: missing, not TOML, an unknown key, a value out of its range.

    """
    tables = tables_of(text_at(path, lambda: f"`lineage mesh init --state {path.parent}` makes it"), path)
    try:
        config = msgspec.convert(tables, Config)
        for one in config.witness.listen:
            address(one)
        for one in config.discovery.peers:
            host_of(one)
        _check_group("ipv4_group", config.digest.ipv4_group, 4)
        _check_group("ipv6_group", config.digest.ipv6_group, 6)
    except (msgspec.ValidationError, Misuse) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def template(listen: Sequence[str]) -> str:
    """The file as `lineage mesh init` writes it."""
    listed = ", ".join(f'"{one}"' for one in listen)
    return TEMPLATE.format(listen=listed, port=PORT, digest_port=DIGEST_PORT)


def host_of(url: str) -> str:
    """The host that a peer's URL names, without brackets.

    Raises:
        Misuse: it is no http:// URL with a host.

    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and (parts.port or 80) > 0:
            return parts.hostname
    except ValueError:
        pass
    raise Misuse(f"{url!r} is not written as http://HOST:PORT, such as http://192.0.2.7:{PORT}")


def _check_group(key: str, text: str, version: int) -> None:
    try:
        group = ip_address(text)
    except ValueError:
        group = None
    if group is None or group.version != version or not group.is_multicast:
        raise Misuse(f"digest.{key}: {text!r} is no multicast address of IPv{version}")


def address(text: str) -> tuple[str, int]:
    """Split ADDRESS:PORT.

    Raises:
        Misuse: it is not written so.

    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or (":" in bare) != (host != bare) or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise Misuse(f"listen: {text!r} is not written as ADDRESS:PORT, such as 0.0.0.0:{PORT} or [::]:{PORT}")
    return bare, int(port)
