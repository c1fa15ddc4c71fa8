"""`lineage bridge run`: from a port and a recorder's socket to a device that takes part in the lineage, and back."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from firmware_bridge.asking import Asking
from firmware_bridge.config import Config, load
from firmware_bridge.credentialfile import read_credential
from firmware_bridge.desk import Desk
from firmware_bridge.following import Following
from firmware_bridge.frontfile import read_front, write_front
from firmware_bridge.known import Memory
from firmware_bridge.line.link import Link
from firmware_bridge.loop import Loop
from firmware_bridge.places import CONFIG, HOLDER, AnewError
from firmware_bridge.recording import Recording
from firmware_bridge.session import COMMITS, FOLLOWS, Recorder
from recorder.client.answers import Hello
from recorder.client.wake import Wake
from recorder.core.credential import Credential
from recorder.core.keys import kid
from recorder.store.layout import StateLock

EXIT_OK, EXIT_FAILED = 0, 1
NONCE_BYTES = 16


def run(state: Path, port: str, socket: Path, baud: int | None = None, config: Path | None = None) -> int:
    """Serve one port until SIGTERM or SIGINT.

    Returns:
        0 after a clean stop; 1 where the recorder has begun another log: start again.

    Raises:
        LineageError, OSError: it cannot start, or cannot go on and a restart would not mend it.

    """
    settings = load(config or state / CONFIG)
    credential = read_credential(state)
    lock = StateLock(state, HOLDER)
    wake = Wake()
    recorder: Recorder | None = None
    try:
        stop = _Stop(wake)
        recorder = Recorder(socket, f"bridge {port}", state)
        return _serve(state, port, baud or settings.device.baud, settings, credential, recorder, stop)
    except AnewError as error:
        _say(f"{error}; starting again with what it has of this device")
        return EXIT_FAILED
    finally:
        if recorder is not None:
            recorder.close()
        wake.close()
        lock.close()


class _Stop:
    """Set by a signal, which also wakes the loop."""

    def __init__(self, wake: Wake) -> None:
        self.wake = wake
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def __call__(self) -> bool:
        return self._asked

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        self.wake.set()


def _serve(
    state: Path, port: str, baud: int, settings: Config, credential: Credential, recorder: Recorder, stop: _Stop
) -> int:
    hello = recorder.greet(stop, _say)
    if hello is None:
        return EXIT_OK
    device = settings.device
    numbers = [recorder.number(name, stop) for name in device.actuators]
    memory, size = _learned(state, hello, credential.terms.key, recorder, stop)
    if stop():
        return EXIT_OK
    link = Link(
        credential.terms.key,
        hello.origin,
        memory.front,
        lambda: os.urandom(NONCE_BYTES),
        batch_frames=device.batch_frames,
        batch_ms=device.batch_ms,
    )
    device_kid = kid(credential.terms.key)
    desk = Desk(device_kid, port, device.actuators, hello.platform, settings.events.classes, frozenset(memory.events))
    asking = following = None
    if settings.cycle is not None:
        session = recorder.of(COMMITS).session
        asking = Asking(settings.cycle, device_kid, device.actuators, memory, link, session)
    if device.receipts:
        following = Following(recorder.of(FOLLOWS), {number for number in numbers if number is not None})
    recording = Recording(recorder, link, desk, memory, asking, following, size)
    loop = Loop(state, port, baud, link, recording, device_kid, stop.wake, _say)
    known = "nothing" if memory.front is None else f"boot {memory.front.boot} up to frame {memory.front.next}"
    _say(f"on {port} for {', '.join(device.actuators)}; of this device {hello.origin} has {known}")
    loop.run(stop)
    _say("stopped")
    return EXIT_OK


def _learned(state: Path, hello: Hello, key: bytes, recorder: Recorder, stop: _Stop) -> tuple[Memory, int]:
    """What the lineage has of the device, and the seq up to which that was looked for."""
    since = read_front(state, hello.origin)
    memory = Memory(key, since)
    seq = since.seq if since is not None else 0
    for at, raw, beside in recorder.entries(seq, stop):
        memory.take(raw, beside)
        seq = at + 1
    if not stop():
        write_front(state, memory.front_at(hello.origin, seq))
    return memory, seq


def _say(text: str) -> None:
    """A line for journald: state changes only."""
    sys.stderr.write(f"lineage bridge: {text}\n")
    sys.stderr.flush()
