"""What `doctor` looks at, one function a check; each says what it saw and what to do."""

from __future__ import annotations

import os
import stat
import time
from contextlib import closing, suppress
from pathlib import Path

import lmdb

from recorder import config as configs
from recorder.audit.source import entry_at, utc_ns_of
from recorder.audit.state import SOCKET, StateSource, open_state
from recorder.cli import checks_machine as machine
from recorder.cli.checks_machine import FAIL, OK, WARN, Finding
from recorder.cli.checks_services import services
from recorder.cli.identity import read_bounded
from recorder.cli.status import status, unwitnessed_warning
from recorder.core.errors import FormatError, LineageError
from recorder.core.keys import SeedSigner
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import TRUST_MAX_BYTES
from recorder.daemon import identity
from recorder.daemon.founding import check_trust
from recorder.daemon.growth import Rate, hours_until_full, space_of
from recorder.daemon.ownforks import own_forks
from recorder.daemon.survey import damage
from recorder.store.configfile import ConfigError
from recorder.store.errors import ForeignStoreError, StoreError
from recorder.store.layout import CONFIG, CURRENT, IDENTITY, LOCK, TRUST, StateLock, lineage_dir, read_current
from recorder.store.segment import Segment
from recorder.store.view import View

HOURS_WARN, HOURS_FAIL = 14 * 24.0, 24.0
MIB = 1024 * 1024
HWMON = Path("/sys/class/hwmon")
MOUNTS = Path("/proc/self/mountinfo")


def examine(state: Path, socket: Path | None = None) -> list[Finding]:
    """All checks, in an order that names a cause before its consequences."""
    opened = store(state, socket or state / SOCKET)
    return [
        machine.page_size(os.sysconf("SC_PAGE_SIZE")),
        configuration(state),
        identity_key(state),
        trust_file(state),
        *services(state),
        directories(state),
        machine.file_system(state.resolve(), MOUNTS.read_text("utf-8", errors="replace")),
        machine.sync_time(state),
        machine.clock(),
        machine.voltage(HWMON, machine.vcgencmd),
        opened,
        *forked(state),
        room(state, socket or state / SOCKET, is_readable=opened.verdict != FAIL),
    ]


def configuration(state: Path) -> Finding:
    """Whether `run` would take it."""
    try:
        config = configs.load(state)
    except ConfigError as error:
        return Finding("configuration", FAIL, str(error), f"correct {state / CONFIG}")
    if not any(controller.actuators for controller in config.controllers):
        return Finding(
            "configuration", WARN, "no [[controller]] names an actuator: nobody may act", f"edit {state / CONFIG}"
        )
    rules = {name: row.on_unavailable for name, row in config.classes.items() if row.gated}
    shown = ", ".join(f"{name} {rule}" for name, rule in rules.items()) or "no gated class"
    return Finding("configuration", OK, f"without a recorder: {shown}")


def identity_key(state: Path) -> Finding:
    """Permissions, and the board that it was made on."""
    try:
        signer = identity.load(state)
    except identity.IdentityError as error:
        advice = "" if ";" in str(error) else "restore it from where it was made, or make a new platform"
        return Finding("identity key", FAIL, str(error), advice)
    owner = (state / IDENTITY).stat().st_uid
    if owner != state.stat().st_uid:
        return Finding(
            "identity key", WARN, f"belongs to uid {owner}, its directory to uid {state.stat().st_uid}",
            f"chown {state.stat().st_uid} {state / IDENTITY}",
        )  # fmt: skip
    bound = "bound to this board" if identity.board_fingerprint() != "-" else "this board shows no serial number"
    return Finding("identity key", OK, f"0600, {bound}{_line_of(state, signer)}")


def _line_of(state: Path, signer: SeedSigner) -> str:
    """What a trust file or a fleet list has to say of it, for whoever has lost what `init` printed."""
    with suppress(ConfigError):  # `configuration` says so
        platform = configs.load(state).platform
        key = VerifierKey.derive(f"{platform.fleet}/{platform.name}", ED25519, signer.public_key)
        return f"; for trust files and fleet lists: log {key}"
    return ""


def trust_file(state: Path) -> Finding:
    """Whether signed policies and credentials can be installed, and that the file is one."""
    path = state / TRUST
    try:
        trust = check_trust(read_bounded(path, TRUST_MAX_BYTES))
    except FileNotFoundError:
        return Finding("trust file", OK, "none: the configured classes are in force, no signed policy can be installed")
    except (FormatError, OSError) as error:
        return Finding("trust file", FAIL, f"{path}: {error}", "put the file right; it has a line `root VKEY`")
    return Finding("trust file", OK, f"takes what descends from {', '.join(root.name for root in trust.roots)}")


