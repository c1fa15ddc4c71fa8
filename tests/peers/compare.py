"""The recorder beside its peers: same claims, same disk, same minutes, in interleaved rounds.

    python -m tests.peers.compare --seconds 60 --plot tests/peers/compare.png --json /tmp/compare.json

Needs the development packages (`sh configs/setup.sh dev`).  Speeds are printed, never judged: what each writer
promises stands beside its figure, since none of them promises the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from recorder.bench import loads, place
from recorder.bench.acts import ACTUATOR, ROW, WHAT, WHERE
from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import output
from recorder.client import Recorder
from tests.peers.writers import GROUP, BlackBox, Mcap, Promise, Run, Slice, Sqlite, body_of

COMMITS, ROWS = "commits", "rows"
VARIANTS = 64
OURS = "recorder"


class Contender(NamedTuple):
    """One writer of the comparison."""

    name: str
    of: str  # COMMITS or ROWS
    promise: Promise
    run: Run


class Outcome(NamedTuple):
    """What a contender reached: records a second, in each round."""

    name: str
    of: str
    promise: Promise
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Median of the rounds."""
        return median(self.rates)

    def to_json(self) -> dict[str, Any]:
        """As it is."""
        return {**self._asdict(), "promise": self.promise._asdict(), "rate": round(self.rate)}


def commit_claims() -> list[dict[str, Any]]:
    """The claims of commits, as `lineage bench` sends them: numbers differ, keys do not."""
    return [
        {
            "what": {**WHAT, "magnitude": 0.3 + at / 7},
            "where": {**WHERE, "position_m": [0.41 + at / 11, -0.12, 0.73], "velocity_mps": [0.0, 0.1 + at / 13, 0.0]},
        }
        for at in range(VARIANTS)
    ]


def row_bodies() -> list[bytes]:
    """Rows with their times."""
    return [struct.pack("<Q12f", at, *ROW[0], *ROW[1]) for at in range(VARIANTS)]


@contextmanager
def contenders(root: Path) -> Iterator[list[Contender]]:
    """All of them, ready to run, with what they write below `root`."""
    claims = commit_claims()
    bodies, rows = [body_of(one) for one in claims], row_bodies()
    with ExitStack() as stack:
        place.make(root / "state", [ACTUATOR], 64)
        socket = stack.enter_context(short_socket(root))
        recorder = stack.enter_context(RecorderProcess(root / "state", socket, root / "recorder.log"))
        recorder.start()
        ours = [
            _ours(recorder, name, of, load)
            for name, of, load in (
                ("one in flight, Python client", COMMITS, "single"),
                (f"{loads.IN_FLIGHT} in flight, claims whole", COMMITS, "raw_whole"),
                (f"{loads.IN_FLIGHT} in flight, claims by field", COMMITS, "raw_fields"),
                ("rows, Python client", ROWS, "recorded_rows"),
                ("rows, bare client, in bursts", ROWS, "raw_rows"),
            )
        ]
        synced, buffered = "each", "no"
        others: list[tuple[str, str, Promise, Sqlite | Mcap | BlackBox]] = [
            (
                "SQLite WAL FULL, a row", COMMITS, Promise(synced, "each", by_socket=False),
                Sqlite(root / "one.db", bodies, 1, sign_each=True),
            ),
            (
                f"SQLite WAL FULL, groups of {GROUP}", COMMITS, Promise("group", "each", by_socket=False),
                Sqlite(root / "many.db", bodies, GROUP, sign_each=True),
            ),
            (
                f"SQLite WAL FULL, groups of {GROUP}, signed as one", COMMITS, Promise("group", "group", by_socket=False),
                Sqlite(root / "group.db", bodies, GROUP, sign_each=False),
            ),
            (
                "MCAP, synced by chunk", COMMITS, Promise("chunk", "no", by_socket=False),
                Mcap(root / "synced.mcap", bodies, synced=True),
            ),
            (
                "MCAP, unsynced", COMMITS, Promise(buffered, "no", by_socket=False),
                Mcap(root / "unsynced.mcap", bodies, synced=False),
            ),
            (
                "vouch BlackBoxLog, in memory", COMMITS, Promise(buffered, "head", by_socket=False), BlackBox(claims)
            ),
            (
                "MCAP, rows, synced by chunk", ROWS, Promise("chunk", "no", by_socket=False),
                Mcap(root / "rows-synced.mcap", rows, synced=True),
            ),
            (
                "MCAP, rows, unsynced", ROWS, Promise(buffered, "no", by_socket=False),
                Mcap(root / "rows.mcap", rows, synced=False),
            ),
        ]  # fmt: skip
        for *_, writer in others:
            stack.callback(writer.close)
        yield ours + [Contender(name, of, promise, writer.run) for name, of, promise, writer in others]
        recorder.stop()


