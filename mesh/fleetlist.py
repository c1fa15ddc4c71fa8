"""The fleet list: whom a platform trusts, signed by a root (PROTOCOL.md section 1).

A signed note whose text is `lineage/fleet/1`, the fleet's name, a version that only grows, an empty line, and a
tlog-policy as `recorder.core.trust` reads it, with two lines more:

    mesh VKEY [URL]       the key of a platform's datagrams, named FLEET/PLATFORM, and where its mesh process answers
    foreign VKEY          a C2SP log that is no lineage: its origin is the key's name, and it has no incarnations

It names no roots: those stand in the device's own trust file, one of them signs the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from recorder.core.canonical import parse_decimal
from recorder.core.errors import FormatError
from recorder.core.keys import Signer
from recorder.core.note import ED25519, Note, VerifierKey, is_key_name, open_note, sign_text
from recorder.core.trust import Trust, parse_trust

ERROR = "fleet_list_malformed"
UNSIGNED = "fleet_list_signature"
MAGIC = "lineage/fleet/1"
LIST_MAX_BYTES = 262_144  # some 1,000 platforms

HEAD_LINES = 4  # magic, fleet, version, empty
_PLATFORM = re.compile(r"[^/]+/[^/]+")


class Log(NamedTuple):
    """A log that is trusted to speak for an origin."""

    key: VerifierKey  # named as the origin
    line: str  # what a witness keeps one state for: FLEET/PLATFORM, or the origin of a foreign log

    @property
    def is_foreign(self) -> bool:
        """Whether it is no lineage."""
        return self.line == self.key.name


class MeshKey(NamedTuple):
    """Who signs a platform's datagrams, and where its mesh process answers."""

    key: VerifierKey  # named FLEET/PLATFORM
    url: str | None


@dataclass(frozen=True, slots=True)
class FleetList:
    """A list that a root signed."""

    note: bytes  # as it came
    fleet: str
    version: int
    trust: Trust  # logs, witnesses, groups, quorum; no roots
    platforms: dict[str, MeshKey]  # by FLEET/PLATFORM
    foreign: dict[str, VerifierKey]  # by origin

    def log_of(self, origin: str) -> Log | None:
        """The key that must have signed what this origin says, a foreign log's or a platform's in any incarnation.

        None where nobody is trusted to.
        """
        if (foreign := self.foreign.get(origin)) is not None:
            return Log(foreign, origin)
        key = self.trust.log_key_of(origin)
        return None if key is None else Log(key, origin.rpartition("/")[0])

    def mesh_key_of(self, origin: str) -> MeshKey | None:
        """Who signs the datagrams of the platform that this origin belongs to."""
        return self.platforms.get(origin.rpartition("/")[0])


def make_fleet_list(fleet: str, version: int, policy: str, name: str, root: Signer) -> bytes:
    """Sign a list as the root of this name; what cannot be read back is refused.

    Raises:
        FormatError: fleet_list_malformed.
        Misuse: the note cannot be written.

    """
    text = f"{MAGIC}\n{fleet}\n{version}\n\n{policy}"
    note = Note(text, (sign_text(text, name, root),)).encode()
    open_fleet_list(note, [VerifierKey.derive(name, ED25519, root.public_key)])
    return note


def open_fleet_list(note: bytes, roots: Collection[VerifierKey]) -> FleetList:
    """Read a list, and hold it against the roots of the device's trust file.

    Raises:
        FormatError: fleet_list_malformed, naming the line, or fleet_list_signature.

    """
    if len(note) > LIST_MAX_BYTES:
        raise FormatError(ERROR, f"{len(note)} bytes, at most {LIST_MAX_BYTES} are allowed")
    try:
        text = open_note(note, roots).text
    except FormatError as error:
        name = UNSIGNED if error.error == "note_signature" else ERROR
        raise FormatError(name, error.detail) from None
    lines = text.split("\n")
    if len(lines) <= HEAD_LINES or lines[0] != MAGIC or lines[HEAD_LINES - 1]:
        raise FormatError(ERROR, f"it does not begin with {MAGIC}, fleet, version and an empty line")
    fleet, version = lines[1], parse_decimal(lines[2], ERROR)
    if not is_key_name(fleet) or "/" in fleet:
        raise FormatError(ERROR, f"line 2: {fleet[:40]!r} is no name of a fleet")
    ours = _Ours()
    # Lines that are ours are emptied, not taken out: so the lines that parse_trust names are those of the note.
    policy = [line if at >= HEAD_LINES and not ours.take(at + 1, line) else "" for at, line in enumerate(lines)]
    try:
        trust = parse_trust("\n".join(policy).encode())
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    if trust.roots:
        raise FormatError(ERROR, f"it names root {trust.roots[0].name}: roots stand in the device's own trust file")
    ours.check_against(trust)
    return FleetList(note, fleet, version, trust, ours.platforms, ours.foreign)


