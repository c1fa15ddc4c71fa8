"""Platforms that have to find each other: lists without addresses, networks of one family, interfaces that come and go."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mesh.fleetlist import make_fleet_list
from tests.mesh.fleet import ROOT, ROOT_KEY
from tests.node.meshes import PORT, Platform, start
from tests.node.networks import DEVICE, networks


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def list_of(platforms: Sequence[Platform]) -> bytes:
    """A fleet list of these platforms that names no address of any."""
    policy = [one.log_line for one in platforms]
    policy += [f"witness {one.name} {one.keys.witness}" for one in platforms]
    policy += [f"mesh {one.keys.mesh}" for one in platforms]
    return make_fleet_list("acme", 1, "\n".join([*policy, "quorum none", ""]), ROOT_KEY.name, ROOT)


@contextmanager
def seeking(
    directory: Path, count: int, *, family: int = 4, sections: str = "", strangers: int = 0
) -> Iterator[list[Platform]]:
    """Platforms that run, on a bridge, and know no address of each other.

    Args:
        directory: of their states.
        count: how many.
        family: 4, or 6 for networks with nothing but link-local addresses of IPv6.
        strangers: how many of them, the last ones, are in no list but their own.
        sections: of mesh.toml, instead of [discovery] and [digest]; {peers} stands for the URLs of the others.

    """
    with networks(count) as names, ExitStack() as undo:
        platforms = [Platform(directory, at, name) for at, name in enumerate(names)]
        members = list_of(platforms[: count - strangers])
        for one in platforms:
            undo.callback(one.stop)
            (one.mesh / "fleet").write_bytes(members if one.at < count - strangers else list_of(platforms))
            settings = one.mesh / "mesh.toml"
            text = re.sub(r"(?m)^interval_s = 5\.0", "interval_s = 0.2", settings.read_text())
            if sections:
                peers = ", ".join(f'"http://{other.address}:{PORT}"' for other in platforms if other is not one)
                before, rest = text.split("[discovery]")
                text = f"{before}{sections.format(peers=peers)}\n[limits]{rest.split('[limits]')[1]}"
            if family == 6:
                text = text.replace("0.0.0.0:", "[::]:")
                _ip("-n", one.network, "-4", "address", "flush", "dev", DEVICE)
            settings.write_text(text)
        start(platforms)
        yield platforms


def row(platform: Platform, other: Platform) -> dict[str, Any]:
    """What a platform's status says of another one."""
    found: dict[str, Any] = next(one for one in platform.round()["present"] if one["platform"] == f"acme/{other.name}")
    return found


def is_heard(platform: Platform, other: Platform) -> bool:
    """Whether a digest of the other was verified."""
    return row(platform, other)["heard_s_ago"] is not None


def is_found(platform: Platform, other: Platform) -> bool:
    """Whether an address of the other is known, and a digest of it was verified."""
    known = row(platform, other)
    return bool(known["urls"]) and known["heard_s_ago"] is not None


@contextmanager
def second_network(platforms: Sequence[Platform], leaving: Platform) -> Iterator[None]:
    """Give these one more interface, on a network of its own, 10.77.1.0/24; one of them leaves the first."""
    hub = f"{leaving.network.rpartition('-')[0]}-second"
    _ip("netns", "add", hub)
    try:
        _ip("-n", hub, "link", "add", "bridge1", "type", "bridge")
        _ip("-n", hub, "link", "set", "bridge1", "up")
        _ip("-n", leaving.network, "link", "set", DEVICE, "down")
        for one in platforms:
            _ip("-n", hub, "link", "add", one.name, "type", "veth", "peer", "name", "eth1", "netns", one.network)
            _ip("-n", hub, "link", "set", one.name, "master", "bridge1", "up")
            _ip("-n", one.network, "address", "add", f"10.77.1.{one.at + 1}/24", "dev", "eth1")
            _ip("-n", one.network, "link", "set", "eth1", "up")
        yield
    finally:
        _ip("netns", "del", hub)
