"""`lineage status`."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from recorder.audit.state import SOCKET
from recorder.cli import output
from recorder.cli.options import json_option, socket_option, state_option
from recorder.client import NotRecorded, Recorder, Unavailable
from recorder.core.errors import Misuse
from recorder.daemon.ownforks import OwnFork
from recorder.daemon.survey import readable
from recorder.daemon.vitals import STATUS_FILE
from recorder.store.errors import StoreError
from recorder.store.layout import StateLock, lineage_dir, read_current

TIMEOUT_MS = 3000
STALE_S = 5.0
SEGMENTS_READ = 2  # the newest, and the one before it where that was only prepared
CLOCK = {0: "unknown", 1: "free-running", 2: "synchronised", 3: "GNSS or signed time"}


@click.command("status", epilog="Example: lineage status --state /var/lib/lineage --json")
@state_option
@socket_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, state: Path | None, socket: Path | None, as_json: bool) -> None:
    """How the recorder does: from itself, else from its status page, else from what it left behind.

    Exit status: 1 where it has gone without a stop, hangs or stands still; 0 where it runs, or was stopped.
    """
    if state is None and socket is None:
        raise Misuse("say which recorder: --state DIR, or --socket PATH")
    found = status(state, socket or (state or Path()) / SOCKET)
    if as_json:
        output.json_text(found)
    else:
        _print(found)
    ctx.exit(int(_is_lost(found)))


def _is_lost(found: dict[str, Any]) -> bool:
    """A stop takes the page away, so an old one is of a recorder that was to run and does not."""
    return (found["source"] == "page" and not found["running"]) or bool(found.get("stalled_s"))


def status(state: Path | None, socket: Path) -> dict[str, Any]:
    """What is known; "source" says from where: recorder, page or store.

    Raises:
        LineageError: nothing at all.

    """
    logging.getLogger("recorder.client").setLevel(logging.CRITICAL)  # why there is no connection stands in "trouble"
    trouble, begun_s = None, time.time()
    if socket.exists():
        try:
            return {"running": True, "source": "recorder", "age_s": 0.0, **_asked(socket)}
        except (Unavailable, NotRecorded) as error:
            trouble = str(error)
    else:
        trouble = f"no socket at {socket}"
    if (page := _page(socket.parent / STATUS_FILE, begun_s)) is not None:
        return {"running": page["age_s"] < STALE_S, "source": "page", "trouble": trouble, **page}
    if state is None:
        raise Misuse(f"{trouble}; --state DIR says what a stopped recorder left behind")
    return {"running": False, "source": "store", "trouble": trouble, **_stored(state)}


def _asked(socket: Path) -> dict[str, Any]:
    client = Recorder(socket, client_name="lineage status", timeout_ms=TIMEOUT_MS)
    try:
        return client.status()
    finally:
        client.close(0)


def _page(path: Path, at_s: float) -> dict[str, Any] | None:
    """The status page, with its age at a time (that of the question, waiting makes it no older); None without one."""
    try:
        with path.open("rb") as file:
            age_s = round(max(0.0, at_s - os.fstat(file.fileno()).st_mtime), 1)
            page = json.loads(file.read(64 * 1024))
    except (OSError, ValueError):
        return None
    return {"age_s": age_s, **page} if isinstance(page, dict) else None


def _stored(state: Path) -> dict[str, Any]:
    """The last entry of a recorder that does not run, read by a child: a damaged store may end who reads it."""
    if not state.is_dir():
        raise StoreError(f"{state} is no state directory: `lineage init --state {state}` makes one")
    current = read_current(state)
    if current is None:
        return {"origin": None, "entries": 0, "head": None, "last_utc": None}
    lock = StateLock(state)
    try:
        found = readable(lineage_dir(state, current), SEGMENTS_READ)
    finally:
        lock.close()
    if found.head is None or found.unreadable:
        why = found.unreadable or "no entry can be read"
        raise StoreError(f"{lineage_dir(state, current)}: {why}; `lineage doctor --state {state}`")
    return {
        "origin": found.origin, "entries": found.size, "head": found.head, "last_utc": _utc(found.head_utc_ns),
    }  # fmt: skip


def _utc(utc_ns: int | None) -> str | None:
    return None if utc_ns is None else datetime.fromtimestamp(utc_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _print(found: dict[str, Any]) -> None:
    if found["source"] == "store":
        if found["head"] is None:
            output.say("not running: nothing was recorded yet")
        else:
            of = f"{found['entries']:,} entries of {found['origin']}"
            output.say(f"not running: last entry {found['head']} at {found['last_utc']}, {of}")
        return
    if found["source"] == "page":
        word = "does not answer" if found["running"] else "has gone, or hangs"
        output.say(f"the recorder {word}; its status page is {found['age_s']:.0f} s old ({found['trouble']})")
    else:
        output.say("running")
    for name, value in _rows(found):
        output.say(f"  {name:<12} {value}")


def _rows(page: dict[str, Any]) -> list[tuple[str, str]]:
    get = page.get
    rows = [
        ("origin", f"{get('origin')}"),
        ("entries", f"{get('entries', 0):,}, head {get('head')}, boot {get('boot')}"),
        ("policy", f"{get('policy') or 'none signed: the configured classes'}"),
        ("open cycles", f"{get('cycles')}"),
        ("actuators", f"{get('actuators')}"),
        ("store", f"{get('segments')} segments, {get('live_free_bytes', 0) / 2**20:.1f} MiB free in the live one"),
        (
            "checkpoint",
            f"of {get('checkpoint_size', 0):,} entries, {get('checkpoint_age_s')} s ago; {_since(page)} since",
        ),
        *_confirmed(page),
        ("clock", _clock(page)),
        *_unwitnessed(page),
        *(("FORKED", OwnFork(**one).describe()) for one in get("forked", [])),
        ("at risk", f"at most {get('at_risk_rows')} rows, {get('at_risk_ms')} ms, of a stream"),
    ]
    rows += room_rows(get("room", {}))
    if get("store_full"):
        rows.append(("WARNING", "the store is full: only what has happened is recorded, as long as the reserve lasts"))
    if get("prepare_failure"):
        rows.append(("WARNING", f"{get('prepare_failure')}; free some room: the live one is the last until then"))
    if get("prepared_replaced"):
        rows.append(("WARNING", f"{get('prepared_replaced')}; is the card wearing out?"))
    if get("stalled_s"):
        rows.append(("WARNING", f"the recorder has stood still for {get('stalled_s')} s"))
    elif (outstanding_s := get("sync_outstanding_s")) and outstanding_s > 1:
        rows.append(("WARNING", f"a sync has been under way for {outstanding_s} s"))
    return rows


def room_rows(room: dict[str, Any]) -> list[tuple[str, str]]:
    """What there is to say of the room on the disk."""
    if not room:
        return []
    limits = f"space_left {size(room['space_left_bytes'])}, admin_space_left {size(room['admin_space_left_bytes'])}"
    actions: dict[str, list[str]] = {}
    for name, action in room["disk_full_action"].items():
        actions.setdefault(action, []).append(name)
    rows = [
        ("room", f"{size(room['free_bytes'])} free, state {room['state']}; {limits}"),
        ("until full", until_full(room)),
        ("when full", "; ".join(f"{action} {', '.join(names)}" for action, names in actions.items())),
    ]
    if room["holds"]:
        rows.append(("holds", f"{len(room['holds'])} in force"))
    if room["erasing"]:
        rows.append(("erasing", f"claims that {room['erasing']} deletion entries name"))
    if room["state"] != "ample":
        rows.append(("WARNING", f"room gets short ({room['state']}): extract, then free some, or allow more to go"))
    if room["halted"]:
        rows.append(("WARNING", f"halted until the recorder is started again: {', '.join(room['halted'])}"))
    if room["failure"]:
        rows.append(("WARNING", f"making room: {room['failure']}"))
    return rows


def until_full(room: dict[str, Any]) -> str:
    """Hours until full in words, with the rate that they rest on."""
    hours = room["hours_until_full"]
    if hours is None:
        return f"cannot be told from {room['measured_s']} s of recording"
    rate = f"{size(room['growth_bytes_per_hour'])} an hour, measured over {room['measured_s'] / 60:.0f} minutes"
    return f"{hours:,.1f} hours at {rate}"


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def _confirmed(page: dict[str, Any]) -> list[tuple[str, str]]:
    """Since the start; before the mesh has asked there is nothing to say."""
    size = page.get("confirmed_size")
    return [] if size is None else [("confirmed", f"up to {size:,} entries by {', '.join(page['confirmed_by'])}")]


def _unwitnessed(page: dict[str, Any]) -> list[tuple[str, str]]:
    """How much no evidence covers, where a mesh is configured or was there."""
    found = page.get("unwitnessed")
    if not found or not (found["covered"] or found["is_over"]):
        return []
    rows = [
        ("unwitnessed", f"{found['entries']:,} entries, {found['seconds']:,.0f} s; {found['covered']:,} are covered")
    ]
    if found["is_over"]:
        rows.append(("WARNING", unwitnessed_warning(found)))
    return rows


def unwitnessed_warning(found: dict[str, Any]) -> str:
    """A sentence about a tail that is over its bound."""
    return (
        f"no witness vouches for the last {found['entries']:,} entries ({found['seconds']:,.0f} s), more than the "
        f"{found['warn_entries']:,} or {found['warn_s']:,.0f} s of [witnesses]; `lineage mesh status`"
    )


def _since(page: dict[str, Any]) -> str:
    return f"{page.get('uncheckpointed_entries', 0):,}"


def _clock(page: dict[str, Any]) -> str:
    error_us = page.get("clock_error_us")
    return CLOCK.get(page.get("clock_quality", 0), "unknown") + ("" if error_us is None else f", within {error_us} µs")
