"""Who means harm: a process in the outsider's namespace, told on its command line and standard input what to do.

post URL            bodies as lines of base64; prints for each the status and the name of the error, or `none`
slow PORT HOST...   holds all connections that it can get, a byte now and then, until standard input ends; prints `held`
                    once they stand; comes from all of its namespace's addresses
flood URL SECONDS   posts heads of logs that nobody knows; prints how often each status came
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

from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.keys import SeedSigner

SLOW_CONNECTIONS = 8  # to each host from each address: twice what one address has
DRIP_S = 0.3
FLOODERS = 4


def post(url: str, body: bytes) -> str:
    """Status and name of the error; `none` where no answer came."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
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
            finished.wait(DRIP_S)
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


def flood(url: str, seconds: float) -> None:
    """Heads of logs that nobody knows, well signed."""
    end = time.monotonic() + seconds
    numbers = count()
    thief = SeedSigner(bytes(32))
    said: Counter[str] = Counter()

    def run() -> None:
        while time.monotonic() < end:
            head = Checkpoint(f"acme/ghost-{next(numbers)}/0123456789abcdef", 7, bytes(32))
            said[post(url, b"old 0\n\n" + sign_checkpoint(head, thief).encode())] += 1

    flooders = [Thread(target=run) for _ in range(FLOODERS)]
    for one in flooders:
        one.start()
    for one in flooders:
        one.join()
    print(json.dumps(said))


def main(verb: str, *arguments: str) -> None:
    """Do one thing."""
    if verb == "post":
        for line in sys.stdin:
            print(post(arguments[0], base64.b64decode(line)))
    elif verb == "slow":
        hold(int(arguments[0]), list(arguments[1:]))
    elif verb == "flood":
        flood(arguments[0], float(arguments[1]))
    else:
        raise SystemExit(f"no such verb: {verb}")


if __name__ == "__main__":
    main(*sys.argv[1:])
