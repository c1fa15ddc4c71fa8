"""The bridge as a process, and what a stopped recorder's lineage has of a device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from firmware_bridge.places import CONFIG, CREDENTIAL
from recorder.core import cbor, claims, confirmation, devicegap
from recorder.core.deviceframe import Confirmation, Dropped, Frame
from recorder.core.devicegap import Place
from recorder.core.entry import decode
from recorder.core.header import Header
from recorder.core.kinds import Kind
from tests.credential_builder import ARM, from_root, rescoped
from tests.frames import DEVICE
from tests.running import records_of

APPEND = '["confirmation", "fault", "observation"]'
_RUN = (
    "import sys; from pathlib import Path; from firmware_bridge.run import run; "
    "sys.exit(run(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))"
)


def make_bridge(state: Path, more: str = "") -> Path:
    """A state directory for the device of `tests.frames`, which moves `arm`."""
    state.mkdir()
    (state / CONFIG).write_text(f'[device]\nactuators = ["arm"]\n{more}')
    scope = rescoped(ARM, actuators=frozenset({"arm"}), delegations=0)
    (state / CREDENTIAL).write_bytes(from_root("motor controller 3", role="actuator", scope=scope).signed.raw)
    return state


class Bridge:
    """One bridge process."""

    def __init__(self, state: Path, port: Path, socket: Path, baud: int = 3_000_000) -> None:
        self._said = state / "said"
        self._command = [sys.executable, "-c", _RUN, str(state), str(port), str(socket), str(baud)]
        self.restart()

    def restart(self) -> None:
        """Start it."""
        self._before = len(self.said) if self._said.exists() else 0
        with self._said.open("ab") as said:
            self.process = subprocess.Popen(self._command, stderr=said, env=dict(os.environ))

    @property
    def said(self) -> str:
        """All that it has said."""
        return self._said.read_text()

    @property
    def is_up(self) -> bool:
        """The device has shown its key to this process."""
        return "has shown its key" in self.said[self._before :]

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(240)

    def cpu_s(self) -> float:
        """Processor time of the running process."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


class Account:
    """Every frame of a device that a lineage has, and every gap; whether they follow each other is checked in reading."""

    def __init__(self, state: Path) -> None:
        self.frames: list[Frame] = []
        self.gaps: list[devicegap.Missing] = []
        self.faults: list[tuple[str, str]] = []
        self.headers: list[Header] = []
        at: Place | None = None
        for raw, beside in records_of(state):
            header = decode(raw).header
            self.headers.append(header)
            if header.kind == Kind.GAP and (missing := devicegap.read(header.control.reason)) is not None:
                assert missing.since == (at or missing.since), "a gap that does not begin where the frames end"
                self.gaps.append(missing)
                at = missing.until
            if header.kind == Kind.FAULT and header.control.fault == "bridge":
                _, condition, detail = header.control.facts
                self.faults.append((condition, detail))
            if beside is None or header.kind not in {Kind.CONFIRMATION, Kind.OBSERVATION}:
                continue
            body = claims.disclosed("body", cbor.decode(beside)[11])
            if confirmation.SIGNATURE_CLAIM not in body:
                continue
            signed, raws = confirmation.of_body(body)
            frames = confirmation.verify(signed, raws, DEVICE.public_key)
            assert (frames[0].boot, frames[0].seq) == (at or (1, 0)), "a hole, or a frame twice"
            self.frames += frames
            at = Place(frames[-1].boot, frames[-1].seq + 1)

    @property
    def dropped(self) -> int:
        """Frames that found no room in the device, as it says itself."""
        return sum(frame.body.frames for frame in self.frames if isinstance(frame.body, Dropped))

    def told(self, boot: int) -> int:
        """Confirmations of a boot that are here, or that the device said it had no room for."""
        bodies = [frame.body for frame in self.frames if frame.boot == boot]
        return sum(body.frames if isinstance(body, Dropped) else isinstance(body, Confirmation) for body in bodies)
