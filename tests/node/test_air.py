"""Platforms that find each other on real networks, and whose digests arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mesh.fleetlist import make_fleet_list
from tests.mesh.fleet import ROOT, ROOT_KEY
from tests.node.meshes import Platform, fleet, needs_namespaces
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
        wait_until(lambda: "10.77.1.3" in row(middle, right)["addresses"], timeout_s=20)
        wait_until(lambda: "http://10.77.1.3:7171/" in row(middle, right)["urls"], timeout_s=20)
        assert "10.77.1.3" not in row(left, right)["addresses"]
        assert not any("10.77.1." in url for url in row(left, middle)["urls"]), "on no network of its own"
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
