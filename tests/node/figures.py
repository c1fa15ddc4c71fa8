"""Figures of the mesh, measured by hand, as root, on a machine that does nothing else.

    python -m tests.node.figures rest PLATFORMS INTERVAL_S [--seconds N] [--switch]
    python -m tests.node.figures attacked [--seconds N]

`rest`: CPU share and RssAnon of each mesh process, and traffic of each platform, while every platform records something and
has a checkpoint cosigned by all others each INTERVAL_S. On the kernel's bridge; with --switch on the user-space one, which
tells traffic by protocol and costs time itself.

`attacked`: the median commit of a recorder on one core, with its mesh and all else on the other, first at rest and then with
the mesh flooded by digests, connections, ghosts and names; what was committed is there afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from recorder.client import Recorder, Unavailable
from tests.claims import WHAT, WHO, WHY
from tests.node.meshes import Platform, checked, start, write_list
from tests.node.networks import DEVICE, networks, switched
from tests.node.scenarios.attacks import memory_mib
from tests.node.scenarios.world import World, submission_url, world

WITNESSES_NEEDED = 3
SETTLING_S = 5.0
COMMITS_A_CYCLE = 20  # a cycle lasts for a second at most
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(platform: Platform) -> float:
    """Processor time of the mesh process so far."""
    assert platform.process is not None
    fields = Path(f"/proc/{platform.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def traffic_bytes(platform: Platform) -> tuple[int, int]:
    """Sent and received on the platform's device so far."""
    said = subprocess.check_output(["ip", "-n", platform.network, "-j", "-s", "link", "show", "dev", DEVICE])
    counts = json.loads(said)[0]["stats64"]
    return counts["tx"]["bytes"], counts["rx"]["bytes"]


@contextmanager
def running(interval_s: float, names: Sequence[str]) -> Iterator[list[Platform]]:
    """Platforms with the settings of a device, but for the interval of checkpoints."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as undo:
        platforms = [Platform(Path(directory), at, name) for at, name in enumerate(names)]
        for one in platforms:
            undo.callback(one.stop)
            one.configure("submit", interval_s=interval_s)
            one.configure("digest", interval_s=5.0)
        write_list(platforms, needed=min(WITNESSES_NEEDED, len(names) - 1))
        start(platforms)
        yield platforms


def rest(count: int, interval_s: float, seconds: float, *, by_protocol: bool) -> None:
    """Print a row for the least, the median and the most of all platforms."""
    with ExitStack() as undo:
        switch = undo.enter_context(switched(count)) if by_protocol else None
        names = undo.enter_context(networks(count)) if switch is None else switch.names
        platforms = undo.enter_context(running(interval_s, names))
        stop = threading.Event()
        marker = threading.Thread(target=_mark, args=(platforms, interval_s, stop))
        marker.start()
        time.sleep(SETTLING_S)
        counts = None if switch is None else switch.counts()["ports"]
        before = [(cpu_s(one), *traffic_bytes(one)) for one in platforms]
        cosigned = [sum(peer["cosigned"] for peer in one.status()["peers"]) for one in platforms]
        begun_s = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - begun_s
        after = [(cpu_s(one), *traffic_bytes(one)) for one in platforms]
        shares = [100 * (now[0] - then[0]) / took_s for then, now in zip(before, after, strict=True)]
        sent, received = (
            [(now[at] - then[at]) / took_s / 1000 for then, now in zip(before, after, strict=True)] for at in (1, 2)
        )
        got = [sum(peer["cosigned"] for peer in one.status()["peers"]) for one in platforms]
        each = [(now - then) / took_s for then, now in zip(cosigned, got, strict=True)]
        if counts is not None and switch is not None:
            _print_protocols(counts, switch.counts()["ports"], took_s)
        memory = [memory_mib(one) for one in platforms]
        stop.set()
        marker.join()
    print(f"{count} platforms, a checkpoint every {interval_s:g} s, {took_s:.0f} s; of each: least, median, most")
    for name, values, unit in (
        ("cosignatures", each, "/s"),
        ("CPU", shares, "% of a core"),
        ("RssAnon", memory, "MiB"),
        ("sent", sent, "kB/s"),
        ("received", received, "kB/s"),
    ):
        print(f"  {name:13}{min(values):8.1f}{statistics.median(values):8.1f}{max(values):8.1f} {unit}")


def _print_protocols(then: dict[str, Any], now: dict[str, Any], took_s: float) -> None:
    for way in ("from", "to"):
        names = sorted({name for port in now.values() for name in port[way]})
        for name in names:
            octets = [now[port][way].get(name, (0, 0))[1] - then[port][way].get(name, (0, 0))[1] for port in now]
            print(f"  {way:5}{name:6}{statistics.median(octets) / took_s / 1000:8.2f} kB/s, median of platforms")


def _mark(platforms: Sequence[Platform], interval_s: float, stop: threading.Event) -> None:
    while not stop.wait(interval_s):
        for one in platforms:
            one.mark()


def attacked(seconds: float) -> None:
    """Print the recorder's median commit at rest and under attack."""
    os.sched_setaffinity(0, {1})  # and what is started from here on: platforms, the switch, the attack
    with tempfile.TemporaryDirectory() as directory, world(Path(directory), 4, prepare=_submit_often) as here:
        recorder = here.platforms[0].recorder
        assert recorder is not None
        _pin(recorder.process.pid, {0})
        here.settle()
        calm = _committed(here.platforms[0], seconds)
        hosts = [one.address for one in here.platforms]
        ghosts = submission_url(here.platforms[0])
        here.add_outside(20)
        each = str(seconds + SETTLING_S)
        with _attacks(
            here, [("slow", "7171", *hosts), ("flood", each, ghosts), ("digests", each, "4"), ("names", each)]
        ):
            time.sleep(SETTLING_S)  # the digests are heard first
            loud = _committed(here.platforms[0], seconds)
        time.sleep(SETTLING_S)
        after = _committed(here.platforms[0], seconds)
        platform = here.platforms[0]
        report = checked(platform)
        print(
            f"recorder of one of 4 platforms on a core of its own, {seconds:g} s each; commit, ms: median, p99, most, number"
        )
        for name, times in (("at rest", calm), ("mesh under attack", loud), ("at rest again", after)):
            late_s = statistics.quantiles(times, n=100)[98]
            middle_s = statistics.median(times)
            print(f"  {name:20}{1000 * middle_s:7.2f}{1000 * late_s:7.2f}{1000 * max(times):8.2f}{len(times):8}")
        made = len(calm) + len(loud) + len(after)
        print(f"  ratio of medians {statistics.median(loud) / statistics.median(calm + after):.2f}")
        print(f"  commits made {made}, in the lineage {report.commits}; integrity {report.integrity}")
        print(f"  the mesh: {memory_mib(platform):.0f} MiB; {platform.status()['digests']['received']}")


