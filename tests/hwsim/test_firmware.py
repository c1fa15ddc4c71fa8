"""The simulated device on a terminal, as a bridge meets it, and its faults one by one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge.line.happenings import Clock
from hwsim.firmware import faults
from hwsim.firmware.device import Device
from hwsim.firmware.faults import Faults, UnreadableFaults
from hwsim.firmware.flash import Flash, UnreadableFlash
from hwsim.firmware.messages import Commit, Grant, Receipt
from hwsim.firmware.motor import Motor
from hwsim.firmware.port import Simulator
from hwsim.firmware.wire import Wire
from recorder.core.deviceframe import Confirmation, Dropped, Event, Observation
from tests.bridge.port import Port
from tests.frames import DEVICE

SEED = bytes(range(32))
MS = 1000


@contextmanager
def running(tmp_path: Path, given: Faults, motor: Motor | None = None, **how: int) -> Iterator[tuple[Simulator, Port]]:
    """A simulator in a thread, and a host on its port."""
    over = threading.Event()
    flash = Flash(SEED)
    motor = motor or Motor(given, observe_us=2 * MS)
    simulator = Simulator(tmp_path / "tty", flash, motor, given, **how)
    thread = threading.Thread(target=simulator.run, args=(over.is_set,))
    simulator.plug()
    thread.start()
    try:
        with Port(tmp_path / "tty", flash.signer.public_key) as port:
            yield simulator, port
    finally:
        over.set()
        thread.join(240)
        assert not thread.is_alive()


@pytest.mark.alone  # a second in which nothing comes is silence
def test_a_sound_line(tmp_path: Path) -> None:
    """Readings come signed; nothing is missing, nothing is odd."""
    with running(tmp_path, Faults(), Motor(observe_us=10 * MS), ring=256) as (_, port):
        port.run(lambda: len(port.frames) >= 50)
        port.check()
        assert port.gaps == []
        assert port.troubles == []
        assert all(isinstance(frame.body, Observation) for frame in port.frames)


def test_every_chance_at_once(tmp_path: Path) -> None:
    """Frames lost, twice, overtaken, damaged and behind noise: all numbers are there, or told as dropped."""
    bad = Faults(noise=0.05, flip=0.05, drop=0.05, duplicate=0.05, swap=0.05, drift_ppm=200)
    with running(tmp_path, bad, ring=64) as (_, port):
        port.run(lambda: len(port.frames) >= 100)
        port.check()
        assert "noise" in port.troubles


def test_a_clock_that_is_too_fast(tmp_path: Path) -> None:
    """The host's questions after the time show by how much."""
    with running(tmp_path, Faults(drift_ppm=500_000)) as (_, port):
        port.run(lambda: len(clocks(port)) >= 3)
        first, *_, last = clocks(port)
        least_us, most_us = last.sent_us - first.answered_us, last.answered_us - first.sent_us
        assert 1.5 * least_us <= last.tick_us - first.tick_us <= 1.5 * most_us + 2


def clocks(port: Port) -> list[Clock]:
    """The readings so far."""
    return [happened for happened in port.happened if isinstance(happened, Clock)]


def test_reboots(tmp_path: Path) -> None:
    """Each is a gap; each boot has its own numbers."""
    with running(tmp_path, Faults(reboot_after=60)) as (_, port):
        port.run(lambda: len({entry.boot for entry in port.entries}) >= 3)
        port.check()
        assert set(port.gaps) == {"device_rebooted"}


def test_a_boot_counter_that_is_lost(tmp_path: Path) -> None:
    """The host says so, and believes nothing of that boot."""
    with running(tmp_path, Faults(reboot_after=60, boot_counter_is_lost=True)) as (_, port):
        port.run(lambda: "boot_reused" in port.troubles)
        port.check()
        assert {entry.boot for entry in port.entries} == {1}


def test_a_cable_that_is_pulled(tmp_path: Path) -> None:
    """The same boot goes on where it was; what the ring could not hold is counted."""
    with running(tmp_path, Faults(pull_after=80, pulled_ms=300), ring=16) as (_, port):
        port.run(lambda: any(isinstance(frame.body, Dropped) for frame in port.frames))
        port.check()
        assert {entry.boot for entry in port.entries} == {1}
        assert port.gaps == []


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        (Faults(lie="key"), "another_key"),
        (Faults(lie="forged"), "key_not_shown"),
        (Faults(lie="signature"), "signature_broken"),
        (Faults(wrong_baud=True), "noise"),
    ],
)
def test_what_is_not_believed(tmp_path: Path, given: Faults, condition: str) -> None:
    """Another key, other signatures, another rate: a named condition, and nothing in an entry."""
    with running(tmp_path, given) as (_, port):
        port.run(lambda: condition in port.troubles)
        assert port.entries == []


def test_a_full_line(tmp_path: Path) -> None:
    """At 9,600 baud five hundred readings a second do not fit; what did not is counted and signed."""
    with running(tmp_path, Faults(), baud=9600) as (_, port):
        port.run(lambda: any(isinstance(frame.body, Dropped) for frame in port.frames))
        port.check()


