"""Platforms that find each other on real networks, and whose digests arrive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mesh import digest
from mesh.digest import Digest
from mesh.fleetlist import make_fleet_list
from mesh.node.hints import PER_ADDRESS_S
from mesh.node.listening import CHECKS_PER_ADDRESS_S
from tests.mesh.fleet import ROOT, ROOT_KEY, signer
from tests.node.meshes import Platform, ask, fleet, needs_namespaces
from tests.node.networks import add_bridge, hub_of, join, take_down
from tests.running import wait_until

pytestmark = needs_namespaces

# No multicast and no discovery: what is known is known by configuration.
STATIC = """[discovery]
enabled = false
peers = [{peers}]
[digest]
multicast = false
interval_s = 0.2
"""


def row(platform: Platform, other: Platform) -> dict[str, Any]:
    """What a platform's status says of another one."""
    found: dict[str, Any] = next(one for one in platform.round()["present"] if one["platform"] == f"acme/{other.name}")
    return found


def is_heard(platform: Platform, other: Platform) -> bool:
    return row(platform, other)["heard_s_ago"] is not None


@pytest.mark.parametrize("family", [4, 6])
def test_platforms_without_any_address_in_a_list_find_and_cosign_each_other(tmp_path: Path, family: int) -> None:
    """By mDNS, over IPv4 or with nothing but link-local addresses of IPv6; digests arrive, and the version is told."""
    with fleet(tmp_path, 2, needed=1, family=family, has_urls=False) as (first, second):
        for one, other in ((first, second), (second, first)):
            wait_until(lambda one=one, other=other: row(one, other)["urls"] and is_heard(one, other))
            found = row(one, other)
            assert found["version"] == 1
            assert all(("[fe80::" in url) == (family == 6) for url in found["urls"])
            one.mark()
            status = one.round()
            assert status["latest"]["cosigned"] == 1, status["peers"]
            assert status["strangers"] == []
        wait_until(lambda: row(second, first)["size"] == first.size())
        wait_until(lambda: list(row(second, first)["holds"].values()) == [second.status()["latest"]["size"]])


def test_a_first_proof_begins_where_the_witness_announced(tmp_path: Path) -> None:
    """A mesh that has forgotten what its witness holds hears it, and sends one request instead of two."""
    with fleet(tmp_path, 2, needed=1) as (first, second):
        first.mark()
        assert first.round()["latest"]["cosigned"] == 1
        assert first.stop_mesh() == 0
        first.begin_mesh()
        first.await_mesh()
        wait_until(lambda: row(first, second)["holds"])
        before = second.round()["answers"]
        first.mark()
        assert first.round()["latest"]["cosigned"] == 1
        after = second.round()["answers"]
        assert (after["200"] - before["200"], after.get("409", 0) - before.get("409", 0)) == (1, 0)
        digests = first.status()["digests"]
        assert digests["run"] > 1_000_000_000_000
        assert digests["received"]["taken"] > 0
        assert set(digests["received"]) <= {"taken", "repeated"}, "each goes over IPv4 and IPv6"
        first.stop_recorder()
        first.start_recorder()
        first.mark()
        wait_until(lambda: row(second, first)["size"] == first.size())


def test_platforms_without_multicast_hear_each_other_by_configured_addresses(tmp_path: Path) -> None:
    """Unicast to the addresses of the configuration; the list has no URL, and nothing was announced."""
    with fleet(tmp_path, 2, needed=1, has_urls=False, settings=STATIC) as (first, second):
        wait_until(lambda: is_heard(first, second) and is_heard(second, first))
        status = first.status()
        assert status["digests"]["unicast"] == [second.address]
        assert "discovery" not in status
        assert row(first, second)["addresses"] == [second.address]


def test_interfaces_come_and_go(tmp_path: Path) -> None:
    """A host on two networks hears both, also one that came after the start; who left is heard where he went to alone."""
    with fleet(tmp_path, 3, needed=1, has_urls=False) as (left, middle, right):
        wait_until(lambda: is_heard(middle, left) and is_heard(middle, right) and is_heard(left, right))
        hub = hub_of(middle.network)
        add_bridge(hub, 1)
        take_down(right.network, "eth0")
        for one, at in ((middle, 1), (right, 2)):
            join(one.network, hub, at, device="eth1", net=1)
        wait_until(lambda: "10.77.1.3" in row(middle, right)["addresses"])
        wait_until(lambda: "http://10.77.1.3:7171/" in row(middle, right)["urls"])
        assert "10.77.1.3" not in row(left, right)["addresses"]
        assert not any("10.77.1." in url for url in row(left, middle)["urls"]), "on no network of its own"
        wait_until(lambda: "http://10.77.1.2:7171/" in row(right, middle)["urls"])
        right.mark()
        assert right.round()["latest"]["cosigned"] == 1
        assert middle.status()["digests"]["interfaces"] == ["eth0", "eth1"]


