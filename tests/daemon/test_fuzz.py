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
from tests.daemon.malformed import mutated, requests
from tests.daemon.raw import Raw
from tests.running import Running, make_state, verified


def _attack(path: Path, count: int, seed: int, opened: Any) -> int:
    chance = random.Random(seed)
    answered = 0
    raw = Raw(path)
    for counter in range(1, count + 1):
        message = chance.choice(requests(opened))
        message[1] = counter
        try:
            raw.sock.send(mutated(chance, message))
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
