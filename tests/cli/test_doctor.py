"""`lineage doctor`."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from recorder.cli import checks, checks_machine
from recorder.cli.checks_machine import FAIL, OK, WARN
from recorder.cli.checks_services import services
from recorder.clock import SystemClock
from recorder.daemon import identity
from recorder.daemon.growth import Rate
from tests.cli.states import Running, lineage, made, one_line, parsed


def verdicts(state: Path, status: int = 0) -> dict[str, Any]:
    found = parsed(lineage("doctor", "--state", state, "--json"), status)
    assert found["failed"] == bool(status)
    return {check["name"]: check for check in found["checks"]}


def test_a_sound_state(state: Path) -> None:
    """Nothing fails, every check has a line, and nothing is left in the directory."""
    before = sorted(path.name for path in state.iterdir())
    found = verdicts(state)
    assert set(found) == {
        "page size", "configuration", "identity key", "trust file", "permissions", "file system", "sync", "clock", "power",
        "store", "room",
    }  # fmt: skip
    assert found["store"]["verdict"] == OK
    assert "median" in found["sync"]["fact"]
    assert "MiB free" in found["room"]["fact"]
    assert sorted(path.name for path in state.iterdir()) == before
    assert len(lineage("doctor", "--state", state).stdout.splitlines()) >= 10


def test_a_running_and_a_hanging_recorder(state: Path) -> None:
    """Its store is asked over the socket; one that hangs is a failure."""
    with Running(state) as running:
        assert "entries" in verdicts(state)["store"]["fact"]
        running.process.send_signal(signal.SIGSTOP)
        assert "does not answer" in verdicts(state, 1)["store"]["fact"]


def test_what_is_wrong_with_a_state(state: Path) -> None:
    """Key, configuration and permissions: each is named, with what to do."""
    (state / "identity.key").chmod(0o644)
    state.chmod(0o777)
    found = verdicts(state, 1)
    assert "others can read it" in found["identity key"]["fact"]
    assert "chmod" in found["permissions"]["advice"]
    (state / "recorder.toml").write_text("[")
    assert verdicts(state, 1)["configuration"]["verdict"] == FAIL


def test_a_damaged_store(state: Path) -> None:
    """A truncated segment, which would end the process that reads it, is a finding with the way out."""
    with next(state.glob("lineages/*/segments/00000001/data.mdb")).open("r+b") as file:
        file.truncate(3 * 4096)
    found = verdicts(state, 1)["store"]
    assert "lineage recover" in found["advice"]


def test_what_is_no_damage_is_not_to_be_recovered(state: Path, tmp_path: Path) -> None:
    """A key that is missing or another one, another platform's name: what to put back, and no way to lose the store."""
    path, key = state / "recorder.toml", (state / "identity.key").read_bytes()
    (state / "identity.key").unlink()
    found = verdicts(state, 1)
    assert "restore it from your backup" in found["identity key"]["fact"]
    assert found["store"]["fact"] == "not looked at"
    shutil.copy(made(tmp_path / "other") / "identity.key", state / "identity.key")
    found = verdicts(state, 1)["store"]
    assert ("restore that identity.key" in found["fact"], found["advice"]) == (True, "")
    (state / "identity.key").write_bytes(key)
    path.write_text(path.read_text().replace('"arm-7"', '"arm-8"'))
    found = verdicts(state, 1)["store"]
    assert ("put the right one back" in found["fact"], found["advice"]) == (True, "")


def test_no_actuator_and_nothing_recorded(tmp_path: Path) -> None:
    """A state that was only made is fine, but for a configuration that lets nobody act."""
    state = made(tmp_path / "state")
    path = state / "recorder.toml"
    path.write_text(path.read_text().replace('actuators = ["arm"]', "actuators = []"))
    found = verdicts(state)
    assert found["configuration"]["verdict"] == WARN
    assert found["store"]["fact"] == "nothing recorded yet"
    assert "nothing recorded yet" in found["room"]["fact"]


def test_no_state(tmp_path: Path) -> None:
    """One line."""
    assert "lineage init" in one_line(lineage("doctor", "--state", tmp_path / "none"))
    assert "--state" in one_line(lineage("doctor"))


def test_cloned_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was made on another board is a cloned image."""
    monkeypatch.setattr(identity, "board_fingerprint", lambda: "a" * 64)
    identity.make(tmp_path)
    assert checks.identity_key(tmp_path).verdict == OK
    monkeypatch.setattr(identity, "board_fingerprint", lambda: "b" * 64)
    found = checks.identity_key(tmp_path)
    assert (found.verdict, "cloned image" in found.fact) == (FAIL, True)


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 254:1 / /data rw,noatime - {kind} /dev/mmcblk0p3 rw,{options}
24 22 254:2 / /data/with\\040space rw - btrfs /dev/sda rw
not a mount line
"""