def test_an_unknown_platform_is_listed_and_never_trusted(tmp_path: Path) -> None:
    """By mDNS and by its digests; its heads get no cosignature, and it gets no row among the peers."""
    with fleet(tmp_path, 3, needed=1, has_urls=False) as (first, second, stranger):
        policy = [one.log_line for one in (first, second)]
        policy += [f"witness {one.name} {one.keys.witness}" for one in (first, second)]
        policy += [f"mesh {one.keys.mesh}" for one in (first, second)]
        policy += ["quorum none", ""]
        note = make_fleet_list("acme", 2, "\n".join(policy), ROOT_KEY.name, ROOT)
        for one in (first, second):
            assert one.stop_mesh() == 0
            (one.mesh / "fleet").write_bytes(note)
            one.begin_mesh()
            one.await_mesh()
        wait_until(lambda: {each["how"] for each in first.round()["strangers"]} == {"digest", "mdns"})
        status = first.status()
        assert {each["name"] for each in status["strangers"]} == {f"acme/{stranger.name}"}
        assert [each["platform"] for each in status["present"]] == [f"acme/{second.name}"]
        assert status["digests"]["received"]["digest_stranger"] > 0
        wait_until(lambda: row(stranger, first)["urls"])
        stranger.mark()
        assert stranger.round()["latest"]["cosigned"] == 0
        assert any("404 origin_unknown" in each["last"] for each in stranger.status()["peers"])


ADDRESSES = ("IPv4", "IPv6")  # that the other one has

# 20,000 records of invented platforms in packets as large as may be, and 20,000 digests that nobody trusted signed.
FLOOD = """
import os, socket, struct
def name(*labels):
    return b"".join(bytes([len(one)]) + one for one in labels) + bytes(1)
TYPE = (b"_lineage", b"_tcp", b"local")
def record(owner, kind, data):
    return owner + struct.pack(">HHIH", kind, 1, 4500, len(data)) + data
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton({address!r}))
for _ in range(2000):
    records = []
    for _ in range(5):
        own = b"lineage-" + os.urandom(8).hex().encode()
        records.append(record(name(*TYPE), 12, name(own, *TYPE)))
        records.append(record(name(own, *TYPE), 33, struct.pack(">HHH", 0, 0, 7171) + name(own, b"local")))
    sender.sendto(struct.pack(">HHHHHH", 0, 0x8400, 0, 10, 0, 0) + b"".join(records), ("224.0.0.251", 5353))
forged = bytes.fromhex({forged!r})
for _ in range(20_000):
    sender.sendto(forged, ("239.192.76.78", 7172))
"""


def test_a_flood_costs_what_is_budgeted_and_hides_nobody(tmp_path: Path) -> None:
    """Of mDNS records and of forged digests: the process stays as large as it was, and peers are heard and cosigned."""
    with fleet(tmp_path, 2, needed=1, has_urls=False) as (first, second):
        wait_until(lambda: row(first, second)["urls"] and is_heard(first, second))
        origin = row(first, second)["origin"]
        forged = digest.make(Digest(origin, 1 << 62, 1, 9, b"", None, []), signer("thief"))
        before_kb, before, began_s = anonymous_kb(first), first.round(), time.monotonic()

        def is_too_much() -> bool:  # of a flood that came while the other had no processor the kernel keeps little
            ask(second, FLOOD.format(address=second.address, forged=forged.hex()))
            return bool(first.round()["digests"]["received"].get("too_many_to_read"))

        wait_until(is_too_much)
        first.mark()
        status = first.round()
        took_s = time.monotonic() - began_s
        assert status["latest"]["cosigned"] == 1
        assert anonymous_kb(first) < before_kb + 12_000
        assert status["mdns"]["read"] - before["mdns"]["read"] <= PER_ADDRESS_S * (took_s + 1) * len(ADDRESSES)
        assert status["digests"]["received"]["digest_signature"] <= CHECKS_PER_ADDRESS_S * (took_s + 1)
        number = status["digests"]["received"]["taken"]
        wait_until(lambda: first.round()["digests"]["received"]["taken"] > number)


def anonymous_kb(platform: Platform) -> int:
    """RssAnon of the mesh process."""
    assert platform.process is not None
    return int(Path(f"/proc/{platform.process.pid}/status").read_text().split("RssAnon:")[1].split()[0])
