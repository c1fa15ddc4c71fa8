"""How many entries a second are verified, on all cores, against bare checks of as many signatures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from recorder.audit.check import check_source
from recorder.audit.state import open_state
from recorder.bench import floors, place
from recorder.bench.acts import ACTUATOR
from recorder.bench.figure import Figure, rates
from recorder.bench.filling import filling, write_some
from recorder.bench.process import ProcessError

ENTRIES_A_SECOND = 2000  # about: how many entries make the time that was asked for
FLOOR_S = 0.2
MEASURE = "verify"


def measure(state: Path, segment_mib: int, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """Write entries, and verify them as `lineage verify` does.

    Args:
        state: to make.
        segment_mib: size of a segment.
        rounds: how many.
        seconds: for all of them, about.
        tell: what is going on.

    Raises:
        ProcessError: what was written does not verify.

    """
    place.make(state, [ACTUATOR], segment_mib)
    tell("writing entries to verify")
    with filling(state) as journal:
        while journal.tail.size < seconds / rounds * ENTRIES_A_SECOND:
            write_some(journal)
    cores = len(os.sched_getaffinity(0))
    reached, floor = [], []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: verifying")
        floor.append(floors.verifications_s(FLOOR_S) * cores)
        began = time.perf_counter()
        with closing(open_state(state)) as source:
            report = check_source(source)
        reached.append(report.entries / (time.perf_counter() - began))
        if report.integrity != "pass":
            raise ProcessError(f"what was written does not verify: {report.problems[:1]}")
    return [rates(MEASURE, f"on {cores} cores", "entries/s", reached, "signature checks alone", floor)]