def newer(held: FleetList | None, offered: FleetList) -> bool:
    """Tell whether an offered list replaces the one that is held; False where it is the same text.

    Raises:
        FormatError: fleet_list_version: older, another text of the same version, or another fleet's.

    """
    if held is None:
        return True
    if held.fleet != offered.fleet:
        raise FormatError("fleet_list_version", f"a list of fleet {offered.fleet}, here it is {held.fleet}")
    if offered.version > held.version:
        return True
    if offered.version < held.version:
        raise FormatError("fleet_list_version", f"version {offered.version}, but {held.version} is in force")
    if _text_of(held.note) != _text_of(offered.note):
        raise FormatError("fleet_list_version", f"another list of version {held.version} than the one in force")
    return False


def _text_of(note: bytes) -> bytes:
    return note[: note.rindex(b"\n\n")]


class _Ours:
    """The lines that tlog-policy does not have."""

    def __init__(self) -> None:
        self.platforms: dict[str, MeshKey] = {}
        self.foreign: dict[str, VerifierKey] = {}
        self._keys: set[bytes] = set()
        self._lines: dict[str, tuple[int, str, Callable[..., None]]] = {
            "mesh": (2, "mesh VKEY [URL]", self._mesh),
            "foreign": (1, "foreign VKEY", self._foreign),
        }

    def take(self, number: int, line: str) -> bool:
        """Tell whether the line was one of ours."""
        verb, *items = re.split(r"[ \t]+", line.strip(" \t"))
        if verb not in self._lines:
            return False
        try:
            self._take(verb, items)
        except FormatError as error:
            raise FormatError(ERROR, f"line {number}: {error.detail}") from None
        return True

    def _take(self, verb: str, items: list[str]) -> None:
        most, form, note = self._lines[verb]
        if not 1 <= len(items) <= most:
            raise FormatError(ERROR, f"not written as {form}")
        key = VerifierKey.parse(items[0])
        if key.algorithm != ED25519:
            raise FormatError(ERROR, f"key {key.name} is of type {key.algorithm:#04x}, here it must be {ED25519:#04x}")
        if key.public_key in self._keys:
            raise FormatError(ERROR, f"the key of {key.name} stands twice")
        note(key, *items[1:])
        self._keys.add(key.public_key)

    def check_against(self, trust: Trust) -> None:
        """A key serves one use: none of ours is a log's or a witness's, and no origin has two logs."""
        for other in (*trust.logs, *trust.witnesses.values()):
            if other.public_key in self._keys:
                raise FormatError(ERROR, f"the key of {other.name} stands in a second use")
        platforms = {log.name for log in trust.logs}
        for origin in self.foreign:
            if origin.rpartition("/")[0] in platforms or origin in platforms:
                raise FormatError(ERROR, f"foreign log {origin} bears the name of a platform")
        for name in self.platforms:
            if name not in platforms:
                raise FormatError(ERROR, f"mesh key of {name}, of which no log line stands here")

    def _mesh(self, key: VerifierKey, url: str | None = None) -> None:
        if _PLATFORM.fullmatch(key.name) is None:
            raise FormatError(ERROR, f"mesh key {key.name!r} is not named FLEET/PLATFORM")
        if key.name in self.platforms:
            raise FormatError(ERROR, f"platform {key.name} has two mesh keys")
        self.platforms[key.name] = MeshKey(key, url)

    def _foreign(self, key: VerifierKey) -> None:
        if key.name in self.foreign:
            raise FormatError(ERROR, f"foreign log {key.name} stands twice")
        self.foreign[key.name] = key