def received(motor: Motor, device: Device, said: list[Grant | Receipt], now_us: int) -> list[str]:
    """What the firmware made of these, half a second later."""
    for message in said:
        motor.take(device, message, now_us)
    for later_us in range(now_us, now_us + 500 * MS, 5 * MS):
        motor.run(device, later_us)
    told, motor.told = motor.told, []
    return told


COMMIT = Commit(7, 0, bytes(16))


def receipt(verdict: int = 0, request: int | None = None) -> Receipt:
    """What became of a commit."""
    return Receipt(bytes(4), 0, request, 3, verdict, COMMIT if verdict in {0, 2} else None, irreversible=False)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Faults(), "confirmed commit 7: 0.800 of 0.800 rad"),
        (Faults(stuck=True), "confirmed commit 7: 0.000 of 0.800 rad"),
        (Faults(stuck=True, lie="value"), "confirmed commit 7: 0.800 of 0.800 rad"),
    ],
)
def test_what_an_actuator_confirms(given: Faults, told: str) -> None:
    """Where it is, whether it moved or not; a liar confirms what it was asked for."""
    motor, device = Motor(given), Device(DEVICE, 1)
    motor.setpoints_rad.append(0.8)
    assert received(motor, device, [receipt()], 0) == [told]
    assert motor.angle_rad == pytest.approx(0.0 if given.stuck else 0.8)


def test_what_it_does_not_do() -> None:
    """Refused, late, not answered, beyond its limit, without a setpoint: it stays where it is."""
    motor, device = Motor(), Device(DEVICE, 1)
    motor.setpoints_rad.extend([0.1, 0.2, 0.3, 9.0])
    for verdict, told in ((1, "refused"), (2, "late"), (3, "no answer")):
        assert received(motor, device, [receipt(verdict)], 0) == [f"not moved: {told}"]
    assert received(motor, device, [receipt()], 0) == ["refused by its own limit: 9.000 rad"]
    assert received(motor, device, [receipt()], 0) == ["not moved: no setpoint"]
    assert motor.angle_rad == 0.0
    assert device.made == 3, "two events and a confirmation that it refused"


def test_faults_from_a_file(tmp_path: Path) -> None:
    """Names that are none are told; what is left out is sound."""
    file = tmp_path / "faults.toml"
    file.write_text('noise = 0.01\nreboot_after = 100\nlie = "value"\n')
    assert faults.load(file) == Faults(noise=0.01, reboot_after=100, lie="value")
    for wrong in ("noize = 0.1\n", "noise = 2.0\n", 'lie = "often"\n', "noise"):
        file.write_text(wrong)
        with pytest.raises(UnreadableFaults, match=r"faults\.toml"):
            faults.load(file)
    with pytest.raises(UnreadableFaults):
        faults.load(tmp_path / "none")


def test_the_same_seed_does_the_same() -> None:
    """And each direction has chances of its own."""
    frames = [bytes([number]) * 9 + b"\0" for number in range(1, 200)]
    bad = Faults(noise=0.1, flip=0.1, drop=0.1, duplicate=0.1, swap=0.1)

    def carried(given: Faults, direction: str) -> list[bytes]:
        wire = Wire(given, direction)
        return [wire.carry(frame) for frame in frames]

    assert carried(bad, "up") == carried(bad, "up") != carried(bad, "down")
    assert carried(Faults(), "up") == frames
    assert carried(Faults(swap=1.0), "up")[:3] == [b"", frames[0], frames[1]]


def test_a_boot_number_outlives_the_process(tmp_path: Path) -> None:
    """The seed too; a file that is none is not written over."""
    path = tmp_path / "flash"
    first = Flash.open(path)
    assert (first.next_boot(), first.next_boot()) == (1, 2)
    again = Flash.open(path)
    assert again.signer.public_key == first.signer.public_key
    assert again.next_boot() == 3
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"something else")
    with pytest.raises(UnreadableFlash):
        Flash.open(path)


def test_by_hand(tmp_path: Path) -> None:
    """As a process: it says its key and its port, and goes when it is told to."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hwsim.firmware",
        "--link",
        tmp_path / "tty",
        "--flash",
        tmp_path / "flash",
    ]
    with subprocess.Popen([*command, "--observe-hz", "200"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        key = bytes.fromhex(process.stdout.readline().split()[1])
        with Port(tmp_path / "tty", key) as port:
            port.run(lambda: len(port.frames) >= 10)
            port.check()
        process.send_signal(2)
        assert process.wait(240) == 0
        assert "boot 1 on" in process.stdout.read()
    assert not (tmp_path / "tty").is_symlink()
    wrong = subprocess.run([*command, "--faults", tmp_path / "none"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "none" in wrong.stderr


def test_confirmations_and_events_over_the_line(tmp_path: Path) -> None:
    """Under a grant it asks, moves once its request is admitted, and confirms; a refusal is an event."""
    motor = Motor(period_us=20 * MS)
    with running(tmp_path, Faults(), motor) as (_, port):
        port.run(lambda: port.is_up)
        port.link.grant(5, 3, 10, 10_000, irreversible=False)
        port.admits = True
        port.run(lambda: sum(isinstance(frame.body, Confirmation) for frame in port.frames) >= 3)
        port.admits = False
        port.run(lambda: any(isinstance(frame.body, Event) for frame in port.frames))
        port.check()
