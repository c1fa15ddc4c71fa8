"""Power cuts while claims are given up: what is gone was announced, and what was announced goes.

The sweeper's child is traced with the recorder; see `test_crash_states`.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import work
from tests.faults.lives import FORGETS, LONG_PARTS, NO_FILLING, NO_SYNC, Lives, said

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

SHORT_STATES = 60
# In the second life: what is done to the two segments that are sealed by then, or beside them.
_IN_SEALED = r"/0000000[12](\.tmp)?(/[a-z.]+)?$"


@pytest.fixture(scope="module")
def erasing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """Rolls, a deletion entry, kill -9, a restart that carries it out and then another deletion, a stop."""
    base = tmp_path_factory.mktemp("erasing")
    lives = Lives(base, **work.GIVES_UP)
    lives.live(work.life_that_announces, signal.SIGKILL, prelude=work.IN_HASTE)
    lives.live(work.life_that_erases, signal.SIGTERM, prelude=work.IN_HASTE)
    yield lives
    shutil.rmtree(base)


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_takes_no_claims_but_those_that_were_announced(erasing: Lives, journaled: bool) -> None:
    """A sample around deletions: what is gone is named by a durable deletion entry, and what one names goes with the next sweep."""
    outcome = erasing.judged(journaled=journaled, states=SHORT_STATES, after=NO_FILLING)
    print(said(outcome))
    assert outcome.failed == 0, said(outcome)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_every_crash_state_of_a_deletion(
    erasing: Lives, journaled: bool, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with all of them."""
    outcome = erasing.judged(journaled=journaled, thorough=True, part=(part, LONG_PARTS))
    with capsys.disabled():
        print(f"\n{said(outcome)}")
    assert outcome.failed == 0, said(outcome)


# Python for the sweeper's child, which is a fresh interpreter.
_IN_CHILD = "from recorder.daemon import sweeper; sweeper._PROGRAM = {!r} + sweeper._PROGRAM"
_RENAMES_UNSYNCED = _IN_CHILD.format(f"""
{NO_SYNC}
from recorder.store import erase
def cut(data, size):
    with data.open("r+b") as file:
        file.truncate(size)
erase._cut = cut
""")
_ERASES_FIRST = """
from recorder.daemon.room import Room
from recorder.daemon.sweeper import Sweeper
start, tick = Sweeper.start, Room.tick
def to_its_end(self, order):
    start(self, order)
    self._child.wait()
Sweeper.start = to_its_end
Room.tick = lambda self, now_s, write: tick(self, now_s, lambda: None)
"""


@pytest.mark.parametrize(
    ("prelude", "shown"),
    [
        (_RENAMES_UNSYNCED, r"is damaged|is cut short|has no data\.mdb"),
        (_ERASES_FIRST, "are gone and no deletion entry names them"),
        (FORGETS.format("ERASE"), "names entries that keep their claims"),
    ],
    ids=["renames before it syncs", "erases before it announces", "forgets what it announced"],
)
def test_the_states_show_a_recorder_that_erases_wrongly(tmp_path: Path, prelude: str, shown: str) -> None:
    """A deletion that is broken on purpose is found out."""
    brief = Lives(tmp_path, **work.GIVES_UP)
    brief.live(work.life_that_announces, signal.SIGKILL, prelude=work.IN_HASTE)
    brief.begin_here()
    brief.live(work.life_that_erases, signal.SIGTERM, prelude=f"{work.IN_HASTE}\n{prelude}")
    outcome = brief.judged(journaled=True, states=30, after=_IN_SEALED)
    shutil.rmtree(tmp_path)
    assert any(re.search(shown, line) for line in outcome.found), said(outcome)
