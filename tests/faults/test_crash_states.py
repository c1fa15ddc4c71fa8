"""Power cuts: every state of the files that one may leave between two calls, or inside of one, is a state to go on from.

A recorder's life is run under strace; its calls are played again on a model of a disk that loses, reorders and tears what was not
synced; what it leaves is opened with the recorder's own recovery.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import work
from tests.faults.lives import LONG_PARTS, NO_SYNC, Lives, said
from tests.running import lineage_of

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

SHORT_STATES = 200
SECOND_OF_TWO = r"segments/00000002/data\.mdb"


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """A first start, commits, checkpoint, rolls, kill -9, a restart, more commits, a stop."""
    base = tmp_path_factory.mktemp("lives")
    lives = Lives(base)
    lives.live(lambda socket: work.first_life(socket, fill=True), signal.SIGKILL)
    lives.live(work.later_life, signal.SIGTERM)
    yield lives
    shutil.rmtree(base)


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Lives]:
    """A state whose runs the test makes; short ones."""
    yield Lives(tmp_path)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_loses_nothing_that_was_acknowledged(lives: Lives, journaled: bool) -> None:
    """A sample of all crash states, some of every kind: the recorder starts, all that it promised is there, once, and verifies."""
    outcome = lives.judged(journaled=journaled, states=SHORT_STATES)
    print(said(outcome))
    assert outcome.failed == 0, said(outcome)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_every_crash_state(lives: Lives, journaled: bool, part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The same with all of them: every subset of few pending changes, many of more, and many ways to tear a write."""
    outcome = lives.judged(journaled=journaled, thorough=True, part=(part, LONG_PARTS))
    with capsys.disabled():
        print(f"\n{said(outcome)}")
    assert outcome.failed == 0, said(outcome)


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
    assert outcome.failed == 0, said(outcome)


_NO_META_SYNC = NO_SYNC.replace("'sync'", "'metasync'")
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
    [NO_SYNC, _NO_META_SYNC, _ANSWER_FIRST],
    ids=["no sync", "no sync of LMDB's root", "answers before it writes"],
)
def test_the_states_show_a_recorder_that_breaks_its_word(brief: Lives, prelude: str) -> None:
    """A recorder that is broken on purpose is found out: this suite can fail."""
    brief.live(lambda _: None, signal.SIGTERM)
    brief.live(work.later_life, signal.SIGKILL, prelude=prelude)
    outcome = brief.judged(journaled=True, states=60)
    assert outcome.failed > 0
    assert any("was acknowledged and is gone" in line for line in outcome.found), said(outcome)


def test_a_power_cut_between_the_head_of_a_segment_and_its_first_record(lives: Lives) -> None:
    """A roll by filling up, cut after the new head is durable and before the record is: the recorder starts all the same."""
    outcome = lives.judged(journaled=True, after=rf"^chmod of .*{SECOND_OF_TWO}$")
    assert outcome.failed == 0, said(outcome)


def test_a_power_cut_in_a_first_start(lives: Lives) -> None:
    """Cut before the first segment has its head, when nothing was recorded yet: the next start begins anew."""
    outcome = lives.judged(journaled=True, after=r"^rename of lineages/[0-9a-f]{16}/segments/00000001\.tmp$")
    assert outcome.failed == 0, said(outcome)


def test_a_power_cut_leaves_older_segments_sealed(lives: Lives) -> None:
    """Cut right after a roll: the older segment is open to readers of the group after the next start."""
    outcome = lives.judged(journaled=True, after=r"^chmod of .*/00000001/data\.mdb$")
    assert outcome.failed == 0, said(outcome)


def test_the_names_above_a_lineage_are_durable(lives: Lives) -> None:
    """On a disk that keeps no order, the first commit is promised only once every name on the way to it is synced."""
    outcome = lives.judged(
        journaled=False, after=r"^fsync of lineages/[0-9a-f]{16}$"
    )  # a checkpoint, after some commits
    assert outcome.failed == 0, said(outcome)
