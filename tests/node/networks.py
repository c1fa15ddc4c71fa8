"""Network namespaces joined to one network: by the kernel's bridge, or by a switch with faults. Nothing outside is reached."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

import pytest

from tests.node.switch import Direction, Faults

DEVICE = "eth0"
LEARNED_MAX = 512  # neighbours that a kernel keeps, in all namespaces together, before it forgets some (gc_thresh2)
_NUMBERS = itertools.count()


def address_of(at: int) -> str:
    """Of the namespace with this number."""
    return f"10.77.0.{at + 1}"


def mac_of(at: int) -> str:
    """Of the namespace with this number, where it matters."""
    return f"02:00:00:00:00:{at + 1:02x}"


@contextmanager
def networks(count: int, family: int = 4) -> Iterator[list[str]]:
    """So many namespaces on a bridge of the kernel, with addresses 10.77.0.1 and up, or with none but IPv6's of the link."""
    with ExitStack() as undo:
        names = _namespaces(count, undo)
        hub = hub_of(names[0])
        _add_namespace(hub, undo)
        add_bridge(hub, 0)
        for at, name in enumerate(names):
            join(name, hub, at, family)
            _ip("-n", name, "link", "set", "lo", "up")
        if family == 4:
            _introduce(names)
        yield names


def hub_of(name: str) -> str:
    """The namespace with the bridge that this one is on."""
    return f"{name.rpartition('-')[0]}-hub"


def add_bridge(hub: str, net: int) -> None:
    """One more network."""
    _ip("-n", hub, "link", "add", f"bridge{net}", "type", "bridge")
    _ip("-n", hub, "link", "set", f"bridge{net}", "up")


def join(name: str, hub: str, at: int, family: int = 4, device: str = DEVICE, net: int = 0) -> None:
    """Connect a namespace to the bridge of a hub by one more interface."""
    _ip("-n", hub, "link", "add", f"port{net}-{at}", "type", "veth", "peer", "name", device, "netns", name)
    _ip("-n", hub, "link", "set", f"port{net}-{at}", "master", f"bridge{net}", "up")
    _set_up(name, f"10.77.{net}.{at + 1}" if family == 4 else None, device)


def take_down(name: str, device: str) -> None:
    """Take an interface of a namespace down."""
    _ip("-n", name, "link", "set", device, "down")


def bring_up(name: str, device: str) -> None:
    """Bring an interface of a namespace up again; its addresses of IPv4 are still there."""
    _ip("-n", name, "link", "set", device, "up")


class SwitchProcess:
    """The switch, and orders to it; namespaces are named by their numbers, which are its ports."""

    def __init__(self, names: list[str], seed: int) -> None:
        self.names = names
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.node.switching", str(seed), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("the switch did not start")

    def impair(self, faults: Faults, ports: Iterable[int] | None = None, way: Direction = "to") -> None:
        """Have these ports, or all, do that to frames from now on."""
        self._order({"impair": asdict(faults), "ports": None if ports is None else list(ports), "way": way})

    def part(self, *islands: Iterable[int]) -> None:
        """Let frames pass inside each of these sets of ports only."""
        self._order({"part": [list(island) for island in islands]})

    def heal(self) -> None:
        """End the partition and every fault; cables that were pulled stay so."""
        self._order({"part": None})
        for way in ("from", "to"):
            self._order({"impair": {}, "ports": None, "way": way})

    def plug(self, port: int, *, is_up: bool) -> None:
        """Pull a cable or put it back."""
        self._order({"plug": port, "up": is_up})

    def flap(self, port: int, up_s: float, down_s: float) -> None:
        """Have a port come and go until it is plugged."""
        self._order({"flap": port, "up_s": up_s, "down_s": down_s})

    def counts(self) -> dict[str, Any]:
        """`ports`: [frames, bytes] by port, direction and protocol; `lost`: frames by why."""
        counts: dict[str, Any] = self._order({"counts": True})
        return counts

    def lost(self, why: str) -> int:
        """Frames that did not arrive; why: loss, cut or queue."""
        return int(self.counts()["lost"].get(why, 0))

    def close(self) -> None:
        """End it, and with it the devices."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _order(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer(f"the switch ended at {order}")

    def _answer(self, otherwise: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, otherwise
        return json.loads(line)


@contextmanager
def switched(count: int, seed: int = 5) -> Iterator[SwitchProcess]:
    """So many namespaces, with addresses 10.77.0.1 and up, on a switch that can be told to do harm."""
    with ExitStack() as undo:
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            pytest.skip("no TAP devices here: /dev/net/tun cannot be opened")
        switch = SwitchProcess(_namespaces(count, undo), seed)
        undo.callback(switch.close)
        for at, name in enumerate(switch.names):
            _ip("-n", name, "link", "set", DEVICE, "address", mac_of(at))
            _set_up(name, address_of(at), DEVICE)
            _ip("-n", name, "link", "set", "lo", "up")
        _introduce(switch.names)
        yield switch


def _namespaces(count: int, undo: ExitStack) -> list[str]:
    prefix = f"lineage-{os.getpid()}-{next(_NUMBERS)}"
    names = [f"{prefix}-{at}" for at in range(count)]
    for name in names:
        _add_namespace(name, undo)
    return names


def _add_namespace(name: str, undo: ExitStack) -> None:
    _ip("netns", "add", name)
    undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False)


def _introduce(names: Sequence[str]) -> None:
    """Tell many namespaces each other's MACs.

    One kernel plays all of them: it would forget neighbours that 32 devices with a kernel each have room for, and ask
    again before every connection.
    """
    if len(names) * (len(names) - 1) <= LEARNED_MAX:
        return
    for at, name in enumerate(names):
        _ip("-n", name, "link", "set", DEVICE, "address", mac_of(at))
        told = [
            f"neigh replace {address_of(other)} lladdr {mac_of(other)} dev {DEVICE} nud permanent\n"
            for other in range(len(names))
            if other != at
        ]
        subprocess.run(["ip", "-n", name, "-batch", "-"], input="".join(told), text=True, check=True)


def _set_up(name: str, address: str | None, device: str) -> None:
    # A link-local address of IPv6 is usable at once where nobody is asked whether it is taken.
    _ip("netns", "exec", name, "sysctl", "-q", "-w", f"net.ipv6.conf.{device}.accept_dad=0")
    if address is not None:
        _ip("-n", name, "address", "add", f"{address}/24", "dev", device)
    _ip("-n", name, "link", "set", device, "up")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespaces here: ip {' '.join(arguments)}: {done.stderr.strip()}")
