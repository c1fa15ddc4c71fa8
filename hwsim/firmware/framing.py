"""COBS and CRC-32 on a device's side (firmware_bridge/PROTOCOL.md section 1)."""

from __future__ import annotations

from binascii import crc32

LINE_MAX_BYTES = 263  # 256 of a message, 4 of its CRC, 2 codes of COBS, the zero


def framed(message: bytes) -> bytes:
    """One message as it stands on the line."""
    left = message + crc32(message).to_bytes(4, "little") + b"\0"  # COBS ends where this zero would be
    line = bytearray()
    while left:
        run = left[: min(left.index(0), 254)]
        line += bytes((len(run) + 1,)) + run
        # A full run stands for no zero; behind one that ends the message there is nothing left to say.
        left = left[len(run) + (len(run) < 254) :]
        if len(run) == 254 and left == b"\0":
            break
    return bytes(line) + b"\0"


def unframed(line: bytes) -> bytes | None:
    """The message between two zeros; None for what is none."""
    plain, at, is_last_full = b"", 0, False
    while at < len(line):
        code = line[at]
        run = line[at + 1 : at + code]
        if code == 0 or len(run) != code - 1:
            return None
        plain += run + (b"\0" if code < 255 else b"")
        at += code
        is_last_full = code == 255
    if not plain:
        return None
    if not is_last_full:
        plain = plain[:-1]
    message, crc = plain[:-4], plain[-4:]
    return message if message and crc32(message) == int.from_bytes(crc, "little") else None


class Splitter:
    """Bytes as they come to messages; holds at most one frame."""

    def __init__(self) -> None:
        self._piece = bytearray()
        self.noise = 0  # pieces that were no frame

    def fed(self, chunk: bytes) -> list[bytes]:
        """The messages that end within these bytes."""
        found: list[bytes] = []
        for byte in chunk:
            if byte:
                # One more than a frame has is enough to know that it is none.
                if len(self._piece) < LINE_MAX_BYTES:
                    self._piece.append(byte)
                continue
            if self._piece:
                message = unframed(bytes(self._piece)) if len(self._piece) < LINE_MAX_BYTES else None
                if message is None:
                    self.noise += 1
                else:
                    found.append(message)
            self._piece.clear()
        return found
