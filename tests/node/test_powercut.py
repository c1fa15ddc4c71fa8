"""Power cuts between any two system calls on what the mesh keeps: the rule of the witness holds, and a start finds its way.

The life of `witnesslife` is traced, and every state that a cut may leave is built and started on, as `tests/faults`
does it for the recorder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.lives import said
from tests.faults.traced import TRACE_ALL
from tests.node.witnessjudge import judged
from tests.node.witnesslife import founded

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

LONG_PARTS = 8
SHORT_STATES = 40
STEADY = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}  # the same calls each time
_MAIN = "from tests.node.witnesslife import main; main()"


class Life(NamedTuple):
    """A traced one."""

    state: Path
    initial: Path
    trace: Path
    said: list[str]
    unkept: list[str]
    ended: str = ""  # why, where it may have


def lived(base: Path, prelude: str = "", options: tuple[str, ...] = (), *, may_end: bool = False) -> Life:
    """Live under strace; where it may, it ends before its time."""
    base.mkdir(exist_ok=True)
    state = founded(base / "state")
    shutil.copytree(state, base / "initial")
    done = subprocess.run(
        ["strace", "-f", "-qq", *TRACE_ALL, *options, "-o", str(base / "trace"),
         sys.executable, "-c", f"{prelude}\n{_MAIN}", str(state)],
        capture_output=True, text=True, check=False, timeout=300, cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | STEADY,
    )  # fmt: skip
    if may_end and done.returncode:
        return Life(state, base / "initial", base / "trace", [], [], done.stderr)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    return Life(state, base / "initial", base / "trace", printed["said"], printed["unkept"])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """One of a sound process on a sound disk."""
    base = tmp_path_factory.mktemp("witness")
    life = lived(base)
    assert life.unkept == []
    yield life
    shutil.rmtree(base)


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_makes_no_witness_forget(life: Life, journaled: bool) -> None:
    """A sample: what was answered is held, no other history is cosigned, and a start goes on by itself."""
    outcome = judged(*life[:3], journaled=journaled, some=SHORT_STATES)
    print(said(outcome))
    assert outcome.failed == 0, said(outcome)
    assert outcome.tried >= SHORT_STATES // 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_every_power_cut(life: Life, journaled: bool, part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The same with all of them."""
    outcome = judged(*life[:3], journaled=journaled, thorough=True, part=(part, LONG_PARTS))
    with capsys.disabled():
        print(f"\n{said(outcome)}")
    assert outcome.failed == 0, said(outcome)


# Python that breaks the process.
_ANSWERS_FIRST = """
from mesh.node import standings
write = standings.replace_file
standings.replace_file = lambda path, content, mode: path.write_bytes(content)
"""
_NO_SYNC = "import os; os.fsync = lambda _: None"
_NO_NAMES = """
from recorder.store import layout
from mesh.node import standings, forkbook, archivefiles
for one in (layout, standings, forkbook, archivefiles):
    one.sync_dir = lambda _: None
"""
_FORKS_UNSYNCED = """
from mesh.node import unkept
unkept.replace_file = lambda path, content, mode: path.write_bytes(content)
"""


@pytest.mark.parametrize(
    ("prelude", "journaled", "states", "shown"),
    [
        (_ANSWERS_FIRST, True, SHORT_STATES, "were cosigned, held is"),
        pytest.param(_NO_SYNC, False, SHORT_STATES, "were cosigned, held is", marks=pytest.mark.slow),
        pytest.param(_NO_NAMES, True, 400, "were cosigned, held is", marks=pytest.mark.slow),
        pytest.param(_FORKS_UNSYNCED, True, 400, "proof of a fork is gone", marks=pytest.mark.slow),
    ],
    ids=["writes over", "syncs nothing", "syncs no names", "forks are not synced"],
)
def test_the_states_show_a_process_that_keeps_badly(
    tmp_path: Path, prelude: str, journaled: bool, states: int, shown: str
) -> None:
    """One that is broken on purpose is found out."""
    outcome = judged(*lived(tmp_path / "life", prelude)[:3], journaled=journaled, some=states)
    assert any(shown in line for line in outcome.found), said(outcome)
