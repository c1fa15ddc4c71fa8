"""Who means harm: a process in the outsider's namespace, told on its command line and standard input what to do.

post                lines of a URL and a body in base64; prints for each the status and the name of the error, or `none`
heavy BYTES URL...  posts so many zeros to each; prints the same
slow PORT HOST...   holds all connections that it can get, a byte now and then, until standard input ends; prints `held`
                    once they stand; comes from all of its namespace's addresses
flood SECONDS URL.. posts heads of logs that nobody knows, to one after the other; prints how often each status came
digests SECONDS N   hears digests of N platforms, then sends them again, mangled and in strangers' names
names SECONDS       announces platforms that are none
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from threading import Event, Thread
from urllib.parse import urlsplit

from zeroconf import const
from zeroconf._dns import DNSAddress, DNSPointer, DNSService, DNSText
from zeroconf._protocol.outgoing import DNSOutgoing

from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.keys import SeedSigner

SLOW_CONNECTIONS = 8  # to each host from each address: twice what one address has
DRIP_S = 0.3  # and for each host beyond two as much again: as many are opened in a second however many hosts there are
FLOODERS = 4
ANSWER_S = 60.0
HEAR_S = 60.0  # for the next digest; each platform sends one every few seconds
PAUSE_S, BURST = 0.01, 20
SERVICE = "_lineage._tcp.local."
DIGEST_GROUP, DIGEST_PORT = "239.192.76.78", 7172


def post(url: str, body: bytes) -> str:
    """Status and name of the error; `none` where no answer came."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_S)
    try:
        connection.request("POST", parts.path, body)
        answer = connection.getresponse()
        said = answer.read().decode("utf-8", "replace")
        return f"{answer.status} {said.partition(':')[0].strip()}" if answer.status != 200 else "200"
    except OSError:
        return "none"
    finally:
        connection.close()


def addresses() -> list[str]:
    """All that this namespace has on its device."""
    said = json.loads(subprocess.check_output(["ip", "-4", "-j", "address", "show", "dev", "eth0"]))
    return [one["local"] for one in said[0]["addr_info"]]


def hold(port: int, hosts: list[str]) -> None:
    """Open what one can, again and again, and send next to nothing."""
    mine = addresses()
    finished = Event()
    first = Event()

    def keep(host: str) -> None:
        held: list[socket.socket] = []
        while not finished.is_set():
            while len(held) < SLOW_CONNECTIONS * len(mine):
                one = socket.socket()
                one.settimeout(2.0)
                try:
                    one.bind((mine[len(held) % len(mine)], 0))
                    one.connect((host, port))
                    one.send(b"POST /add-checkpoint HTTP/1.1\r\nX: ")
                    held.append(one)
                except OSError:
                    one.close()
                    break
            first.set()
            alive = []
            for one in held:
                try:
                    one.send(b"x")
                    alive.append(one)
                except OSError:
                    one.close()
            held = alive
            finished.wait(DRIP_S * max(1, len(hosts) - 1))
        for one in held:
            one.close()

    keepers = [Thread(target=keep, args=(host,)) for host in hosts]
    for one in keepers:
        one.start()
    first.wait()
    print("held", flush=True)
    sys.stdin.read()
    finished.set()
    for one in keepers:
        one.join()


def flood(seconds: float, urls: list[str]) -> None:
    """Heads of logs that nobody knows, well signed."""
    end = time.monotonic() + seconds
    numbers = count()
    thief = SeedSigner(bytes(32))
    said: Counter[str] = Counter()

    def run() -> None:
        while time.monotonic() < end:
            number = next(numbers)
            head = Checkpoint(f"acme/ghost-{number}/0123456789abcdef", 7, bytes(32))
            said[post(urls[number % len(urls)], b"old 0\n\n" + sign_checkpoint(head, thief).encode())] += 1

    flooders = [Thread(target=run) for _ in range(FLOODERS)]
    for one in flooders:
        one.start()
    for one in flooders:
        one.join()
    print(json.dumps(said))


def digests(seconds: float, platforms: int) -> None:
    """Everything that was heard, again and again, and what looks like it."""
    group = (DIGEST_GROUP, DIGEST_PORT)
    with socket.socket(type=socket.SOCK_DGRAM) as air:
        air.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        air.bind(("", DIGEST_PORT))
        here = socket.inet_aton(addresses()[0])
        air.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(DIGEST_GROUP) + here)
        air.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        air.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        air.settimeout(HEAR_S)
        heard: list[bytes] = []
        sources: set[str] = set()
        while len(sources) < platforms:
            digest, (source, _) = air.recvfrom(2000)
            heard.append(digest)
            sources.add(source)
        sent = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for one in heard:
                stranger = one.replace(b"acme/arm-", b"acme/ufo-")
                for datagram in (one, _later(one), one[:4] + b"\x07" + one[5:], stranger, one[:40]):
                    air.sendto(datagram, group)
                    sent += 1
            time.sleep(PAUSE_S)
    print(json.dumps({"heard": len(heard), "sent": sent}))


def _later(digest: bytes) -> bytes:
    """The same, as if of a later run: the signature is no longer its own."""
    at = digest.index(b"\x1b", digest.index(b"acme/")) + 8  # the last byte of `run`, a CBOR integer of 8 bytes
    return digest[:at] + bytes(((digest[at] + 1) & 255,)) + digest[at + 1 :]


def names(seconds: float) -> None:
    """Instances of the service with addresses, each under a name of its own."""
    numbers = count()
    mine = addresses()[0]
    with socket.socket(type=socket.SOCK_DGRAM) as air:
        air.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(mine))
        air.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        air.bind((mine, 0))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(BURST):
                air.sendto(_announcement(next(numbers), mine), ("224.0.0.251", 5353))
            time.sleep(PAUSE_S)
    print(json.dumps({"sent": next(numbers)}))


def _announcement(number: int, address: str) -> bytes:
    name, host = f"lineage-{number:016x}.{SERVICE}", f"ghost-{number}.local."
    said = DNSOutgoing(const._FLAGS_QR_RESPONSE | const._FLAGS_AA)
    for record in (
        DNSPointer(SERVICE, const._TYPE_PTR, const._CLASS_IN, 4500, name),
        DNSService(name, const._TYPE_SRV, const._CLASS_IN, 120, 0, 0, 7171, host),
        DNSText(name, const._TYPE_TXT, const._CLASS_IN, 4500, b"\x09version=1"),
        DNSAddress(host, const._TYPE_A, const._CLASS_IN, 120, socket.inet_aton(address)),
    ):
        said.add_answer_at_time(record, 0)
    (packet,) = said.packets()
    return packet


def main(verb: str, *arguments: str) -> None:
    """Do one thing."""
    if verb == "post":
        for url, body in (line.split(" ") for line in sys.stdin):
            print(post(url, base64.b64decode(body)))
    elif verb == "heavy":
        for url in arguments[1:]:
            print(post(url, bytes(int(arguments[0]))))
    elif verb == "slow":
        hold(int(arguments[0]), list(arguments[1:]))
    elif verb == "flood":
        flood(float(arguments[0]), list(arguments[1:]))
    elif verb == "digests":
        digests(float(arguments[0]), int(arguments[1]))
    elif verb == "names":
        names(float(arguments[0]))
    else:
        raise SystemExit(f"no such verb: {verb}")


if __name__ == "__main__":
    main(*sys.argv[1:])
