"""The recorder's socket: from systemd, or bound here."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from recorder.core.errors import LineageError

_FIRST_FD = 3
BACKLOG = 64
MODE = 0o660


class ListenError(LineageError):
    """The socket cannot be had; the message says why and what to do."""


def listen(path: Path) -> tuple[socket.socket, bool]:
    """A listening SOCK_SEQPACKET socket, and whether it is ours to remove.

    systemd's is used where it passed one (sd_listen_fds(3)).  A stale socket file of a dead recorder is replaced; one
    that somebody listens on is not.

    Raises:
        ListenError: somebody listens there, or no permission.

    """
    passed = _from_systemd()
    if passed is not None:
        return passed, False
    if len(os.fsencode(path)) > 107:
        raise ListenError(f"socket path {path} is over 107 bytes (unix(7)); choose a shorter one with --socket")
    if path.exists():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    before = os.umask(0o777 & ~MODE)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    listener.settimeout(0)
    return listener, True


def _from_systemd() -> socket.socket | None:
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS", "0") == "0":
        return None
    if os.environ["LISTEN_FDS"] != "1":
        raise ListenError(
            f"systemd passed {os.environ['LISTEN_FDS']} sockets; the unit names one ListenSequentialPacket"
        )
    passed = socket.socket(fileno=_FIRST_FD)
    if passed.family != socket.AF_UNIX or passed.type != socket.SOCK_SEQPACKET:
        raise ListenError("systemd passed another kind of socket; the unit names ListenSequentialPacket=")
    passed.settimeout(0)
    passed.set_inheritable(False)
    return passed


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ListenError(f"{path} exists and is no socket; choose another path with --socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink()
    except OSError as error:
        raise ListenError(f"cannot tell whether {path} is in use: {error.strerror}") from error
    else:
        raise ListenError(f"{path} is in use by another recorder; stop it or choose another path with --socket")
    finally:
        probe.close()