def directories(state: Path) -> Finding:
    """Nobody else may write into the state."""
    wrong = []
    for path in (state, state / "lineages", *(state / "lineages").glob("*/segments"), state / CURRENT, state / TRUST):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o022:
            wrong.append(f"{path} {mode:04o}")
    if wrong:
        return Finding("permissions", FAIL, f"others can write: {', '.join(wrong)}", f"chmod -R go-w {state}")
    if not os.access(state, os.W_OK):
        if os.statvfs(state).f_flag & os.ST_RDONLY:
            return Finding("permissions", FAIL, f"{state} lies on a read-only file system", "mount it for writing")
        return Finding("permissions", WARN, f"uid {os.geteuid()} cannot write {state}", "run doctor as its owner")
    return Finding("permissions", OK, f"{state} {stat.S_IMODE(state.stat().st_mode):04o}")


def store(state: Path, socket: Path) -> Finding:
    """Whether the store opens, or a recorder has it open."""
    try:
        current = read_current(state)
        config = configs.load(state)
        identity.load(state)
        lock = StateLock(state)
    except ConfigError:
        return Finding("store", WARN, "not looked at", "correct the configuration first")
    except identity.IdentityError:
        return Finding("store", WARN, "not looked at", "put the identity key right first")
    except StoreError as error:
        return _in_use(state, socket, error)
    try:
        if current is None:
            return Finding("store", OK, "nothing recorded yet")
        lineage = lineage_dir(state, current)
        wrong = damage(state, lineage, f"{config.platform.fleet}/{config.platform.name}/{current}")
    except ForeignStoreError as error:
        return Finding("store", FAIL, str(error))
    finally:
        lock.close()
    if wrong is not None:
        return Finding("store", FAIL, wrong, f"`lineage recover --state {state}` keeps it aside and begins a new one")
    return Finding("store", OK, f"{lineage} opens, its tail is sound")


def _in_use(state: Path, socket: Path, error: StoreError) -> Finding:
    """A recorder runs, or the state cannot be opened at all."""
    if not os.access(state / LOCK, os.W_OK):
        return Finding("store", FAIL, str(error))
    try:
        found = status(state, socket)
    except LineageError as silent:
        found = {"source": "nothing", "trouble": str(silent)}
    if found["source"] != "recorder":
        return Finding("store", FAIL, f"a recorder has it open and does not answer: {found['trouble']}", "restart it")
    if found["store_full"]:
        return Finding(
            "store", FAIL, "full: only what has happened is recorded", "extract, then free room, or allow more to go"
        )
    if found["unwitnessed"]["is_over"]:
        return Finding("store", WARN, unwitnessed_warning(found["unwitnessed"]), "see to the mesh and its witnesses")
    if found["prepare_failure"]:
        return Finding("store", WARN, str(found["prepare_failure"]), "free room")
    return Finding("store", OK, f"a recorder has it open, {found['entries']:,} entries")


def forked(state: Path) -> list[Finding]:
    """Logs of this platform of which two histories are proved."""
    advice = (
        "find the other machine or copy; if the key may be stolen, take it off the fleet's lists and begin a new state"
    )
    return [Finding("forked", FAIL, one.describe(), advice) for one in own_forks(state)]


def room(state: Path, socket: Path, *, is_readable: bool) -> Finding:
    """Free space, and how long it lasts: as a running recorder measures it, else at the rate of this lineage so far."""
    free = space_of(state).free_bytes
    fact = f"{free / MIB:,.0f} MiB free"
    try:
        segment = configs.load(state).store.segment_mib * MIB
        if free < 2 * segment:
            return Finding("room", FAIL, f"{fact}, less than two segments", "free some: a full disk ends the record")
        if not is_readable:  # a damaged store may end the process that reads it
            return Finding("room", OK, fact)
        if read_current(state) is None:
            return Finding("room", OK, f"{fact}, {free // segment:,} segments; nothing recorded yet")
        with closing(open_state(state, socket)) as source:
            if source.is_running:
                page = status(state, socket)["room"]
                per_hour = page["growth_bytes_per_hour"] or 0
                return _lasts(fact, page["left_bytes"], Rate(per_hour * page["measured_s"] // 3600, page["measured_s"]))
            began_ns = utc_ns_of(entry_at(source, 0).raw)
            used = used_bytes(source)
    except (LineageError, OSError, lmdb.Error) as error:
        return Finding("room", WARN, f"{fact}; how long it lasts cannot be told: {error}")
    return _lasts(fact, free - segment, Rate(used, time.time() - (began_ns or 0) / 1e9))


def _lasts(fact: str, left: int, rate: Rate) -> Finding:
    hours = hours_until_full(left, rate)
    if hours is None:
        return Finding("room", OK, f"{fact}; too little was recorded yet to say how long it lasts")
    fact = f"{fact}, {hours / 24:,.1f} days until full at {rate.per_hour / MIB:,.1f} MiB an hour"
    if hours < HOURS_FAIL:
        return Finding("room", FAIL, fact, "extract and free some now")
    if hours < HOURS_WARN:
        return Finding("room", WARN, fact, "extract and free some soon")
    return Finding("room", OK, fact)


def used_bytes(source: StateSource) -> int:
    """Bytes of the pages that segments have used."""
    total = 0
    for _, path in View(source.lineage, with_live=not source.is_running).segments:
        segment = Segment(path, 0, live=False)
        total += segment.map_bytes - segment.free_bytes
        segment.close()
    return total