def _submit_often(here: World) -> None:
    here.platforms[0].configure("submit", interval_s=1.0)


@contextmanager
def _attacks(here: World, wanted: Sequence[Sequence[str]]) -> Iterator[None]:
    with ExitStack() as undo:
        attacks = [undo.enter_context(here.under_attack(*one)) for one in wanted]
        yield
        for one in attacks:
            one.communicate(timeout=240)


def _committed(platform: Platform, seconds: float) -> list[float]:
    """Commit one after the other from a process of its own on the recorder's core; seconds that each took."""
    socket = str(platform.state / "recorder.sock")
    program = ["-m", "tests.node.figures", "commits", socket, str(seconds)]
    said = subprocess.check_output(["taskset", "-c", "0", sys.executable, *program], text=True)
    times: list[float] = json.loads(said)
    return times


def commits(socket: Path, seconds: float) -> None:
    """Print how long each durable commit took."""
    times = []
    with Recorder(socket, timeout_ms=60_000) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with client.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"]) as cycle:
                for _ in range(COMMITS_A_CYCLE):
                    begun_s = time.perf_counter()
                    with suppress(Unavailable):  # too late: its time counts as it is, and the entry is there or not
                        cycle.commit("arm", what=WHAT)
                    times.append(time.perf_counter() - begun_s)
    print(json.dumps(times))


def _pin(process: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    resting = verbs.add_parser("rest")
    resting.add_argument("platforms", type=int)
    resting.add_argument("interval_s", type=float)
    resting.add_argument("--seconds", type=float, default=20.0)
    resting.add_argument("--switch", action="store_true")
    attack = verbs.add_parser("attacked")
    attack.add_argument("--seconds", type=float, default=10.0)
    committing = verbs.add_parser("commits")  # for `attacked`
    committing.add_argument("socket", type=Path)
    committing.add_argument("seconds", type=float)
    chosen = parser.parse_args()
    if chosen.verb == "rest":
        rest(chosen.platforms, chosen.interval_s, chosen.seconds, by_protocol=chosen.switch)
    elif chosen.verb == "attacked":
        attacked(chosen.seconds)
    else:
        commits(chosen.socket, chosen.seconds)


if __name__ == "__main__":
    main()
