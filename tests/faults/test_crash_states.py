"""Power cuts: every state of the files that one may leave between two calls, or inside of one, is a state to go on from.

A recorder's life is run under strace; its calls are played again on a model of a disk that loses, reorders and tears what was not
synced; what it leaves is opened with the recorder's own recovery.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults import work
from tests.faults.judge import Outcome, Plan
from tests.faults.traced import Traced
from tests.running import lineage_of, make_state

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

SHORT_STATES = 200
LONG_PARTS = 12
ERASING_STATES = 90
# All calls but those that fill the next segment with zeros, which are the most by far.
_ERASING = r"^(?!pwrite64 of 262144 |fdatasync of .*\.tmp/data\.mdb$)"
SECOND_OF_TWO = r"segments/00000002/data\.mdb"


class Lives:
    """Runs of one state directory, each under strace."""

    def __init__(self, base: Path, **settings: str) -> None:
        self._base = base
        self.state = make_state(base / "state", checkpoint_s=3600, **settings)
        self._initial = base / "initial"
        self._traces: list[str] = []
        self.begin_here()

    def begin_here(self) -> None:
        """Take what is there now as durable, and forget the runs before."""
        shutil.rmtree(self._initial, ignore_errors=True)
        shutil.copytree(self.state, self._initial)
        self._traces.clear()

    def live(self, story: Callable[[Path], None], end: signal.Signals, *, prelude: str = "") -> None:
        """Run a recorder while `story` uses its socket, then end it."""
        trace = self._base / f"trace{len(self._traces)}"
        place = self._base / "run"
        place.mkdir(exist_ok=True)
        with Traced(self.state, place / "socket", trace, prelude=prelude) as traced:
            assert traced.records, traced.said
            story(place / "socket")
            assert traced.stop(end) == (-end if end == signal.SIGKILL else 0), traced.said
        self._traces.append(str(trace))

    def judged(self, **plan: Any) -> Outcome:
        """Build crash states and open them."""
        made = Plan(
            root=str(self.state),
            initial=str(self._initial),
            traces=self._traces,
            **{"thorough": False, "seed": 1} | plan,
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.judge"],
            input=msgspec.json.encode(made), capture_output=True, check=False, cwd=Path(__file__).parents[2], env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        outcome = msgspec.json.decode(done.stdout, type=Outcome)
        assert outcome.tried > 0, "no state was tried: the test shows nothing"
        return outcome


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """A first start, commits, checkpoint, rolls, kill -9, a restart, more commits, a stop."""
    base = tmp_path_factory.mktemp("lives")
    lives = Lives(base)
    lives.live(lambda socket: work.first_life(socket, fill=True), signal.SIGKILL)
    lives.live(work.later_life, signal.SIGTERM)
    yield lives
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def erasing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """Rolls, a deletion entry, kill -9, a restart that carries it out and then another deletion, a stop."""
    base = tmp_path_factory.mktemp("erasing")
    lives = Lives(base, **work.GIVES_UP)
    lives.live(work.life_that_announces, signal.SIGKILL, prelude=work.IN_HASTE)
    lives.live(work.life_that_erases, signal.SIGTERM, prelude=work.IN_HASTE)
    yield lives
    shutil.rmtree(base)


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Lives]:
    """A state whose runs the test makes; short ones."""
    yield Lives(tmp_path)
    shutil.rmtree(tmp_path)


def _said(outcome: Outcome) -> str:
    return (
        f"{outcome.tried} of {outcome.possible} crash states at {outcome.moments} moments, {outcome.failed} failed\n"
        + "\n".join(outcome.found)
    )


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_loses_nothing_that_was_acknowledged(lives: Lives, journaled: bool) -> None:
    """A sample of all crash states, some of every kind: the recorder starts, all that it promised is there, once, and verifies."""
    outcome = lives.judged(journaled=journaled, states=SHORT_STATES)
    print(_said(outcome))
    assert outcome.failed == 0, _said(outcome)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_every_crash_state(lives: Lives, journaled: bool, part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The same with all of them: every subset of few pending changes, many of more, and many ways to tear a write."""
    outcome = lives.judged(journaled=journaled, thorough=True, part=(part, LONG_PARTS))
    with capsys.disabled():
        print(f"\n{_said(outcome)}")
    assert outcome.failed == 0, _said(outcome)


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_takes_no_claims_but_those_that_were_announced(erasing: Lives, journaled: bool) -> None:
    """A sample around deletions: what is gone is named by a durable deletion entry, and what one names goes with the next sweep."""
    outcome = erasing.judged(journaled=journaled, states=ERASING_STATES, after=_ERASING)
    print(_said(outcome))
    assert outcome.failed == 0, _said(outcome)


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
        print(f"\n{_said(outcome)}")
    assert outcome.failed == 0, _said(outcome)


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_while_an_older_copy_is_answered(brief: Lives, journaled: bool) -> None:
    """A store that was put back begins a new incarnation; cut anywhere in that, it begins again or goes on, and says so once."""
    brief.live(work.later_life, signal.SIGTERM)
    segments = lineage_of(brief.state) / "segments"
    image = shutil.copytree(segments, brief.state.parent / "image")
    brief.live(work.later_life, signal.SIGTERM)
    shutil.rmtree(segments)
    shutil.copytree(image, segments)
    brief.begin_here()
    brief.live(work.later_life, signal.SIGKILL)
    outcome = brief.judged(journaled=journaled, states=60)
    assert outcome.failed == 0, _said(outcome)


