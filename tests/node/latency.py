"""From a durable commit to three cosignatures recorded, by hand.

    python -m tests.node.latency [COMMITS] [PLATFORMS]

Platforms on this machine with the settings of a device, each with a recorder, a mesh process and a network of its own;
needs root and ip(8).
Nothing here is a test: the figures are the machine's, and want a machine with nothing else to do.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from recorder.client import Cycle, Recorder
from recorder.core import cbor
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.claims import disclosed
from recorder.core.cosignature import CLAIM
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.core.note import parse_note
from tests.claims import WHAT, WHO, WHY
from tests.node.figures import running
from tests.node.meshes import Platform
from tests.node.networks import networks

WITNESSES = 3
WITHIN_MS = 1000
ROUNDS_S = 3600.0  # none by interval
PAUSE_S = 0.1  # between commits, give or take
GIVE_UP_S = 10.0


def measured(recorder: Recorder, watch: Recorder, cycle: Cycle) -> tuple[float, float]:
    """One commit: ms until it is durable, and from then until the last of its cosignatures is recorded."""
    pushes = watch.subscribe()
    next(pushes)
    began = time.perf_counter()
    seq = cycle.commit("arm", what=WHAT, witnesses=WITNESSES, within_ms=WITHIN_MS).seq
    heard = durable = time.perf_counter()
    assert seq is not None
    signed: set[bytes] = set()
    while len(signed) < WITNESSES:
        pushed = next(pushes)
        heard = time.perf_counter()
        if heard - durable > GIVE_UP_S:
            raise SystemExit(f"{len(signed)} of {WITNESSES} signed within {GIVE_UP_S} s")
        for raw, claims in recorder.read(pushed.first).entries:
            if decode(raw).header.kind != Kind.EVIDENCE:
                continue
            note = parse_note(disclosed("body", cbor.decode(claims)[11])[CLAIM])
            if parse_checkpoint(note.text).size > seq:
                signed |= {one.key_id for one in note.signatures if len(one.signature) == 72}
    return (durable - began) * 1e3, (heard - durable) * 1e3


def cpu_ms(*processes: int) -> float:
    """User and system time of processes so far."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def processes_of(platform: Platform) -> tuple[int, int]:
    """Recorder and mesh; `ip netns exec` has become the latter."""
    assert platform.recorder is not None
    assert platform.process is not None
    return platform.recorder.process.pid, platform.process.pid


def main(commits: int, platforms: int) -> None:
    with networks(platforms) as names, running(ROUNDS_S, names) as them:
        first: Platform = them[0]
        socket = first.state / "recorder.sock"
        with Recorder(socket, timeout_ms=60_000) as recorder, Recorder(socket, timeout_ms=60_000) as watch:
            cycle = recorder.open_cycle(
                who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], max_commits=10_000, valid_ms=60_000
            )
            recorders, meshes = zip(*map(processes_of, them), strict=True)
            groups = {"recorder": recorders[:1], "mesh": meshes[:1], "a witness": meshes[1:]}
            before = {name: cpu_ms(*group) for name, group in groups.items()}
            found = []
            for _ in range(commits):
                found.append(measured(recorder, watch, cycle))
                time.sleep(PAUSE_S * (0.5 + random.random()))
            spent = {name: (cpu_ms(*group) - before[name]) / commits / len(group) for name, group in groups.items()}
    print("CPU ms a commit: " + ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items()))
    for name, column in (("durable", 0), ("witnessed", 1)):
        values = sorted(one[column] for one in found)
        p = {rank: values[min(len(values) - 1, round(rank / 100 * len(values)))] for rank in (50, 95, 99)}
        print(f"{name:10} ms: " + "  ".join(f"p{rank} {value:.2f}" for rank, value in p.items()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 200, int(sys.argv[2]) if sys.argv[2:] else 4)
