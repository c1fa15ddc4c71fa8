"""The switch of the scenarios: what it does to frames, and that real sockets notice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.node.meshes import needs_namespaces
from tests.node.networks import SwitchProcess, address_of, switched
from tests.node.switch import HELD_BACK_S, QUEUE_MAX_FRAMES, Faults, Switch, protocol_of

EVERYBODY = b"\xff" * 6


def mac(port: int) -> bytes:
    return bytes((2, 0, 0, 0, 0, port + 1))


def frame(source: int, to: bytes = EVERYBODY, body: bytes = b"") -> bytes:
    """An Ethernet frame of no protocol that anyone knows."""
    return to + mac(source) + b"\x88\xb5" + body


def delivered(switch: Switch, now_s: float = 1e9) -> list[tuple[int, bytes]]:
    return list(switch.due(now_s))


def test_what_is_for_one_goes_to_one_as_soon_as_it_is_known() -> None:
    """Before that, and what is for all, to everybody else."""
    switch = Switch(4, 1)
    switch.take(0, frame(0, mac(2)), 0.0)
    assert [port for port, _ in delivered(switch)] == [1, 2, 3]
    switch.take(2, frame(2, mac(0)), 0.0)
    switch.take(0, frame(0, mac(2)), 0.0)
    switch.take(0, frame(0, mac(0)), 0.0)
    assert [port for port, _ in delivered(switch)] == [0, 2]
    switch.take(0, frame(0, b"\x01\x00\x5e\x00\x00\xfb"), 0.0)
    assert [port for port, _ in delivered(switch)] == [1, 2, 3]


@pytest.mark.parametrize("way", ["to", "from"])
def test_the_same_seed_loses_the_same_frames(way: str) -> None:
    """And within bounds as many as it was told: 30 % of 4,000 is 1,200, and five standard deviations are 145."""

    def run(seed: int) -> list[bytes]:
        switch = Switch(2, seed)
        switch.impair(Faults(loss=0.3), [1] if way == "to" else [0], "to" if way == "to" else "from")
        for number in range(4000):
            switch.take(0, frame(0, body=number.to_bytes(2, "big")), 0.0)
        assert switch.lost["loss"] + len(switch._queue) == 4000
        return [one for _, one in delivered(switch)]

    assert run(1) == run(1) != run(2)
    assert abs(len(run(1)) - 2800) < 145


def test_doubled_held_back_and_late() -> None:
    """Every copy has its own delay; a frame that is held back is overtaken."""
    switch = Switch(2, 3)
    switch.impair(Faults(duplicate=1.0, delay_s=0.05, jitter_s=0.01))
    switch.take(0, frame(0), 7.0)
    assert delivered(switch, 7.0499) == []
    assert len(delivered(switch, 7.0601)) == 2
    switch.impair(Faults(reorder=0.3))
    sent = [frame(0, body=bytes((number,))) for number in range(100)]
    for number, one in enumerate(sent):
        switch.take(0, one, number * HELD_BACK_S / 10)
    came = [one for _, one in delivered(switch)]
    assert came != sent == sorted(came)


def test_a_partition_lets_nothing_across_and_is_healed() -> None:
    """Neither to a known address nor to everybody; who is in no part is alone."""
    switch = Switch(5, 1)
    for port in range(5):
        switch.take(port, frame(port), 0.0)
    delivered(switch)
    switch.part([[0, 1], [2, 3]])
    switch.take(0, frame(0), 0.0)
    switch.take(3, frame(3), 0.0)
    switch.take(4, frame(4), 0.0)
    switch.take(0, frame(0, mac(2)), 0.0)
    assert [port for port, _ in delivered(switch)] == [1, 2]
    assert switch.lost["cut"] == 3 + 3 + 4 + 1
    switch.part(None)
    switch.take(0, frame(0, mac(2)), 0.0)
    assert [port for port, _ in delivered(switch)] == [2]


def test_a_port_flaps_until_it_is_plugged() -> None:
    """Up first; nothing passes in either direction while it is down."""
    switch = Switch(2, 1)
    switch.flap(1, up_s=3.0, down_s=2.0, now_s=10.0)
    for now_s, passes in ((10.0, True), (12.9, True), (13.0, False), (14.9, False), (15.0, True), (18.5, False)):
        switch.take(0, frame(0), now_s)
        switch.take(1, frame(1), now_s)
        assert len(delivered(switch)) == 2 * passes
    switch.plug(1, is_up=True)
    switch.take(0, frame(0), 18.5)
    assert len(delivered(switch)) == 1
    switch.plug(1, is_up=False)
    switch.take(0, frame(0), 18.5)
    assert delivered(switch) == []


def test_what_waits_is_bounded() -> None:
    """A flood meets the end of a queue, as in a switch of metal."""
    switch = Switch(2, 1)
    switch.impair(Faults(delay_s=1.0))
    for _ in range(QUEUE_MAX_FRAMES + 5):
        switch.take(0, frame(0), 0.0)
    assert switch.lost["queue"] == 5
    assert len(delivered(switch)) == QUEUE_MAX_FRAMES


def _ip_frame(protocol: int, port: int, *, six: bool = False) -> bytes:
    header = b"\x45" + bytes(8) + bytes((protocol,)) + bytes(10)
    if six:
        header = b"\x60" + bytes(5) + bytes((protocol,)) + bytes(33)
    return bytes(12) + (b"\x86\xdd" if six else b"\x08\x00") + header + bytes(2) + port.to_bytes(2, "big") + bytes(8)


@pytest.mark.parametrize("six", [False, True])
def test_frames_are_counted_by_protocol(six: bool) -> None:
    """What was sent and what was delivered, each with its bytes."""
    assert protocol_of(_ip_frame(17, 5353, six=six)) == "mdns"
    assert protocol_of(_ip_frame(17, 7171, six=six)) == "udp"
    assert protocol_of(_ip_frame(6, 5353, six=six)) == "tcp"
    assert protocol_of(_ip_frame(1, 5353, six=six)) == "other"
    assert protocol_of(bytes(12) + b"\x08\x06" + bytes(28)) == "arp"
    assert protocol_of(bytes(12) + b"\x86\xdd") == protocol_of(frame(0)) == "other"
    switch = Switch(3, 1)
    switch.impair(Faults(loss=1.0), [2])
    switch.take(0, EVERYBODY + _ip_frame(17, 7171, six=six)[6:], 0.0)
    delivered(switch)
    size = len(_ip_frame(17, 7171, six=six))
    ports = switch.counts()
    assert ports[0] == {"from": {"udp": (1, size)}, "to": {}}
    assert ports[1] == {"from": {}, "to": {"udp": (1, size)}}
    assert ports[2] == {"from": {}, "to": {}}


# --- With sockets

# Answers until a line says to stop.
ECHO = """
import select, socket, sys
udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
for one in (udp, tcp):
    one.bind(("0.0.0.0", 7))
