"""Local users and groups, as people name them."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterable
from typing import NamedTuple

from recorder.core.errors import LineageError


class AccountError(LineageError):
    """There is no such user or group; the message says how to write one."""


class Accounts(NamedTuple):
    """Numbers of users and of groups, each once, in the order in which they were named."""

    uids: tuple[int, ...] = ()
    gids: tuple[int, ...] = ()


def find(names: Iterable[str]) -> Accounts:
    """Users and groups by name or number.

    A name is a user's where there is one, else a group's; a number is a user's.  With a colon before it either is a
    group's, as chown(1) writes it.  A number need not exist yet.

    Raises:
        AccountError: a name that nobody here has.

    """
    uids: dict[int, None] = {}
    gids: dict[int, None] = {}
    for text in names:
        name = text.removeprefix(":")
        uid = _uid(name) if name == text else None
        if uid is not None:
            uids[uid] = None
            continue
        gid = _gid(name)
        if gid is None:
            what = "user or group" if name == text else "group"
            raise AccountError(f"no {what} {name!r} here; USER, :GROUP, or a number in place of either")
        gids[gid] = None
    return Accounts(tuple(uids), tuple(gids))


def _uid(name: str) -> int | None:
    if _is_number(name):
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # a NUL byte in it
        return None


def _gid(name: str) -> int | None:
    if _is_number(name):
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
