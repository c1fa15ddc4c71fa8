"""What became of what the loops of `bench` gave: as JSON values, and as a table for people."""

from __future__ import annotations

from typing import Any

from recorder.bench.calls import Calls
from recorder.bench.fates import Fate
from recorder.bench.states import FULL
from recorder.cli import output

# keys of `facts`, and their columns
COLUMNS = {
    "verb": "verb",
    "recorder": "recorder",
    "preempted": "preempted",
    "max_alone_us": "max else µs",
    "given": "given",
    "no_room": "no room",
    "stored": "stored",
    "declared_lost": "declared lost",
    "pending": "pending after",
    "adds_up": "adds up",
}


def facts(loop: Calls, fate: Fate) -> dict[str, Any]:
    """One loop."""
    alone_us = loop.max_alone_us
    return {
        "verb": loop.verb,
        "recorder": loop.recorder,
        "count": len(loop.samples.took_s),
        "preempted": loop.preempted,
        "max_alone_us": None if alone_us is None else round(alone_us, 1),
        "given": fate.given,
        "no_room": loop.refused,
        "dropped": loop.after.rows_dropped + loop.after.events_dropped,
        "stored": fate.stored,
        "declared_lost": fate.declared_lost,
        "pending": loop.after.pending,
        "adds_up": fate.adds_up,
        "meanwhile": loop.meanwhile,
    }


def exit_status(loops: list[dict[str, Any]]) -> int:
    """1 where something that was given is neither stored nor declared lost, or is there twice; else 0."""
    return int(not all(one["adds_up"] for one in loops))


def show(loops: list[dict[str, Any]]) -> None:
    """Print what `facts` found."""
    output.say("what became of what the loops at 1 kHz gave, counted in the store at the end")
    output.table(list(COLUMNS.values()), [_cells(one) for one in loops])
    output.say("preempted: calls during which the scheduler ran something else in the loop's place; max else: the rest")
    for one in loops:
        if said := _said(one["recorder"], one["meanwhile"]):
            output.say(f"{one['verb']}, {one['recorder']}: {said}")


def _cells(one: dict[str, Any]) -> list[str]:
    shown = {None: "-", True: "yes", False: "NO"}
    return [shown[one[key]] if one[key] is None or isinstance(one[key], bool) else str(one[key]) for key in COLUMNS]


def _said(recorder: str, meanwhile: dict[str, Any]) -> str:
    if recorder == FULL:
        if meanwhile["ended"]:
            return "the recorder ended and was started again once there was room"
        return f"the recorder stored {meanwhile['entries_meanwhile']:,} entries all the same"
    if not meanwhile:
        return ""
    sent = meanwhile["commits"] + meanwhile["row_messages"] + meanwhile["malformed"]
    said = (
        f"{meanwhile['clients']} clients at nice {meanwhile['nice']} sent {sent:,} messages in",
        f"{meanwhile['seconds']:.1f} s ({sent / meanwhile['seconds']:,.0f}/s, {meanwhile['cpu_s']:.1f} s of CPU):",
        f"{meanwhile['commits']:,} commits, {meanwhile['row_messages']:,} of rows,",
        f"{meanwhile['malformed']:,} malformed; {meanwhile['recorded']:,} recorded, {meanwhile['refused']:,} refused,",
        f"{meanwhile['hung_up']:,} connections closed by the recorder",
    )
    return " ".join(said)
