"""What a verifier trusts: a C2SP tlog-policy with one line more, `root VKEY`.

    log VKEY                        a platform's identity key, named FLEET/PLATFORM: any incarnation of it
    witness NAME VKEY [URL]
    group NAME all|any|K NAME...
    quorum NAME|none                exactly one
    root VKEY                       a key that credentials may chain to; ours, not in tlog-policy

Departures from tlog-policy: the file is UTF-8 (names are compared as text), and a log's name has no incarnation, since
one key signs them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from recorder.core.errors import FormatError
from recorder.core.note import COSIGNATURE_V1, ED25519, VerifierKey

ERROR = "trust_malformed"
TRUST_MAX_BYTES = 1_000_000
NONE = "none"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LOG_NAME = re.compile(r"[^/]+/[^/]+")
_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_INCARNATION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Group:
    """Met when at least `threshold` of the members, witnesses or groups, are."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """A parsed trust file; names of witnesses and groups mean nothing outside it."""

    logs: tuple[VerifierKey, ...]
    witnesses: dict[str, VerifierKey]
    groups: dict[str, Group]
    quorum: str | None  # None: no cosignature is asked for
    roots: tuple[VerifierKey, ...]
    urls: dict[str, str] = field(default_factory=dict)  # by witness

    def identity_of(self, origin: str) -> bytes | None:
        """The 32-byte identity key that a log of this origin must have, None where no line names its platform."""
        platform = origin.rpartition("/")[0]
        return next((key.public_key for key in self.logs if key.name == platform), None)

    def log_key_of(self, origin: str) -> VerifierKey | None:
        """The key under which a log of this origin signs; None too where the origin names no incarnation."""
        identity = self.identity_of(origin)
        if identity is None or _INCARNATION.fullmatch(origin.rpartition("/")[2]) is None:
            return None
        return VerifierKey.derive(origin, ED25519, identity)

    def is_quorum(self, cosigned: Collection[VerifierKey]) -> bool:
        """Tell whether these witnesses are enough; never where the file asks for none."""
        met = {name for name, key in self.witnesses.items() if key in cosigned}
        for name, group in self.groups.items():  # a group names only what stands above it
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(name)
        return self.quorum in met


def parse_trust(text: bytes) -> Trust:
    """Parse a trust file.

    Raises:
        FormatError: trust_malformed, naming the line.

    """
    if len(text) > TRUST_MAX_BYTES:
        raise FormatError(ERROR, f"{len(text)} bytes, at most {TRUST_MAX_BYTES} are allowed")
    try:
        whole = text.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise FormatError(ERROR, f"not UTF-8: {failure.reason} at byte {failure.start}") from None
    if whole and not whole.endswith("\n"):
        raise FormatError(ERROR, "the last line does not end in newline")
    reader = _Reader()
    for number, line in enumerate(whole.split("\n")[:-1], 1):
        if control := _CONTROL.search(line):
            raise FormatError(ERROR, f"line {number}: control character {control[0]!r}")
        items = re.split(r"[ \t]+", line.strip(" \t"))
        if items == [""] or items[0].startswith("#"):
            continue
        try:
            reader.take(items)
        except FormatError as failure:
            raise FormatError(ERROR, f"line {number}: {failure.detail}") from None
    return reader.finish()


class _Reader:
    """Lines so far; what a line names must stand above it."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, Group] = {}
        self._roots: list[VerifierKey] = []
        self._urls: dict[str, str] = {}
        self._grouped: set[str] = set()
        self._quorum: str | None = None
        self._lines: dict[str, Callable[[list[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._set_quorum,
            "root": self._root,
        }

    def take(self, items: list[str]) -> None:
        line = self._lines.get(items[0])
        if line is None:
            hint = "; lines mesh and foreign are of fleet lists alone" if items[0] in {"mesh", "foreign"} else ""
            raise FormatError(ERROR, f"{items[0][:40]!r} is none of {', '.join(self._lines)}{hint}")
        line(items[1:])

    def finish(self) -> Trust:
        if self._quorum is None:
            raise FormatError(ERROR, "no quorum line; without witnesses it is `quorum none`")
        quorum = None if self._quorum == NONE else self._quorum
        return Trust(
            tuple(self._logs), self._witnesses, self._groups, quorum, tuple(self._roots), self._urls
        )  # fmt: skip

    def _log(self, items: list[str]) -> None:
        _expect(items, 1, 2, "log VKEY [URL]")
        key = _key(items[0], ED25519)
        if not _LOG_NAME.fullmatch(key.name):
            raise FormatError(ERROR, f"log {key.name!r} is not named FLEET/PLATFORM, without an incarnation")
        if any(key.public_key == other.public_key or key.name == other.name for other in self._logs):
            raise FormatError(ERROR, f"log {key.name} or its key stands twice")
        self._logs.append(key)

    def _witness(self, items: list[str]) -> None:
        _expect(items, 2, 3, "witness NAME VKEY [URL]")
        name = self._new_name(items[0])
        key = _key(items[1], COSIGNATURE_V1)
        if any(key.public_key == other.public_key for other in self._witnesses.values()):
            raise FormatError(ERROR, f"the key of witness {name} stands twice")
        self._witnesses[name] = key
        if items[2:]:
            self._urls[name] = items[2]

    def _group(self, items: list[str]) -> None:
        _expect(items, 3, None, "group NAME all|any|K NAME...")
        name, threshold, *members = items
        self._new_name(name)
        for member in members:
            if not self._is_defined(member):
                raise FormatError(ERROR, f"{member[:40]!r} is not defined above")
            if member in self._grouped:
                raise FormatError(ERROR, f"{member} is a member twice, so that it would count twice")
            self._grouped.add(member)
        counts = {"all": len(members), "any": 1}
        if threshold not in counts and not _COUNT.fullmatch(threshold):
            raise FormatError(ERROR, f"{threshold[:40]!r} is neither all nor any nor a number")
        count = counts.get(threshold) or int(threshold)
        if count > len(members):
            raise FormatError(ERROR, f"{count} of {len(members)} members can never be met")
        self._groups[name] = Group(count, tuple(members))

    def _set_quorum(self, items: list[str]) -> None:
        _expect(items, 1, 1, "quorum NAME|none")
        if self._quorum is not None:
            raise FormatError(ERROR, "a second quorum line")
        if items[0] != NONE and not self._is_defined(items[0]):
            raise FormatError(ERROR, f"{items[0][:40]!r} is not defined above")
        self._quorum = items[0]

    def _root(self, items: list[str]) -> None:
        _expect(items, 1, 1, "root VKEY")
        key = _key(items[0], ED25519)
        if any(key.public_key == other.public_key for other in self._roots):
            raise FormatError(ERROR, f"the key of root {key.name} stands twice")
        self._roots.append(key)

    def _new_name(self, name: str) -> str:
        if name == NONE or self._is_defined(name):
            raise FormatError(ERROR, f"{name[:40]!r} is defined already")
        return name

    def _is_defined(self, name: str) -> bool:
        return name in self._witnesses or name in self._groups


def _expect(items: list[str], least: int, most: int | None, form: str) -> None:
    if len(items) < least or (most is not None and len(items) > most):
        raise FormatError(ERROR, f"not written as {form}")


def _key(text: str, algorithm: int) -> VerifierKey:
    key = VerifierKey.parse(text)
    if key.algorithm != algorithm:
        raise FormatError(ERROR, f"key {key.name} is of type {key.algorithm:#04x}, here it must be {algorithm:#04x}")
    return key
