"""Who is at the other end of a Unix socket, and what the configuration lets them do."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from recorder.config import APPENDABLE, Controller
from recorder.core.kinds import Kind
from recorder.writer.session import Peer, Permissions

_UCRED = struct.Struct("3i")
_SO_PEERGROUPS = 59
_GROUPS_MAX = 1024
_OWN: frozenset[int] = frozenset({Kind.POLICY, Kind.CREDENTIAL})
_NOTHING: frozenset[int] = frozenset()


def peer_of(connection: socket.socket) -> tuple[Peer, frozenset[int]]:
    """The peer and all its groups, as the kernel noted them at connect."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _GROUPS_MAX)
        groups = struct.unpack(f"{len(packed) // 4}I", packed)
    except OSError:  # more groups than that, or a kernel before 4.13
        groups = ()
    try:
        exe = str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:  # another user's process hides it, or it has gone
        exe = None
    return Peer(uid, gid, pid, exe), frozenset(groups) | {gid}


def permissions_of(controllers: Sequence[Controller], uid: int, groups: frozenset[int], own_uid: int) -> Permissions:
    """The union of what every matching controller table permits.

    The recorder's own user and root may always read, and bring policies and credentials: they could change the trust
    file and the configuration that say whose those may be.  Nobody is the mesh who is not named so: its word alone
    chooses witnesses.
    """
    matching = [entry for entry in controllers if uid in entry.uids or groups.intersection(entry.gids)]
    is_own = uid in (0, own_uid)
    return Permissions(
        frozenset(name for entry in matching for name in entry.actuators),
        frozenset(int(APPENDABLE[kind]) for entry in matching for kind in entry.append)
        | (_OWN if is_own else _NOTHING),
        is_own or any(entry.read for entry in matching),
        any(entry.mesh for entry in matching),
    )
