"""The host's parser and link under libFuzzer, by Atheris: `sh configs/firmware.sh` brings it.  LINEAGE_FUZZ_S=600 fuzzes so long."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bridge.emulated import ROOT

ATHERIS = ROOT / "build" / "atheris"
FUZZ_S = int(os.environ.get("LINEAGE_FUZZ_S", "0"))


@pytest.mark.skipif(not (ATHERIS / "atheris").is_dir(), reason="Atheris is not here: sh configs/firmware.sh")
@pytest.mark.timeout(FUZZ_S + 600)
def test_fuzzed(tmp_path: Path) -> None:
    """What it finds within some runs or the seconds asked for, from a session as it should be on: nothing."""
    limits = ["-seed=1", "-max_len=600", "-timeout=60"]
    limits += [f"-max_total_time={FUZZ_S}", "-print_final_stats=1"] if FUZZ_S else ["-runs=200"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bridge.fuzz_host", tmp_path / "corpus", *limits, f"-artifact_prefix={tmp_path}/"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        | {"PYTHONPATH": f"{ATHERIS}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    if FUZZ_S:
        print(*re.findall(r"#\d+\s+DONE .*|stat::\S+ +\d+", done.stderr), sep="\n")
