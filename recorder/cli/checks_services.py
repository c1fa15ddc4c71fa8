"""What `doctor` says of the processes beside the recorder: whether recorder.toml lets them do their work."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recorder import config as configs
from recorder.cli.checks_machine import OK, WARN, Finding
from recorder.config import APPENDABLE, Config
from recorder.daemon.peers import permissions_of
from recorder.store.configfile import ConfigError
from recorder.store.layout import CONFIG

NOBODY = -1  # no user's number


class Service(NamedTuple):
    """A process beside the recorder, by the user that configs/systemd gives it."""

    name: str
    user: str
    append: tuple[str, ...]
    is_mesh: bool


MESH = Service("mesh", "lineage-mesh", ("evidence", "observation"), is_mesh=True)
BRIDGE = Service("bridge", "lineage-bridge", ("confirmation", "fault", "observation"), is_mesh=False)


def uid_of(user: str) -> int | None:
    """Number of a user of this machine, None where there is none of that name."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def services(state: Path, find: Callable[[str], int | None] = uid_of) -> list[Finding]:
    """One finding for each that is set up here: its user exists, or a table says that somebody is the mesh."""
    with suppress(ConfigError):  # `configuration` says so
        config = configs.load(state)
        return [
            _finding(service, uid, config, state) for service in (MESH, BRIDGE) for uid in _uids(service, config, find)
        ]
    return []


def _uids(service: Service, config: Config, find: Callable[[str], int | None]) -> Iterator[int]:
    listed = {uid for one in config.controllers if one.mesh for uid in one.uids} if service.is_mesh else set()
    named = find(service.user)
    yield from sorted(listed | ({named} if named is not None else set()))


def _finding(service: Service, uid: int, config: Config, state: Path) -> Finding:
    may = permissions_of(config.controllers, uid, frozenset(), NOBODY)
    lacks = [f'append "{kind}"' for kind in service.append if int(APPENDABLE[kind]) not in may.append]
    lacks += ["read = true"] * (not may.read) + ["mesh = true"] * (service.is_mesh and not may.mesh)
    lacks += ["actuators"] * (service is BRIDGE and not may.actuators)
    if not lacks:
        return Finding(service.name, OK, f"uid {uid} may do its work here")
    return Finding(
        service.name, WARN, f"uid {uid} is not given {', '.join(lacks)}",
        f"add it to a [[controller]] with uids = [{uid}] in {state / CONFIG}, and start the recorder again",
    )  # fmt: skip
