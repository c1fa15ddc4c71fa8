"""Plays every scenario and prints the table: what was done, and what each honest platform held afterwards.

    python -m tests.node.scenarios.table [PLATFORMS...] [--only NAME]

As root, since it makes network namespaces. PLATFORMS: 2, 8 and 32 if none are named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.node.scenarios.all import PLATFORMS, SCENARIOS


def main() -> None:
    """Print a row for each scenario and number of platforms as soon as it is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("platforms", nargs="*", type=int, default=PLATFORMS)
    parser.add_argument("--only", choices=[one.name for one in SCENARIOS])
    chosen = parser.parse_args()
    print("| scenario | platforms | what was done | what each honest platform held afterwards | s |")
    print("|---|---|---|---|---|")
    failed = False
    for scenario in SCENARIOS:
        if chosen.only not in {None, scenario.name}:
            continue
        for count in chosen.platforms:
            begun_s = time.monotonic()
            with tempfile.TemporaryDirectory() as directory:
                try:
                    done, held = scenario.play(Path(directory), count)
                except AssertionError as error:  # told in its row; the others are still worth knowing
                    done, held = (scenario.act.__doc__ or "").partition("\n")[0], f"FAILED: {str(error)[:300]}"
                    failed = True
            print(f"| {scenario.name} | {count} | {done} | {held} | {time.monotonic() - begun_s:.0f} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
