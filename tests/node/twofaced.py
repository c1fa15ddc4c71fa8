"""Logs whose keys sign two histories, and who has them cosigned by every witness as fast as it goes, whatever it answers.

    python -m tests.node.twofaced SEED URL...

Runs until its input ends.  Prints each cosignature that it is given as a line of JSON: URL, log, entries, which history.
A witness may sign either history, and from then on no other: so it is offered both of them all the time, of sizes that
are never the same, by several clients at once.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from urllib.parse import urlsplit

from mesh.exchange import SIZE_TYPE, AddCheckpoint
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.merkle import prove_consistency, root_of
from recorder.core.note import ED25519, VerifierKey
from tests.mesh.fleet import Leaves, hashes, signer

LOGS = 256
TURNS = 12  # requests of a client about one log, before the next
CLIENTS = 2  # of each witness
COMMON = 3  # entries of both histories
ENTRIES = 200
ANSWER_S = 5.0
_PRINTING = threading.Lock()


def name_of(number: int) -> str:
    """Origin of a log."""
    return f"two-faced.example/{number}"


def lines() -> list[str]:
    """What a fleet list says of them."""
    keys = (VerifierKey.derive(name_of(at), ED25519, signer(name_of(at)).public_key) for at in range(LOGS))
    return [f"foreign {key}" for key in keys]


HISTORIES = [hashes(ENTRIES, face, COMMON) for face in ("one", "other")]


def offer(url: str, number: int, old: int, chance: random.Random) -> tuple[int, int]:
    """Bring one head of one history; what the witness holds then, and the status, 0 without an answer."""
    face = chance.randrange(2)
    size = min(max(old, COMMON) + chance.randrange(1, 4), ENTRIES - 2)
    size += (size - face) % 2  # even ones of the one, odd ones of the other
    leaves = HISTORIES[face]
    note = sign_checkpoint(Checkpoint(name_of(number), size, root_of(leaves[:size])), signer(name_of(number))).encode()
    body = AddCheckpoint(old, tuple(prove_consistency(Leaves(leaves), old, size)), note).encode()
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=ANSWER_S)
    try:
        connection.request("POST", "/add-checkpoint", body)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException):
        time.sleep(0.01)  # it is being started again
        return old, 0
    finally:
        connection.close()
    if answer.status == 200:
        assert said.startswith("\u2014".encode())
        with _PRINTING:
            print(json.dumps([url, number, size, face]), flush=True)
        return size, 200
    if answer.status == 409 and answer.getheader("Content-Type") == SIZE_TYPE:
        return int(said), 409
    return old, answer.status


def serve(url: str, chance: random.Random, end: threading.Event, ready: threading.Barrier) -> None:
    """One client: log after log, from the first again after the last."""
    ready.wait()
    held: dict[int, int] = {}
    at = 0
    while not end.is_set():
        number = at // TURNS % LOGS
        held[number], _ = offer(url, number, held.get(number, 0), chance)
        at += 1


def main() -> None:
    """Run all clients until the input ends."""
    seed, *urls = sys.argv[1:]
    end, clients = threading.Event(), [url for url in urls for _ in range(CLIENTS)]
    ready = threading.Barrier(len(clients))
    threads = [
        threading.Thread(target=serve, args=(url, random.Random(f"{seed} {at}"), end, ready))
        for at, url in enumerate(clients)
    ]
    for one in threads:
        one.start()
    sys.stdin.read()
    end.set()
    for one in threads:
        one.join()


if __name__ == "__main__":
    main()
