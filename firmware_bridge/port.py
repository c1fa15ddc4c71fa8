"""The serial port: the one place that knows pyserial.

A port is the process's alone (flock and TIOCEXCL), raw, and never blocks.  That it went away is no error: cables do.
"""

from __future__ import annotations

import errno
import os

import serial

from firmware_bridge.line.happenings import Condition

READ_MAX_BYTES = 65_536
_NOT_THERE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO)

_WHO = "; a bridge that runs, or whom `fuser -v` names"
_WHY = {
    errno.EACCES: "our user may not open it; is it in the port's group (`ls -l` shows which)?",
    errno.EAGAIN: f"another process has it{_WHO}",
    errno.EBUSY: f"another process has it{_WHO}",
    errno.EISDIR: "it is no serial port",
    errno.ENOTTY: "it is no serial port",
}


class PortGoneError(Exception):
    """The port cannot be had, or was lost.

    Attributes:
        condition: `unplugged` where there is no such device (any more), else `port_refused`.

    """

    def __init__(self, condition: Condition, detail: str) -> None:
        super().__init__(detail)
        self.condition = condition
        self.detail = detail


class Port:
    """An open port."""

    def __init__(self, path: str, baud: int) -> None:
        """Open it.

        Raises:
            PortGoneError: it is not there, somebody else has it, or it may not be opened.

        """
        self.path = path
        try:
            # Without handshakes: a device that holds a line down must not hold us.
            self._serial = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
        except serial.SerialException as error:
            number = _errno_of(error)
            gone = number in _NOT_THERE
            why = _WHY.get(number) or (os.strerror(number) if number else str(error))
            raise PortGoneError(Condition.UNPLUGGED if gone else Condition.PORT_REFUSED, f"{path}: {why}") from None
        except ValueError as error:
            raise PortGoneError(Condition.PORT_REFUSED, f"{path}: {error}") from None
        self._descriptor: int = self._serial.fileno()

    def fileno(self) -> int:
        """For polling."""
        return self._descriptor

    def read(self) -> bytes:
        """What has come; to be called only when polling says that something did: then nothing is the end.

        Raises:
            PortGoneError: the device went away.

        """
        try:
            chunk = os.read(self._descriptor, READ_MAX_BYTES)
        except OSError as error:
            raise PortGoneError(Condition.UNPLUGGED, f"{self.path}: {error.strerror}") from None
        if not chunk:
            raise PortGoneError(Condition.UNPLUGGED, f"{self.path}: it was hung up")
        return chunk

    def write(self, line: bytes) -> int:
        """Write as much as there is room for; returns how many bytes that was.

        Raises:
            PortGoneError: the device went away.

        """
        try:
            return os.write(self._descriptor, line)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PortGoneError(Condition.UNPLUGGED, f"{self.path}: {error.strerror}") from None

    def close(self) -> None:
        """Let it go."""
        self._serial.close()


def _errno_of(error: serial.SerialException) -> int:
    """Of an error that pyserial raised, or of the one that it put into words; 0 where there is none."""
    found: BaseException | None = error
    while found is not None:
        number = found.args[0] if found.args else None
        if isinstance(number, int):
            return number
        found = found.__context__
    return 0