@pytest.mark.parametrize(
    ("place", "kind", "options", "verdict"),
    [
        ("/data/lineage", "ext4", "errors=remount-ro", OK),
        ("/data/lineage", "tmpfs", "size=1g", WARN),
        ("/data/lineage", "vfat", "x", WARN),
        ("/data/lineage", "ext4", "nobarrier", FAIL),
        ("/data/lineage", "ext4", "ro", FAIL),
        ("/data/with space/x", "tmpfs", "x", OK),
        ("/database", "tmpfs", "x", OK),
    ],
)
def test_file_systems(place: str, kind: str, options: str, verdict: str) -> None:
    """The innermost mount point counts; what forgets or lies about syncs is named."""
    found = checks_machine.file_system(Path(place), MOUNTS.format(kind=kind, options=options))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("throttled=0x0", OK), ("throttled=0x50005", FAIL), ("throttled=0x50000", WARN)],
)
def test_undervoltage_from_the_firmware(tmp_path: Path, said: str, verdict: str) -> None:
    """Now is a failure, since boot a warning."""
    assert checks_machine.voltage(tmp_path, lambda: said).verdict == verdict


@pytest.mark.parametrize(("alarm", "verdict"), [("1\n", FAIL), ("0\n", OK)])
def test_undervoltage_from_the_kernel(tmp_path: Path, alarm: str, verdict: str) -> None:
    """Without the firmware's tool the kernel's driver is asked; other sensors are passed over."""
    for number, name in enumerate(("cpu_thermal", "rpi_volt")):
        device = tmp_path / f"hwmon{number}"
        device.mkdir()
        (device / "name").write_text(f"{name}\n")
    (tmp_path / "hwmon1" / "in0_lcrit_alarm").write_text(alarm)
    assert checks_machine.voltage(tmp_path, lambda: None).verdict == verdict
    assert checks_machine.voltage(tmp_path / "none", lambda: None).fact == "this board does not tell"


@pytest.mark.parametrize(
    ("took_ms", "verdict"),
    [([0.2] * 50, OK), ([0.001] * 50, WARN), ([4.0] * 48 + [500.0] * 2, WARN), ([30.0] * 50, WARN)],
)
def test_sync_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_ms: list[float], verdict: str) -> None:
    """Too fast to be true, slow, and with pauses: each is said."""
    monkeypatch.setattr(checks_machine, "measure_syncs", lambda *_: took_ms)
    assert checks_machine.sync_time(tmp_path).verdict == verdict


def test_days_until_full() -> None:
    """The rate so far tells how long the room lasts; less than a day is a failure, less than a fortnight a warning."""
    day_s = 86_400.0
    assert checks._lasts("x", 100, Rate(1000, 60)).verdict == OK
    assert checks._lasts("x", 10**9, Rate(10**6, day_s)).verdict == OK
    assert checks._lasts("x", 5 * 10**6, Rate(10**6, day_s)).verdict == WARN
    assert checks._lasts("x", 10**5, Rate(10**6, day_s)).verdict == FAIL
    assert "5.0 days until full" in checks._lasts("x", 5 * 10**6, Rate(10**6, day_s)).fact


def test_page_sizes_and_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large pages are no fault, and are said; a clock from before this program is one."""
    assert "4 times" in checks_machine.page_size(16384).fact
    reading: list[Any] = [time.time_ns(), 0, 2, 500]
    monkeypatch.setattr(SystemClock, "read", lambda _: tuple(reading))
    assert checks_machine.clock().fact == "synchronised, within 500 µs"
    reading[2:] = [1, None]
    assert checks_machine.clock().verdict == WARN
    reading[0] = 0
    assert checks_machine.clock().verdict == FAIL


def test_the_processes_beside_the_recorder(state: Path) -> None:
    """Where mesh or bridge have a user here, it is said what recorder.toml does not give them; else nothing."""
    config = state / "recorder.toml"
    before = config.read_text()
    users: dict[str, int] = {"lineage-mesh": 990, "lineage-bridge": 991}

    def named(user: str) -> int | None:
        return users.get(user)

    assert services(state, lambda _: None) == []
    for found, says in zip(
        services(state, named),
        (
            'uid 990 is not given append "evidence", append "observation", read = true, mesh = true',
            'uid 991 is not given append "confirmation", append "fault", append "observation", read = true, actuators',
        ),
        strict=True,
    ):
        assert (found.verdict, found.fact) == (WARN, says)
        assert f"in {config}" in found.advice
    table = '\n[[controller]]\nuids = [990]\nappend = ["evidence", "observation"]\nread = true\nmesh = true\n'
    config.write_text(before + table)
    assert [one.verdict for one in services(state, named)] == [OK, WARN]
    config.write_text(before + table.replace("read = true", "read = false"))
    (found,) = services(state, lambda _: None)
    assert found.fact == "uid 990 is not given read = true", "who is named to be the mesh, whatever its user is called"
    config.write_text("nonsense")
    assert services(state, named) == []
