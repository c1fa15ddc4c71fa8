"""Configuration: `recorder.toml` in the state directory, read once at start; unknown keys are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from recorder.core.errors import Misuse
from recorder.core.kinds import UNCLASSED, UNCLASSIFIED, Kind
from recorder.core.policy_classes import Milliseconds, OnFull, OnUnavailable, faults_between
from recorder.core.quantities import Amount, amount, term_s
from recorder.store.configfile import ConfigError, tables_of, text_at
from recorder.store.layout import CONFIG, CURRENT, IDENTITY, SEGMENT_MIN_BYTES

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Kinds that a controller may append as such; all others come about by verbs of their own or by the recorder itself.
APPENDABLE = {
    kind.name.lower(): kind
    for kind in (
        Kind.CONFIRMATION, Kind.OBSERVATION, Kind.CONTROL_TRANSITION, Kind.EVIDENCE, Kind.EXTRACTION, Kind.MARK,
        Kind.HOLD, Kind.CREDENTIAL, Kind.POLICY, Kind.FAULT,
    )
}  # fmt: skip

_PLACE = re.compile(r"(\w+)(\[(?:\.\.\.|\d+)\])?(?:\.(\w+))?.*")
_WORDS = (
    ("Object contains unknown field", "there is no such key:"), ("Object missing required field", "missing:"),
    ("`object`", "a table"), ("`array`", "a list"), ("`str`", "text"), ("`bool`", "true or false"),
    ("`int`", "a whole number"), ("`float`", "a number"), ("`", ""),
)  # fmt: skip


class Platform(Struct, forbid_unknown_fields=True, frozen=True):
    """Who this recorder is; with the incarnation it makes the origin `<fleet>/<name>/<incarnation>`."""

    fleet: str
    name: str


class StoreSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """Segments."""

    segment_mib: Annotated[int, Meta(ge=SEGMENT_MIN_BYTES >> 20, le=1024)] = 64


class RecorderSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """Keys, checkpoints and grouping."""

    epoch_hours: Annotated[float, Meta(gt=0, le=8760)] = 24.0
    checkpoint_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    rows_window_ms: Annotated[int, Meta(ge=0, le=1000)] = 50
    at_risk_ms: Annotated[int, Meta(ge=10, le=60_000)] = 2000
    require_policy: bool = False  # without a signed policy no cycle of a gated class is opened


class RoomSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """Free space of the file system, in bytes or as a share of it, below which something is given up (auditd.conf)."""

    space_left: int | str = "10%"
    admin_space_left: int | str = "5%"


class WitnessesSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """How much may be without a cosignature, before `status` and `doctor` warn; only where there is a mesh."""

    warn_entries: Annotated[int, Meta(ge=0)] = 100_000
    warn_s: Annotated[float, Meta(ge=0)] = 900.0


class RetentionSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """One retention class; `core.retention.Rule` says what the parts mean."""

    keep: str = "forever"
    max_bytes: int | str | None = None
    rows_may_go: bool = False


class ClassSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """One action class."""

    gated: bool
    on_unavailable: OnUnavailable
    retention: str = "1y"
    claims: Literal["fields", "whole"] = "fields"
    max_commits: Annotated[int, Meta(ge=1)] = 1_000_000
    max_valid_ms: Milliseconds = 60_000
    disk_full_action: OnFull | None = None  # refuse; notify where it is not gated

    @property
    def on_full(self) -> OnFull:
        """What becomes of this class when no room is left (`writer.full`)."""
        return self.disk_full_action or ("refuse" if self.gated else "notify")


class Controller(Struct, forbid_unknown_fields=True, frozen=True):
    """Which local users and groups may act for which actuators, append which kinds, read, and speak as the mesh."""

    uids: list[int] = []
    gids: list[int] = []
    actuators: list[str] = []
    append: list[str] = []
    read: bool = False
    mesh: bool = False  # may say who can witness, and what peers hold of this platform


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    platform: Platform
    classes: dict[str, ClassSettings] = msgspec.field(name="class", default_factory=dict)
    controllers: list[Controller] = msgspec.field(name="controller", default_factory=list)
    recorder: RecorderSettings = RecorderSettings()
    store: StoreSettings = StoreSettings()
    room: RoomSettings = RoomSettings()
    witnesses: WitnessesSettings = WitnessesSettings()
    retention: dict[str, RetentionSettings] = {}


def load(state: Path) -> Config:
    """Read and check a state directory's configuration.

    Raises:
        ConfigError: missing, not TOML, an unknown key, a value out of its range.

    """
    path = state / CONFIG

    def missing() -> str:
        if any((state / name).exists() for name in (IDENTITY, CURRENT)):  # there `lineage init` makes nothing
            return "restore the one that belongs to this state"
        return f"`lineage init --state {state}` makes it"

    return parse(text_at(path, missing), path)


def parse(text: str, path: Path) -> Config:
    """Check a configuration's text; `path` is for messages."""
    raw = tables_of(text, path)
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_worded(str(error), raw)}") from error
    _check(config, path)
    return config


