"""A scope as people write it: TOML, in which what is left out grants nothing (FORMAT.md section 6).

action_classes = ["motion"]             # or "any", as actuators, limits, areas and times may be
actuators = ["arm"]
delegations = 1                         # links that may follow below; 0 if left out
roles = []                              # that an authority may issue
counts = {commits = 500, seconds = 900} # or "unbounded"
limits = {N = [0.0, 60.0], none = [0, 0]}
areas = [{frame = "cell", min = [-1, -1, 0], max = [1, 1, 2]}]
times = [{from = "06:00", to = "22:00", days = ["mon", "tue"]}]     # UTC; every day if days are left out
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from recorder.authority.errors import AuthorityError
from recorder.core import cbor, scope
from recorder.core.errors import FormatError
from recorder.core.scope import Area, Counts, Number, Role, Scope, Times

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_Any = Literal["any"]


class _Area(Struct, forbid_unknown_fields=True):
    frame: str
    min: tuple[Number, Number, Number]
    max: tuple[Number, Number, Number]


class _Times(Struct, forbid_unknown_fields=True):
    begins: str = msgspec.field(name="from")
    ends: str = msgspec.field(name="to")
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] | None = None


class _File(Struct, forbid_unknown_fields=True):
    action_classes: _Any | list[str] = []
    actuators: _Any | list[str] = []
    limits: _Any | dict[str, tuple[Number, Number]] = {}
    areas: _Any | list[_Area] = []
    times: _Any | list[_Times] = []
    counts: Literal["unbounded"] | Counts = Counts(0, 0)
    delegations: int = 0
    roles: list[Role] = []


def load(path: Path) -> Scope:
    """Read a scope file.

    Raises:
        AuthorityError: it is no scope; the message names file and key.
        OSError: it cannot be read.

    """
    return parse(path.read_bytes(), path)


def parse(text: bytes, path: Path) -> Scope:
    """Read the content of a scope file; `path` is for the message.

    Raises:
        AuthorityError: as `load`.

    """
    try:
        written = msgspec.convert(tomllib.loads(text.decode()), _File)
        made = Scope(
            action_classes=_names(written.action_classes, "action_classes"),
            actuators=_names(written.actuators, "actuators"),
            limits=written.limits,
            areas="any" if isinstance(written.areas, str) else frozenset(map(_area, written.areas)),
            times="any" if isinstance(written.times, str) else frozenset(map(_times, written.times)),
            counts=None if isinstance(written.counts, str) else written.counts,
            delegations=written.delegations,
            roles=frozenset(written.roles),
        )
        value = scope.to_value(made)
        cbor.check(value)
        return scope.read(value, "scope_malformed")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise AuthorityError(f"{path}: {error}") from error
    except FormatError as error:
        raise AuthorityError(f"{path}: {error.detail}") from error


def _names(written: _Any | list[str], part: str) -> _Any | frozenset[str]:
    if isinstance(written, str):
        return written
    if "any" in written:
        raise ValueError(f'{part}: a list with "any" in it grants one thing of that name; write {part} = "any"')
    return frozenset(written)


def _area(written: _Area) -> Area:
    return Area(written.frame, written.min, written.max)


def _times(written: _Times) -> Times:
    days = sum(1 << _DAYS.index(day) for day in set(_DAYS if written.days is None else written.days))
    return Times(_second(written.begins), _second(written.ends), days)


def _second(clock: str) -> int:
    """Second of the day of HH:MM."""
    if not _CLOCK.fullmatch(clock):
        raise ValueError(f"times: {clock[:20]!r} is not written as HH:MM, 00:00 to 24:00 UTC")
    hours, minutes = clock.split(":")
    return 3600 * int(hours) + 60 * int(minutes)
