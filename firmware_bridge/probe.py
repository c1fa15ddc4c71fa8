"""Asking a device for its key, before anybody expects one: it signs a nonce of ours, as it does for any session."""

from __future__ import annotations

import os
import select
from typing import NamedTuple

from msgspec import ValidationError, convert

from firmware_bridge.advice import LOOK_AT
from firmware_bridge.line import messages
from firmware_bridge.line.framing import Unframer, frame
from firmware_bridge.line.happenings import Condition
from firmware_bridge.line.messages import Booted, Hello, Here
from firmware_bridge.places import BridgeError
from firmware_bridge.port import Port, PortGoneError
from recorder.client.connection import boottime_ns
from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.keys import kid

ORIGIN = "lineage/enrolment"  # of no log: what a device signs for it is no confirmation
AGAIN_MS = 200
_FORMAT = "lineage/device-proof/1"


class Shown(NamedTuple):
    """A device has shown that it has a key; `nonce` is ours."""

    nonce: bytes
    here: Here

    @property
    def key(self) -> bytes:
        """The device's public key."""
        return self.here.key


def ask(path: str, baud: int, within_ms: int) -> Shown:
    """Ask the device at a port.

    Raises:
        BridgeError: the port cannot be had, nobody answered, or the answer does not hold.

    """
    try:
        port = Port(path, baud)
    except PortGoneError as gone:
        raise _refused(gone) from None
    try:
        return _asked(port, within_ms)
    except PortGoneError as gone:
        raise _refused(gone) from None
    finally:
        port.close()


def _refused(gone: PortGoneError) -> BridgeError:
    look_at = LOOK_AT.get(gone.condition)
    return BridgeError(f"{gone.condition.value}: {gone.detail}{f'; look at {look_at}' if look_at else ''}")


def _asked(port: Port, within_ms: int) -> Shown:
    hello = Hello(os.urandom(16), ORIGIN, 1, 60_000)
    line, unframer = frame(messages.make(hello)), Unframer()
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    until_ns = boottime_ns() + within_ms * 1_000_000
    heard = ""
    port.write(b"\0")
    while boottime_ns() < until_ns:
        port.write(line)
        again_ns = boottime_ns() + AGAIN_MS * 1_000_000
        while (left_ns := again_ns - boottime_ns()) > 0:
            if not poll.poll(left_ns / 1e6):
                break
            for raw in unframer.feed(port.read()):
                try:
                    said = messages.read(raw)
                except FormatError:
                    continue  # frames of a session that was broken off
                if isinstance(said, Here):
                    if messages.here_holds(ORIGIN, hello.nonce, said):
                        return Shown(hello.nonce, said)
                    heard = f"; key id {kid(said.key).hex()} answered, and its signature does not hold"
                elif isinstance(said, Booted) and not heard:
                    heard = f"; key id {said.kid.hex()} is there and does not answer: does it receive?"
    if (noise := unframer.take_noise()).bytes and not heard:
        heard = f"; {noise.bytes} bytes came that are no frame: is the rate right?"
    heard = heard or f"; nothing came: look at {LOOK_AT[Condition.SILENT]}"
    raise BridgeError(f"no device showed a key on {port.path} within {within_ms} ms{heard}")


def write_proof(shown: Shown) -> bytes:
    """The proof as a file, for an authority elsewhere."""
    return cbor.encode([_FORMAT, shown.nonce, list(shown.here)])


def read_proof(raw: bytes) -> Shown:
    """Read such a file and check that the key signed the nonce.

    Raises:
        BridgeError: it is none, or proves nothing.

    """
    try:
        named, nonce, here = convert(cbor.decode(raw), tuple[str, bytes, Here], builtin_types=(bytes,))
    except (FormatError, ValidationError) as error:
        raise BridgeError(f"no proof of a device's key: {error}") from None
    if named != _FORMAT or len(nonce) != 16 or not messages.here_holds(ORIGIN, nonce, here):
        raise BridgeError("no proof of a device's key: it did not sign this")
    return Shown(nonce, here)