def _worded(said: str, raw: dict[str, Any]) -> str:
    """What msgspec says, in the file's own terms: it writes `$.class[...].gated` and does not tell which class."""
    fact, _, at = said.partition(" - at `$.")
    found = _PLACE.fullmatch(at)
    table, element, key = found.groups() if found is not None else ("", None, None)
    place = f"[{table}]" if table else "at the top level"
    if element == "[...]":
        kind: type[Struct] = ClassSettings if table == "class" else RetentionSettings
        place = next((f"[{table}.{name}]" for name, part in raw[table].items() if not _fits(part, kind)), place)
    elif element:
        place = f"[[{table}]] number {int(element[1:-1]) + 1}"
    if key is not None and fact.startswith("Invalid enum value"):
        fact += f", expected {_choices(key)}"
    for theirs, ours in _WORDS:
        fact = fact.replace(theirs, ours)
    return f"{place}: {f'{key}: ' if key else ''}{fact[:1].lower()}{fact[1:]}"


def _fits(part: object, kind: type[Struct]) -> bool:
    try:
        msgspec.convert(part, kind)
    except msgspec.ValidationError:
        return False
    return True


def _choices(key: str) -> str:
    """The words that a key of a class may have."""
    kind = next(field.type for field in msgspec.structs.fields(ClassSettings) if field.name == key)
    return " or ".join(f'"{word}"' for part in (kind, *get_args(kind)) for word in get_args(part) if type(word) is str)


def _check(config: Config, path: Path) -> None:
    for what, name in (("platform.fleet", config.platform.fleet), ("platform.name", config.platform.name)):
        if not NAME.fullmatch(name):
            raise ConfigError(f"{path}: {what} = {name!r}: lower-case letters, digits, '.', '_' and '-', at most 63")
    if not config.classes:
        raise ConfigError(f"{path}: no [class.NAME]; `lineage init` writes motion, emergency_stop, braking and landing")
    for name, settings in config.classes.items():
        _check_class(name, settings, path)
    _check_room(config, path)
    for controller in config.controllers:
        if not (controller.uids or controller.gids):
            raise ConfigError(f"{path}: a [[controller]] names no uids and no gids, so it permits nobody")
        for kind in controller.append:
            if kind not in APPENDABLE:
                raise ConfigError(f"{path}: append = {kind!r}: one of {', '.join(sorted(APPENDABLE))}")
        for name in controller.actuators:
            if not NAME.fullmatch(name):
                raise ConfigError(
                    f"{path}: actuator {name!r}: lower-case letters, digits, '.', '_' and '-', at most 63"
                )


def _check_class(name: str, settings: ClassSettings, path: Path) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(f"{path}: [class.{name}]: lower-case letters, digits, '.', '_' and '-', at most 63")
    for fault in faults_between(
        name, gated=settings.gated, on_unavailable=settings.on_unavailable, on_full=settings.on_full
    ):
        raise ConfigError(f"{path}: {fault}")


def _check_room(config: Config, path: Path) -> None:
    space, admin = room_of(config, path)
    if (space.share is None) == (admin.share is None) and space.of(1 << 30) < admin.of(1 << 30):
        raise ConfigError(
            f"{path}: room.space_left is below room.admin_space_left: it warns first, so it is the larger"
        )
    used = {settings.retention for settings in config.classes.values()} | {UNCLASSED, UNCLASSIFIED}
    for name, rule in config.retention.items():
        if name not in used:
            raise ConfigError(
                f"{path}: [retention.{name}] is of no class: retention = one of {', '.join(sorted(used))}, "
                f"or correct the name"
            )
        retention_of(rule, f"{path}: retention.{name}")


def room_of(config: Config, path: Path) -> tuple[Amount, Amount]:
    """`space_left` and `admin_space_left`.

    Raises:
        ConfigError: one is no amount.

    """
    found = []
    for name in ("space_left", "admin_space_left"):
        try:
            found.append(amount(getattr(config.room, name)))
        except Misuse as error:
            raise ConfigError(f"{path}: room.{name}: {error}") from None
    return found[0], found[1]


def retention_of(rule: RetentionSettings, place: str) -> tuple[int | None, int | None, bool]:
    """`keep` in seconds, None for ever; `max_bytes`, None without a limit; `rows_may_go`.

    Raises:
        ConfigError: one cannot be read; `place` says where.

    """
    try:
        keep_s = term_s(rule.keep)
    except Misuse as error:
        raise ConfigError(f"{place}.keep: {error}") from None
    try:
        most = None if rule.max_bytes is None else amount(rule.max_bytes).bytes
    except Misuse as error:
        raise ConfigError(f"{place}.max_bytes: {error}") from None
    if rule.max_bytes is not None and not most:
        raise ConfigError(f'{place}.max_bytes = {rule.max_bytes!r}: a number of bytes above 0, such as "4GiB"')
    return keep_s, most, rule.rows_may_go