tcp.listen()
print("ready", flush=True)
while True:
    for one in select.select([udp, tcp, sys.stdin], [], [])[0]:
        if one is sys.stdin:
            sys.exit()
        if one is udp:
            said, peer = udp.recvfrom(2000)
            udp.sendto(said, peer)
        else:
            with tcp.accept()[0] as peer:
                while said := peer.recv(65536):
                    peer.sendall(said)
"""
UDP = """
import json, socket, sys
count, one = int(sys.argv[2]), socket.socket(type=socket.SOCK_DGRAM)
one.settimeout(float(sys.argv[3]))
came = []
for number in range(count):
    one.sendto(b"%d" % number, (sys.argv[1], 7))
    if number % 50 == 49 or number == count - 1:
        try:
            while len(set(came)) <= number:  # all came: a copy may follow, but need not
                came.append(int(one.recv(2000)))
        except TimeoutError:
            pass
print(json.dumps(came))
"""
TCP = """
import json, socket, sys
sent = bytes(range(256)) * int(sys.argv[2])
with socket.create_connection((sys.argv[1], 7), timeout=float(sys.argv[3])) as one:
    one.sendall(sent)
    one.shutdown(socket.SHUT_WR)
    came = b""
    while more := one.recv(65536):
        came += more
print(json.dumps(came == sent))
"""


@pytest.fixture(scope="module")
def echoing() -> Iterator[SwitchProcess]:
    """A switch of four; who is at port 3 answers what he is sent."""
    with switched(4, seed=11) as switch:
        echo = subprocess.Popen(
            ["ip", "netns", "exec", switch.names[3], sys.executable, "-c", ECHO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert echo.stdout is not None
        assert echo.stdout.readline() == "ready\n"
        yield switch
        echo.communicate("\n")


def heard(switch: SwitchProcess, at: int, program: str, count: int, wait_s: float = 0.5) -> object:
    """What a program in a namespace says of the echo; None where it got no connection."""
    done = subprocess.run(
        ["ip", "netns", "exec", switch.names[at], sys.executable, "-c", program, address_of(3), str(count), str(wait_s)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 else None


@needs_namespaces
def test_sockets_talk_through_it(echoing: SwitchProcess) -> None:
    """UDP in order and whole; TCP with more than a window; all of it counted."""
    assert heard(echoing, 0, UDP, 1, 20.0) == [0], "from then on addresses are known: no datagram waits for ARP"
    assert heard(echoing, 0, UDP, 100, 20.0) == list(range(100))
    assert heard(echoing, 1, TCP, 8192, 5.0) is True
    ports = echoing.counts()["ports"]
    assert ports["0"]["from"]["udp"][0] == ports["0"]["to"]["udp"][0] == 101
    assert ports["1"]["from"]["tcp"][1] > 8192 * 256 < ports["1"]["to"]["tcp"][1]
    assert "tcp" not in ports["2"]["to"], "learnt, not flooded"


@needs_namespaces
def test_a_partition_stops_sockets_and_healing_lets_them_go_on(echoing: SwitchProcess) -> None:
    """On one side of it everything goes on."""
    echoing.part([0, 1], [2, 3])
    assert heard(echoing, 0, UDP, 20) == []
    assert heard(echoing, 0, TCP, 1, 0.5) is None
    assert heard(echoing, 2, UDP, 20, 20.0) == list(range(20))
    echoing.heal()
    assert heard(echoing, 0, UDP, 20, 20.0) == list(range(20))


@needs_namespaces
def test_sockets_see_loss_copies_and_disorder(echoing: SwitchProcess) -> None:
    """30 % on the way there and none on the way back; TCP gets through all of it."""
    assert heard(echoing, 0, UDP, 1, 20.0) == [0]
    echoing.impair(Faults(loss=0.3), [3])
    came = heard(echoing, 0, UDP, 400)
    assert isinstance(came, list)
    assert 400 - 166 < len(came) < 400 - 74  # five standard deviations on either side
    echoing.impair(Faults(duplicate=0.5, reorder=0.3), [3])
    came = heard(echoing, 0, UDP, 100)
    assert isinstance(came, list)
    assert set(came) == set(range(100))
    assert len(came) > 110
    assert came != sorted(came)
    echoing.impair(Faults(loss=0.1, duplicate=0.1, reorder=0.1, delay_s=0.002, jitter_s=0.004))
    assert heard(echoing, 0, TCP, 200, 30.0) is True
    echoing.heal()
