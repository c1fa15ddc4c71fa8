"""What mDNS may cost and say; the run of the sender; which interfaces there are."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from mesh.node.budget import Budget
from mesh.node.config import load
from mesh.node.founding import add_mesh_key, found, mesh_key, platform_named
from mesh.node.hints import DATAGRAM_MAX_BYTES, PER_ADDRESS_S, TOTAL_S, Guard, instance_of, kid_of
from mesh.node.interfaces import Interface, interfaces_up, is_near
from mesh.node.places import RUN, MeshError
from mesh.node.runs import next_run
from mesh.node.unkept import Unkept
from recorder.core.errors import Misuse
from recorder.core.limits import UINT64_MAX
from recorder.store.configfile import ConfigError
from tests.mesh.fleet import ROOT_KEY

TRUST = f"root {ROOT_KEY}\nquorum none\n".encode()
ANNOUNCED = instance_of(bytes(8)).encode()


class Listener(asyncio.DatagramProtocol):
    """What the guard lets through."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.append(data)


def guarded() -> tuple[Guard, Listener, Counter[str]]:
    inner, fates = Listener(), Counter[str]()
    return Guard(inner, Budget(PER_ADDRESS_S, TOTAL_S), fates), inner, fates


def test_the_guard_lets_through_what_can_be_about_us() -> None:
    """In whatever case; others' services, and what is longer than a peer has to say, are never parsed."""
    guard, inner, fates = guarded()
    sent = [
        ANNOUNCED,
        b"_Lineage",
        b"\x09_services\x07_dns-sd\x04_udp",
        b"_ipp._tcp",
        ANNOUNCED + bytes(DATAGRAM_MAX_BYTES),
    ]
    for at, data in enumerate(sent):
        guard.datagram_received(data, (f"192.0.2.{at}", 5353))
    assert inner.got == sent[:3]
    assert fates == {"read": 3, "not_ours": 2}


def test_a_flood_of_announcements_is_cut_off_by_address_and_in_all() -> None:
    """What comes too often is counted, however long it goes on; the library never sees it."""
    guard, inner, fates = guarded()
    for _ in range(1_000):
        guard.datagram_received(ANNOUNCED, ("192.0.2.1", 5353))
    assert PER_ADDRESS_S <= len(inner.got) < 3 * PER_ADDRESS_S
    for at in range(20_000):
        guard.datagram_received(ANNOUNCED, (f"10.0.{at >> 8}.{at & 255}", 5353))
    assert len(inner.got) < 3 * TOTAL_S
    assert fates["read"] + fates["too_many"] == 21_000


@pytest.mark.parametrize(
    "name", ["", "lineage-00._lineage._tcp.local.", "printer._lineage._tcp.local.", "lineage-x" + "0" * 15]
)
def test_an_instance_is_named_after_a_key(name: str) -> None:
    """Or it is none of ours."""
    assert kid_of(instance_of(bytes(range(8)))) == bytes(range(8))
    assert kid_of(name) is None


def test_a_run_is_above_the_last_and_by_the_clock_where_there_is_one(tmp_path: Path) -> None:
    """Kept before it is used; what was lost or damaged is made good by a clock alone."""
    unkept = Unkept(print)
    assert [next_run(tmp_path, lambda: None, unkept) for _ in range(2)] == [1, 2]
    assert next_run(tmp_path, lambda: 1_700_000_000, unkept) == 1_700_000_000_000
    assert next_run(tmp_path, lambda: 1_600_000_000, unkept) == 1_700_000_000_001, "a clock that was put back"
    assert (tmp_path / RUN).read_text() == "1700000000001\n"
    for damaged in ("", "x", "-5", str(UINT64_MAX), "9" * 30):
        (tmp_path / RUN).write_text(damaged)
        assert next_run(tmp_path, lambda: 7, unkept) == 7_000
    gone = tmp_path / "nowhere"
    assert [next_run(gone, lambda: None, unkept) for _ in range(2)] == [1, 2], "one that cannot be kept counts here"
    assert "nowhere/run" in unkept.told()[0]
    gone.mkdir()
    unkept.retry()
    assert unkept.told() == []
    assert (gone / RUN).read_text() == "2\n"


def test_interfaces_are_those_that_reach_others() -> None:
    """Not the loopback; none of another name than was asked for."""
    every = interfaces_up(())
    for one in every:
        assert socket.if_nametoindex(one.name) == one.number
        assert not any(ip_address(address).is_loopback for address in (*one.ipv4, *one.ipv6))
        assert all(is_near(address, every) for address in (*one.ipv4, *one.ipv6))
    assert interfaces_up(("no-such",)) == ()


def test_an_address_is_near_in_a_network_of_ours_alone() -> None:
    """So nobody can send this platform's requests elsewhere by what he announces."""
    here = [Interface("eth0", 2, ("10.77.0.1",), ("fe80::1",), (ip_network("10.77.0.0/24"), ip_network("fe80::/64")))]
    assert [is_near(one, here) for one in ("10.77.0.9", "fe80::9%2", "10.78.0.9", "::1", "2001:db8::1")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_a_state_from_before_gets_its_mesh_key_by_a_command(tmp_path: Path) -> None:
    """The message says which; once made it is shown again, never replaced."""
    keys = found(tmp_path, "arm-7.acme", ["127.0.0.1:7171"], TRUST)
    assert (keys.mesh.name, mesh_key(tmp_path).public_key) == ("acme/arm-7", keys.mesh.public_key)
    assert add_mesh_key(tmp_path, "acme/arm-7") == keys.mesh
    (tmp_path / "mesh.key").unlink()
    with pytest.raises(MeshError, match=r"lineage mesh key --state .* --platform FLEET/NAME"):
        mesh_key(tmp_path)
    made = add_mesh_key(tmp_path, "acme/arm-7")
    assert made != keys.mesh
    assert mesh_key(tmp_path).public_key == made.public_key
    with pytest.raises(Misuse, match="FLEET/PLATFORM"):
        add_mesh_key(tmp_path, "arm-7")
    with pytest.raises(MeshError, match="mesh init"):
        add_mesh_key(tmp_path / "nothing", "acme/arm-7")


def test_a_platform_is_named_by_its_witness_or_by_hand(tmp_path: Path) -> None:
    """A name that does not tell wants --platform."""
    assert platform_named("arm-7.acme") == "acme/arm-7"
    assert platform_named("arm.7.acme") == "acme/arm.7"
    assert platform_named("arm-7") is platform_named(".acme") is platform_named("arm-7.") is None
    with pytest.raises(Misuse, match="--platform"):
        found(tmp_path / "a", "arm-7", ["127.0.0.1:7171"], TRUST)
    assert found(tmp_path / "b", "arm-7", ["127.0.0.1:7171"], TRUST, "acme/arm-7").mesh.name == "acme/arm-7"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("peers = []", 'peers = ["192.0.2.7:7171"]'),
        ("peers = []", 'peers = ["https://192.0.2.7"]'),
        ("peers = []", 'peers = ["http://192.0.2.7:x"]'),
        ('"239.192.76.78"', '"192.0.2.7"'),
        ('"239.192.76.78"', '"ff02::1"'),
        ('"ff12::cc4e:474d"', '"fe80::1"'),
        ("per_s = 10.0", "per_s = 0"),
        ("port = 7172", "port = 0"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(old: str, new: str, tmp_path: Path) -> None:
    """By file and key."""
    found(tmp_path, "arm-7.acme", ["127.0.0.1:7171"], TRUST)
    path = tmp_path / "mesh.toml"
    assert path.read_text().count(old) == 1
    load(path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=r"mesh\.toml"):
        load(path)
