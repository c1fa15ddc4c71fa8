"""`lineage bridge`: from a device on a port to a lineage that says what it reached, by the command line alone."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serial import Serial

from recorder.client import Recorder
from recorder.core import credential
from recorder.core.keys import kid
from tests.bridge.cable import Firmware
from tests.bridge.device import needs_gcc
from tests.claims import WHAT, WHO, WHY
from tests.cli.states import ENV, LINEAGE, Running, lineage, made
from tests.frames import DEVICE
from tests.running import wait_until

pytestmark = [needs_gcc, pytest.mark.alone]


class Place:
    """An authority, a recorder that trusts it, a device on a port, a bridge's state."""

    def __init__(self, path: Path, firmware: Firmware) -> None:
        self.path, self.firmware = path, firmware
        self.authority, self.bridge, self.port = path / "authority", path / "bridge", path / "port"
        run("authority", "init", "--authority", self.authority, "--name", "acme")
        (path / "trust").write_text(f"root {(self.authority / 'root-1.vkey').read_text().strip()}\nquorum none\n")
        self.state = made(path / "state", "--trust", str(path / "trust"))
        config = self.state / "recorder.toml"
        config.write_text(config.read_text().replace('append = ["conf', 'append = ["fault", "credential", "conf'))
        run("bridge", "init", "--state", self.bridge, "--actuator", "arm", "--baud", 3_000_000)


def run(*arguments: object, status: int = 0) -> str:
    """Run the command; what it printed, or complained of."""
    done = lineage(*map(str, arguments))
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def told(*arguments: object) -> Any:
    """What a command says with --json."""
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """All but the bridge itself."""
    with Firmware(tmp_path / "port") as firmware:
        yield Place(tmp_path, firmware)


def test_from_a_port_to_an_answer(place: Place) -> None:
    """Enrol, run, confirm; verify passes, and why says what was reached and whose word that is."""
    firmware = place.firmware
    with Running(place.state) as recorder:
        run("credential", "install", place.authority / "matrix.cose", "--state", place.state)
        enrolled = told(
            *("bridge", "enroll", "--state", place.bridge, "--port", place.port, "--authority", place.authority),
            *("--name", "motor", "--days", 30, "--socket", recorder.socket),
        )
        assert (enrolled["key"], enrolled["actuators"]) == (DEVICE.public_key.hex(), ["arm"])
        places = ("--state", place.bridge, "--port", place.port, "--socket", recorder.socket)
        serving = [*LINEAGE, "bridge", "run", *map(str, places)]
        with subprocess.Popen(serving, stderr=subprocess.PIPE, env=ENV) as process:
            with Recorder(recorder.socket, who=WHO, timeout_ms=60_000) as client:
                wait_until(lambda: (place.bridge / "status.json").exists() and status(place)["link"] == "up")
                cycle = client.open_cycle(why=WHY, actuators=["arm"], action_classes=["motion"])
                receipt = cycle.commit("arm", what={**WHAT, "confirm_by_ms": 500})
                wait_until(lambda: bool(firmware.device.receipts))
                seq, index = firmware.device.receipts[-1][4:]
                assert (seq, index) == (receipt.seq, receipt.index)
                assert told("query", "--unconfirmed", "--state", place.state)["commits"] == 1
                assert "not confirmed" in run("why", receipt.entry_id, "--state", place.state)
                firmware.reached((seq, index, firmware.device.hashes[-1]), 0.5)
                wait_until(lambda: firmware.do("held") == 0)
            wait_until(lambda: status(place)["frames"] == 1)
            assert "running" in run("bridge", "status", "--state", place.bridge)
            process.send_signal(signal.SIGTERM)
            assert process.wait(240) == 0
        assert recorder.stop() == 0
    said = run("why", receipt.entry_id, "--state", place.state)
    assert f"boot 1 frame 0: confirmation of {receipt.entry_id}, reached, angle 0.5 rad" in said
    assert told("query", "--unconfirmed", "--state", place.state)["entries"] == 0
    shown = told("show", receipt.entry_id, "--state", place.state)["confirmed"]
    assert [(one["outcome"], one["reached"]) for one in shown] == [
        ("reached", [{"quantity": "angle", "unit": "rad", "value": 0.5}])
    ]
    report = told("verify", "--state", place.state, "--trust", place.path / "trust")
    assert (report["integrity"], report["completeness"], report["problems"]) == ("pass", "pass", [])
    assert (report["notes"]["confirmed"], report["notes"]["batches_judged"]) == (1, 1)
    said = run("verify", "--state", place.state, "--trust", place.path / "trust")
    assert "1 commits were confirmed by devices: 1 batches held against their credentials" in said
    assert "not asked by whom" in run("verify", "--state", place.state)


def status(place: Place) -> Any:
    """What the bridge says of itself."""
    return told("bridge", "status", "--state", place.bridge)


def test_in_two_places(place: Place) -> None:
    """The device's proof goes to the authority, the credential comes back; another device's is refused."""
    path = place.path
    shown = told("bridge", "key", "--port", place.port, "--out", path / "proof")
    assert shown["kid"] == kid(DEVICE.public_key).hex()
    run(
        *("bridge", "enroll", "--proof", path / "proof", "--authority", place.authority, "--name", "motor"),
        *("--actuator", "arm", "--days", 30, "--out", path / "arm.cose"),
    )
    held = credential.read((path / "arm.cose").read_bytes())
    assert (held.terms.role, held.terms.key) == ("actuator", DEVICE.public_key)
    run("bridge", "enroll", "--state", place.bridge, "--port", place.port, "--credential", path / "arm.cose")
    assert (place.bridge / "credential").read_bytes() == (path / "arm.cose").read_bytes()
    proof = bytearray((path / "proof").read_bytes())
    proof[-1] ^= 1
    (path / "forged").write_bytes(proof)
    forged = ("bridge", "enroll", "--proof", path / "forged", "--credential", path / "arm.cose")
    assert "did not sign" in run(*forged, status=2)


def test_what_is_refused(place: Place) -> None:
    """Unknown keys, a second init, no credential, no device, a credential for other actuators."""
    assert "already" in run("bridge", "init", "--state", place.bridge, "--actuator", "arm", status=2)
    missing = ("bridge", "run", "--state", place.bridge, "--port", place.port, "--socket", place.path / "none")
    assert "enroll" in run(*missing, status=2)
    assert "look at the cable" in run("bridge", "key", "--port", place.path / "nothing", status=2)
    (place.path / "plain").touch()
    for port, why in (("plain", "is no serial port"), (".", "is no serial port"), ("nothing", "No such file")):
        assert f"{place.path / port}: " in (said := run("bridge", "key", "--port", place.path / port, status=2))
        assert why in said
    with Serial(str(place.port), exclusive=True):
        assert "another process has it" in run("bridge", "key", "--port", place.port, status=2)
    assert "--credential" in run("bridge", "enroll", "--state", place.bridge, status=2)
    run(
        *("bridge", "enroll", "--port", place.port, "--authority", place.authority, "--name", "motor"),
        *("--actuator", "leg", "--days", 30, "--out", place.path / "leg.cose"),
    )
    other = ("bridge", "enroll", "--state", place.bridge, "--credential", place.path / "leg.cose")
    assert "not for arm" in run(*other, status=2)
    config = place.bridge / "bridge.toml"
    config.write_text(config.read_text() + "colour = 3\n")
    assert "colour" in run(*missing, status=2)
    assert "never started" in run("bridge", "status", "--state", place.bridge, status=2)
