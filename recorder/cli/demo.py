"""`lineage demo`."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.audit.carried import BundleSource
from recorder.audit.check import check_source
from recorder.audit.extract import extract
from recorder.audit.source import Held, kind_of
from recorder.audit.state import open_state
from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import demo_bridge, demo_incident, demo_mesh, demo_screen, output
from recorder.cli.checks import used_bytes
from recorder.cli.options import json_option
from recorder.cli.telling import Telling
from recorder.client import Recorder
from recorder.core import ids
from recorder.core.entry import decode, entry_hash
from recorder.core.errors import LineageError, Misuse
from recorder.core.kinds import Commit, Decision, Kind, Rows
from recorder.core.trust import parse_trust
from recorder.daemon.founding import Answers, check_free, found

if TYPE_CHECKING:
    from hwsim import ArmReport, Flight, ReplayReport

SEED = 1
RATE_HZ = 200
SEGMENT_MIB = 16
FLEET, PLATFORM = "demo", "cell-1"
BUNDLE, TRUST, LOG = "demo.lineage", "fleet.trust", "recorder.log"


class DemoError(LineageError):
    """The demo cannot run here; the message says what is missing."""


@click.command("demo", epilog="Example: lineage demo --seconds 20 --state /tmp/demo --flight flight.ulg")
@click.option("--seconds", type=click.FloatRange(min=1), default=10.0, show_default=True, help="Of arm and flight.")
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="To make; a temporary one if left out.")
@click.option("--flight", type=click.Path(path_type=Path), metavar="FILE.ulg", help="A PX4 log; else a shipped one.")
@click.option("--incident", is_flag=True, help="Instead, an arm that goes beyond its delegation under a signed policy.")
@click.option("--bridge", is_flag=True, help="Instead, a motor controller with its own key on a serial line.")
@click.option("--mesh", is_flag=True, help="Instead, four platforms that witness each other; one lies, one is lost.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    seconds: float,
    state: Path | None,
    flight: Path | None,
    incident: bool,
    bridge: bool,
    mesh: bool,
    as_json: bool,
) -> None:
    """See it work: a recorder, a simulated arm and a replayed flight, then extraction and verification.

    Everything goes the way that production goes: a recorder in a process of its own, the client over its socket.  The
    state directory stays, so that you can look around in it.
    """
    told = [
        one for one, is_wanted in ((demo_incident, incident), (demo_bridge, bridge), (demo_mesh, mesh)) if is_wanted
    ]
    if len(told) > 1:
        raise Misuse("--incident, --bridge and --mesh are stories of their own: name one")
    loaded = None if mesh else _flight(flight)
    if state is not None:
        check_free(state)
    root = state or Path(tempfile.mkdtemp(prefix="lineage-demo-")) / "state"
    try:
        with Telling() as tell:
            facts = told[0].run(root, tell) if loaded is None or told else _run(root, seconds, loaded, tell)
    except (KeyboardInterrupt, SystemExit):
        if state is None:
            shutil.rmtree(root.parent, ignore_errors=True)
        raise
    if as_json:
        output.json_text(facts)
    else:
        (told[0] if told else demo_screen).show(facts)
    ctx.exit(facts["exit_status"])


def _flight(path: Path | None) -> Flight:
    try:
        from hwsim import DEFAULT_FLIGHT, UnreadableFlight, load_flight  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        raise DemoError(
            f"the demo needs the simulator, and with it {error.name}: pip install 'lineage-recorder[sim]'"
        ) from None
    try:
        return load_flight(path or DEFAULT_FLIGHT)
    except UnreadableFlight as error:
        raise Misuse(str(error)) from None


def _run(state: Path, seconds: float, flight: Flight, tell: Callable[[str], None]) -> dict[str, Any]:
    from hwsim import ARM_ACTUATORS, FLIGHT_ACTUATORS  # noqa: PLC0415 -- found to be there by _flight

    actuators = [*ARM_ACTUATORS, *FLIGHT_ACTUATORS]
    answers = Answers(FLEET, PLATFORM, "hold", [os.getuid()], actuators, SEGMENT_MIB)
    key = found(state, answers)
    (state / TRUST).write_text(f"log {key}\nquorum none\n")
    bundle = state / BUNDLE
    with short_socket(state) as socket, RecorderProcess(state, socket, state / LOG) as recorder:
        started_s = recorder.start()
        arm, replay = _drive(socket, seconds, flight, tell)
        memory = recorder.memory_kib()
        tell("extracting from the running recorder")
        began = time.monotonic()
        with closing(open_state(state, socket)) as source:
            extracted = extract(source, bundle, None, None, utc_ns=time.time_ns())
        extracted_s = time.monotonic() - began
        tell("verifying the extracted file")
        began = time.monotonic()
        with closing(BundleSource(bundle)) as source:
            report = check_source(source, trust=parse_trust((state / TRUST).read_bytes()))
        verified_s = time.monotonic() - began
        stopped = recorder.stop()
    tell("looking at what was stored")
    stored = _stored(state)
    latencies = sorted([*arm.commit_latency_ms, *replay.commit_latency_ms])
    records = arm.commits + replay.commits + arm.rows + replay.rows
    return {
        "state": str(state),
        "bundle": str(bundle),
        "trust": str(state / TRUST),
        "flight": replay.flight,
        "happened": {
            "seconds": round(max(arm.wall_s, replay.wall_s), 2),
            "entries": stored["entries"],
            "cycles": arm.cycles + replay.cycles,
            "commits": arm.commits + replay.commits,
            "rows": arm.rows + replay.rows,
            "events": arm.events + replay.events,
            "refusals": arm.refused + replay.refused,
            "gaps": arm.gaps + replay.gaps,
            "put_off": arm.rejected,
            "emergency_stops": arm.stops,
            "dropped_rows": arm.dropped_rows + replay.dropped_rows,
            "unavailable": arm.unavailable + replay.unavailable,
            "kinds": stored["kinds"],
        },
        "measured": {
            "commit_p50_ms": _rank(latencies, 50),
            "commit_p99_ms": _rank(latencies, 99),
            "records_per_s": round(records / max(arm.wall_s, replay.wall_s), 1),
            "stored_bytes": stored["bytes"],
            "bytes_per_commit": round(stored["bytes"] / max(1, records), 1),
            "start_s": round(started_s, 3),
            "rss_anon_kib": memory["RssAnon"],
            "extract_s": round(extracted_s, 3),
            "bundle_bytes": extracted.bytes,
            "verify_s": round(verified_s, 3),
        },
        "verdicts": report.to_json(),
        "ids": stored["ids"],
        "recorder_exit_status": stopped,
        # Gaps are no failure here: the flight's log has dropouts, and the point is that they are declared.
        "exit_status": 1 if stopped or report.exit_status() == 1 else 0,
    }


def _drive(socket: Path, seconds: float, flight: Flight, tell: Callable[[str], None]) -> tuple[ArmReport, ReplayReport]:
    """The arm and the flight at once, each with a client of its own as two controllers would."""
    from hwsim import run_arm, run_replay  # noqa: PLC0415 -- found to be there by _flight

    given_up = threading.Event()

    def go_on(_report: ArmReport | ReplayReport) -> None:
        if given_up.is_set():
            raise DemoError("the demo was ended")

    def on_arm(report: ArmReport) -> None:
        done = f"{report.rows} rows and {report.commits} commits of the arm"
        go_on(report)
        tell(f"recording: {report.wall_s:.0f} of {seconds:.0f} s, {done}")

    def arm() -> ArmReport:
        with Recorder(socket, client_name="demo arm") as client:
            return run_arm(client, seconds=seconds, seed=SEED, rate_hz=RATE_HZ, on_progress=on_arm)

    def replay() -> ReplayReport:
        with Recorder(socket, client_name="demo flight") as client:
            return run_replay(client, flight, seconds=seconds, on_progress=go_on)

    with ThreadPoolExecutor(2, "demo") as pool:
        running = pool.submit(arm), pool.submit(replay)
        try:
            return running[0].result(), running[1].result()
        except BaseException:
            given_up.set()  # else the pool waits for them to the end
            raise


def _stored(state: Path) -> dict[str, Any]:
    """What lies in the store once the recorder has stopped: counts, bytes, and ids to look at."""
    kinds: Counter[str] = Counter()
    shown: dict[str, str] = {}
    with closing(open_state(state)) as source, closing(source.read(0)) as entries:
        for held in entries:
            name = _name(kind_of(held.raw))
            kinds[name] += 1
            if name in ("actuation", "cycle", "gap", "refusal"):
                _note_id(shown, name, held)
    with closing(open_state(state)) as source:  # anew: a segment is opened once at a time
        used = used_bytes(source)
    return {"entries": kinds.total(), "kinds": dict(kinds.most_common()), "bytes": used, "ids": shown}


def _name(kind: int | None) -> str:
    try:
        return Kind(kind or 0).name.lower()
    except ValueError:
        return "unknown"


def _note_id(shown: dict[str, str], name: str, held: Held) -> None:
    """Remember the first commit, row, event, cycle, gap and refusal."""
    if name != "actuation":
        shown.setdefault(name, str(ids.entry_id(entry_hash(held.raw), held.seq)))
        return
    if {"commit", "row", "event"} <= shown.keys():
        return
    header = decode(held.raw).header
    commit = header.commits[0] if header.commits else None
    if isinstance(commit, Rows):
        shown.setdefault("row", str(ids.entry_id(entry_hash(held.raw), held.seq, 0, 0)))
    elif isinstance(commit, Commit):
        which = "event" if header.decision == Decision.UNGATED else "commit"
        shown.setdefault(which, str(ids.entry_id(entry_hash(held.raw), held.seq, 0)))


def _rank(values: list[float], percent: float) -> float | None:
    """Nearest rank of sorted values."""
    return round(values[ceil(percent / 100 * len(values)) - 1], 3) if values else None
