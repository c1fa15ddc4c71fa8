"""Frames on a serial line: COBS with a zero byte behind each, and a CRC-32 inside (PROTOCOL.md section 1).

The CRC tells noise from a device that lies: what it lets through and what then does not verify was not damaged by a
cable.  It is not part of what is signed.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from recorder.core.errors import Misuse

MESSAGE_MAX_BYTES = 256
_CRC_BYTES = 4
_RUN_MAX = 254  # bytes without a zero that one COBS code stands for
STUFFED_MAX_BYTES = MESSAGE_MAX_BYTES + _CRC_BYTES + (MESSAGE_MAX_BYTES + _CRC_BYTES) // _RUN_MAX + 1


class Noise(NamedTuple):
    """What has come and is no frame, since the last time that one was asked for."""

    frames: int = 0  # pieces between zeros that were not what somebody sent
    bytes: int = 0


def frame(message: bytes) -> bytes:
    """What goes over the line for one message.

    Raises:
        Misuse: the message is empty or longer than a frame may be.

    """
    if not 0 < len(message) <= MESSAGE_MAX_BYTES:
        raise Misuse(f"a message has 1 to {MESSAGE_MAX_BYTES} bytes, not {len(message)}")
    return stuff(message + crc32(message).to_bytes(_CRC_BYTES, "little")) + b"\0"


def stuff(plain: bytes) -> bytes:
    """COBS: the same bytes without a zero."""
    stuffed = bytearray()
    run = left = b""
    for run in plain.split(b"\0"):
        left = run
        while len(left) >= _RUN_MAX:
            stuffed.append(_RUN_MAX + 1)
            stuffed += left[:_RUN_MAX]
            left = left[_RUN_MAX:]
        stuffed.append(len(left) + 1)
        stuffed += left
    # The code of an empty rest is left out behind a full run at the very end, as most encoders do.
    return bytes(stuffed[:-1] if plain and run and not left else stuffed)


def unstuff(stuffed: bytes) -> bytes | None:
    """What `stuff` made these bytes of; None where it makes them of nothing."""
    plain = bytearray()
    at = 0
    while at < len(stuffed):
        code = stuffed[at]
        end = at + code
        if code == 0 or end > len(stuffed):
            return None
        plain += stuffed[at + 1 : end]
        if code <= _RUN_MAX and end < len(stuffed):
            plain.append(0)
        at = end
    return bytes(plain)


class Unframer:
    """Takes bytes as they come and gives the messages among them.

    A damaged frame costs itself, and the next one if the zero between them is what was damaged; nothing else.
    """

    __slots__ = ("_held", "_noise", "_overlong")

    def __init__(self) -> None:
        self._held = bytearray()
        self._overlong = False
        self._noise = Noise()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that these bytes complete; memory stays within one frame whatever comes."""
        messages: list[bytes] = []
        *ended, rest = chunk.split(b"\0")
        for piece in ended:
            self._hold(piece)
            message = None if self._overlong else _message(bytes(self._held))
            if message is not None:
                messages.append(message)
            elif self._held or self._overlong:
                self._noise = Noise(self._noise.frames + 1, self._noise.bytes + len(self._held))
            self._held.clear()
            self._overlong = False
        self._hold(rest)
        return messages

    def take_noise(self) -> Noise:
        """What was no frame since the last call."""
        noise, self._noise = self._noise, Noise(0, 0)
        return noise

    def _hold(self, piece: bytes) -> None:
        room = STUFFED_MAX_BYTES - len(self._held)
        if len(piece) > room:
            self._overlong = True
            self._noise = self._noise._replace(bytes=self._noise.bytes + len(piece) - room)
        self._held += piece[:room]


def _message(stuffed: bytes) -> bytes | None:
    plain = unstuff(stuffed)
    if plain is None or len(plain) <= _CRC_BYTES:
        return None
    message, sum_ = plain[:-_CRC_BYTES], plain[-_CRC_BYTES:]
    return message if crc32(message).to_bytes(_CRC_BYTES, "little") == sum_ else None