_NO_SYNC = "import lmdb; opened = lmdb.open; lmdb.open = lambda *a, **k: opened(*a, **{**k, 'sync': False})"
_NO_META_SYNC = _NO_SYNC.replace("'sync'", "'metasync'")
_ANSWER_FIRST = """
from recorder.store.segment import Segment
commit, held = Segment.put, []
def later(self, puts):
    held.append((self, puts))
    while len(held) > 1:
        commit(*held.pop(0))
Segment.put = later
"""


@pytest.mark.parametrize(
    "prelude",
    [_NO_SYNC, _NO_META_SYNC, _ANSWER_FIRST],
    ids=["no sync", "no sync of LMDB's root", "answers before it writes"],
)
def test_the_states_show_a_recorder_that_breaks_its_word(brief: Lives, prelude: str) -> None:
    """A recorder that is broken on purpose is found out: this suite can fail."""
    brief.live(lambda _: None, signal.SIGTERM)
    brief.live(work.later_life, signal.SIGKILL, prelude=prelude)
    outcome = brief.judged(journaled=True, states=60)
    assert outcome.failed > 0
    assert any("was acknowledged and is gone" in line for line in outcome.found), _said(outcome)


# Python for the sweeper's child, which is a fresh interpreter.
_IN_CHILD = "from recorder.daemon import sweeper; sweeper._PROGRAM = {!r} + sweeper._PROGRAM"
_RENAMES_UNSYNCED = _IN_CHILD.format(f"""
{_NO_SYNC}
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
_FORGETS = """
from recorder.store.tail import Op
from recorder.writer.journal import Journal
move = Journal.move
def moved(self, *operation):
    if operation[0] == Op.ERASE:
        self.tail.apply(list(operation))
    else:
        move(self, *operation)
Journal.move = moved
"""


@pytest.mark.parametrize(
    ("prelude", "shown"),
    [
        (_RENAMES_UNSYNCED, r"is damaged|is cut short|has no data\.mdb"),
        (_ERASES_FIRST, "are gone and no deletion entry names them"),
        (_FORGETS, "names entries that keep their claims"),
    ],
    ids=["renames before it syncs", "erases before it announces", "forgets what it announced"],
)
def test_the_states_show_a_recorder_that_erases_wrongly(tmp_path: Path, prelude: str, shown: str) -> None:
    """A deletion that is broken on purpose is found out."""
    brief = Lives(tmp_path, **work.GIVES_UP)
    brief.live(work.life_that_announces, signal.SIGKILL, prelude=work.IN_HASTE)
    brief.begin_here()
    brief.live(work.life_that_erases, signal.SIGTERM, prelude=f"{work.IN_HASTE}\n{prelude}")
    outcome = brief.judged(journaled=True, states=40, after=_ERASING)
    shutil.rmtree(tmp_path)
    assert any(re.search(shown, line) for line in outcome.found), _said(outcome)


def test_a_power_cut_between_the_head_of_a_segment_and_its_first_record(lives: Lives) -> None:
    """A roll by filling up, cut after the new head is durable and before the record is: the recorder starts all the same."""
    outcome = lives.judged(journaled=True, after=rf"^chmod of .*{SECOND_OF_TWO}$")
    assert outcome.failed == 0, _said(outcome)


def test_a_power_cut_in_a_first_start(lives: Lives) -> None:
    """Cut before the first segment has its head, when nothing was recorded yet: the next start begins anew."""
    outcome = lives.judged(journaled=True, after=r"^rename of lineages/[0-9a-f]{16}/segments/00000001\.tmp$")
    assert outcome.failed == 0, _said(outcome)


def test_a_power_cut_leaves_older_segments_sealed(lives: Lives) -> None:
    """Cut right after a roll: the older segment is open to readers of the group after the next start."""
    outcome = lives.judged(journaled=True, after=r"^chmod of .*/00000001/data\.mdb$")
    assert outcome.failed == 0, _said(outcome)


def test_the_names_above_a_lineage_are_durable(lives: Lives) -> None:
    """On a disk that keeps no order, the first commit is promised only once every name on the way to it is synced."""
    outcome = lives.judged(
        journaled=False, after=r"^fsync of lineages/[0-9a-f]{16}$"
    )  # a checkpoint, after some commits
    assert outcome.failed == 0, _said(outcome)
