"""Hostile clients: no message makes the recorder die, hang, or write what does not verify."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.messages import Status, Verb
from tests.daemon.raw import Raw
from tests.running import WHAT, WHO, WHY, Running, make_state, verified

ODD: list[Any] = [
    None, True, -1, 0, 1, 2**32, 2**63, 2**64 - 1, "", "arm", "x" * 300, b"", bytes(8), bytes(16), [], [[]], {}, {"a": 1}, {1: 2},
    1.5, -0.0, 1e300,
]  # fmt: skip


def _requests(opened: Any) -> list[list[Any]]:
    arm = opened[5]["arm"]
    return [
        [1, 0, 1, None, "fuzz"],
        [2, 0, WHO, WHY, ["arm"], ["motion"], 5, 1000, None, None],
        [3, 0, opened[0], opened[1][:4].hex()],
        [4, 0, opened[0] + 1, "done"],
        [5, 0, "arm"],
        [6, 0, "arm", [["q", "<f4", 2, "rad"]], WHAT, {}],
        [7, 0, opened[0], None, arm, WHAT, {}, 5, None],
        [8, 0, opened[0], None, 0, bytes(16)],
        [9, 0, "emergency_stop", ["arm"], {}, {}, {}, {"reason": "x"}, 5],
        [10, 0, ["arm"], 1, [1, 2], "lost"],
        [11, 0, [bytes(16)]],
        [12, 0, 23, {"text": "x"}, None, None],
        [13, 0],
        [14, 0, 0, 1000],
        [15, 0],
        [16, 0],
        [17, 0],
    ]


def _mutated(chance: random.Random, message: list[Any]) -> bytes:
    """A message with some parts replaced, or with some bytes changed."""
    changed = list(message)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        changed[chance.randrange(1, len(changed))] = chance.choice(ODD)
    if chance.random() < 0.1:
        changed.append(chance.choice(ODD))
    encoded = bytearray(cbor.pack(changed))
    if chance.random() < 0.2:
        for _ in range(chance.randrange(1, 4)):
            encoded[chance.randrange(len(encoded))] = chance.randrange(256)
    return bytes(encoded)


def _attack(path: Path, count: int, seed: int, opened: Any) -> int:
    chance = random.Random(seed)
    answered = 0
    raw = Raw(path)
    for counter in range(1, count + 1):
        message = chance.choice(_requests(opened))
        message[1] = counter
        try:
            raw.sock.send(_mutated(chance, message))
            if not raw.sock.recv(1 << 17):
                raise ConnectionResetError
            answered += 1
        except (ConnectionError, BrokenPipeError):
            raw.close()
            raw = Raw(path)
    raw.close()
    return answered


def _fuzz(tmp_path: Path, count: int, seed: int) -> None:
    with Running(make_state(tmp_path / "s")) as running, Raw(running.socket) as good:
        _, opened = good.open_cycle(max_commits=100_000, valid_ms=60_000)
        assert _attack(running.socket, count, seed, opened) > count // 2
        assert running.process.poll() is None
        with Raw(running.socket) as another:  # the first one's session may have made room for newer ones
            assert another.open_cycle()[0] in (Status.OK, Status.REFUSED)
            assert another.ask(Verb.STATUS)[0] == Status.OK
        assert running.stop() == 0
        report = verified(running.state).to_json()
        wrong = [item for item in report["problems"] if item["error"] != "gap_declared"]
        assert wrong == []


def test_mutated_requests(tmp_path: Path) -> None:
    """Two thousand requests with wrong parts and bytes: each is answered or ends its connection, and all verifies."""
    _fuzz(tmp_path, 2000, seed=5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(6, 16))
def test_many_mutated_requests(tmp_path: Path, seed: int) -> None:
    """The same with twenty thousand, ten times."""
    _fuzz(tmp_path, 20_000, seed)


def test_clients_that_come_and_go(tmp_path: Path) -> None:
    """Half a thousand connections that say nothing, or half a hello, or vanish with replies unread: others go on."""
    with Running(make_state(tmp_path / "s")) as running, Raw(running.socket) as good:
        for at in range(500):
            stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stranger.connect(str(running.socket))
            with suppress(ConnectionError):  # beyond the connections that one user may have, it is hung up on
                if at % 3 == 1:
                    stranger.send(b"\x85\x01")
                elif at % 3 == 2:
                    stranger.send(cbor.pack([1, 0, 1, None, "x"]))
                    stranger.send(cbor.pack([9, 1, "emergency_stop", ["arm"], {}, {}, {}, {"reason": "x"}, 5]))
            stranger.close()
        assert good.open_cycle()[0] == Status.OK
        assert running.stop() == 0
    assert verified(running.state).exit_status() == 0