def _ours(recorder: RecorderProcess, name: str, of: str, load: str) -> Contender:
    def run(seconds: float) -> Slice:
        with Recorder(recorder.path, client_name="compare") as client:
            place.settle(recorder, client)
        found = loads.LOADS[load](recorder.path, seconds)
        return Slice(found.acts, found.took_s)

    signed = "each" if load == "single" else "entry"
    return Contender(f"{OURS}, {name}", of, Promise("each", signed, by_socket=True), run)


def compare(root: Path, rounds: int, seconds: float) -> list[Outcome]:
    """Let each of them write in each round.

    Args:
        root: a directory that is there; what they write stays in it.
        rounds: how many.
        seconds: for all of them together.

    """
    with contenders(root) as all_of_them:
        share_s = seconds / rounds / len(all_of_them)
        for one in all_of_them:
            one.run(share_s / 4)  # warms up; a figure of it is of no use
        reached: dict[str, list[float]] = {one.name: [] for one in all_of_them}
        for _ in range(rounds):
            for one in all_of_them:
                reached[one.name].append(one.run(share_s).rate)
        return [Outcome(one.name, one.of, one.promise, tuple(reached[one.name])) for one in all_of_them]


def show(outcomes: list[Outcome]) -> None:
    """Print a table for commits and one for rows."""
    for of in (COMMITS, ROWS):
        chosen = sorted((one for one in outcomes if one.of == of), key=lambda one: -one.rate)
        output.table(
            (of, "/s", "slowest round", "fastest", "durable", "signed", "acknowledged by socket"),
            [
                (
                    one.name, f"{one.rate:,.0f}", f"{min(one.rates):,.0f}", f"{max(one.rates):,.0f}",
                    one.promise.durable, one.promise.signed, "yes" if one.promise.by_socket else "no",
                )
                for one in chosen
            ],
        )  # fmt: skip
        output.say()


def main() -> None:
    """Compare, print, plot."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for all of them together")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--root", type=Path, help="a new directory on the disk to measure; a temporary one if left out")
    parser.add_argument("--plot", type=Path, help="where to draw it (PNG)")
    parser.add_argument("--json", type=Path, help="where to write it as JSON")
    chosen = parser.parse_args()
    logging.getLogger("recorder.client").setLevel(logging.CRITICAL)  # that a load lags is the measurement
    root = chosen.root or Path(tempfile.mkdtemp(prefix="lineage-compare-"))
    root.mkdir(parents=True, exist_ok=chosen.root is None)
    try:
        outcomes = compare(root, chosen.rounds, chosen.seconds)
    finally:
        shutil.rmtree(root)
    at = datetime.now(UTC).isoformat(timespec="minutes")
    output.say(f"{at}, {chosen.rounds} rounds, {chosen.seconds:.0f} s in all; medians")
    output.say()
    show(outcomes)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"at": at, "outcomes": [one.to_json() for one in outcomes]}, indent=2) + "\n")
    if chosen.plot is not None:
        from tests.peers.plot import plot

        plot(outcomes, at, chosen.plot)


if __name__ == "__main__":
    main()
