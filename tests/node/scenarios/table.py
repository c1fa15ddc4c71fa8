"""Plays every scenario and prints the table: what was done, and what each honest platform held afterwards.

    python -m tests.node.scenarios.table [PLATFORMS...] [--only NAME...] [--one-fleet]

As root, since it makes network namespaces. PLATFORMS: 2, 8 and 32 if none are named. With --one-fleet one fleet of each
size lives through all that begin alike, one after the other; seconds are then without its start.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.node.scenarios.all import PLATFORMS, SCENARIOS
from tests.node.scenarios.world import IMPATIENT_S, Scenario, Told, world


def main() -> None:
    """Print a row for each scenario and number of platforms as soon as it is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("platforms", nargs="*", type=int, default=PLATFORMS)
    parser.add_argument("--only", nargs="+", choices=[one.name for one in SCENARIOS])
    parser.add_argument("--one-fleet", action="store_true")
    chosen = parser.parse_args()
    scenarios = [one for one in SCENARIOS if chosen.only is None or one.name in chosen.only]
    print("| scenario | platforms | what was done | what each honest platform held afterwards | s |")
    print("|---|---|---|---|---|")
    play = one_fleet if chosen.one_fleet else each_its_own
    failed = sum(play(scenarios, count) for count in chosen.platforms)
    sys.exit(failed > 0)


def each_its_own(scenarios: Sequence[Scenario], count: int) -> int:
    """Play each with a fleet of its own; how many failed."""
    failed = 0
    for one in scenarios:
        with tempfile.TemporaryDirectory() as directory:
            failed += row(one, count, partial(one.play, Path(directory), count))
    return failed


def one_fleet(scenarios: Sequence[Scenario], count: int) -> int:
    """Play those that begin with the same preparations with one fleet; how many failed."""
    failed = 0
    alike: dict[Any, list[Scenario]] = {}
    for one in scenarios:
        alike.setdefault((one.prepare, one.dishonest), []).append(one)
    for (prepare, dishonest), group in alike.items():
        with (
            tempfile.TemporaryDirectory() as directory,
            world(Path(directory), count + dishonest, prepare=prepare, timeout_s=IMPATIENT_S) as here,
        ):
            for one in group:
                failed += row(one, count, partial(one.act, here))
                here.switch.heal()  # one that failed may have left it as it was
    return failed


def row(scenario: Scenario, count: int, play: Callable[[], Told]) -> bool:
    """Print how it went; whether it failed, which is told, since the others are still worth knowing."""
    begun_s = time.monotonic()
    try:
        done, held = play()
        has_failed = False
    except AssertionError as error:
        done, held, has_failed = scenario.told, f"FAILED: {str(error)[:300]}", True
    print(f"| {scenario.name} | {count} | {done} | {held} | {time.monotonic() - begun_s:.0f} |", flush=True)
    return has_failed


if __name__ == "__main__":
    main()
