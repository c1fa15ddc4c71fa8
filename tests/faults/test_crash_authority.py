"""Power cuts under a signed policy: what was installed, spent, used and revoked stays so, and the recorder goes on by it.

See `test_crash_states`; a recorder that trusts roots is judged by `authority` besides.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.daemon.boot import os_boot_id
from tests import fleet
from tests.faults import governed
from tests.faults.lives import FORGETS, LONG_PARTS, NO_FILLING, Lives, said

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

SHORT_STATES = 20
_LIVE = r"/00000001/data\.mdb$"


def _trusting(base: Path) -> tuple[Lives, governed.Authority]:
    """A recorder that trusts the root, before its first life."""
    lives = Lives(base)
    fleet.trusting(lives.state)
    lives.begin_here()
    return lives, governed.authority(lives.state)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """Installations, use, rolls, a newer policy, a revocation; kill -9, more use; kill -9, an OS boot, more use, a stop."""
    base = tmp_path_factory.mktemp("governed")
    lives, held = _trusting(base)
    lives.live(lambda socket: governed.first_life(socket, held), signal.SIGKILL)
    lives.live(lambda socket: governed.later_life(socket, held, os_boot_id()), signal.SIGKILL)
    booted = governed.ANOTHER_OS_BOOT
    lives.live(lambda socket: governed.later_life(socket, held, booted), signal.SIGTERM, prelude=governed.BOOTED)
    yield lives
    shutil.rmtree(base)


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_a_power_cut_changes_nothing_of_authority(lives: Lives, journaled: bool) -> None:
    """A sample: what is known after a start is what the entries say, what goes on is decided by it, and it verifies."""
    outcome = lives.judged(journaled=journaled, states=SHORT_STATES, after=NO_FILLING)
    print(said(outcome))
    assert outcome.failed == 0, said(outcome)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "unordered"])
def test_every_crash_state_under_a_policy(
    lives: Lives, journaled: bool, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with all of them."""
    outcome = lives.judged(journaled=journaled, thorough=True, part=(part, LONG_PARTS), after=NO_FILLING)
    with capsys.disabled():
        print(f"\n{said(outcome)}")
    assert outcome.failed == 0, said(outcome)


_FORGETS_SPENDING = """
from recorder.writer.journal import Journal
write = Journal.write
def written(self):
    self._spending.clear()
    return write(self)
Journal.write = written
"""
_PUTS_IN_FORCE_FIRST = """
from recorder.core.kinds import Kind
from recorder.store.tail import Op
from recorder.writer import install
store = install._store
def stored(context, kind, claim, raw):
    if kind == Kind.POLICY:
        journal = context.journal
        body = journal.family("body", {"text": "a policy comes"})
        journal.draft(Kind.MARK, {11: body.digest}, {11: body.claims})
        journal.move(Op.SIGNED_POLICY, raw)
        journal.write()
        for _ in range(10):  # so that a sample of the states has some of between
            journal.draft(Kind.MARK, {11: body.digest}, {11: body.claims})
            journal.write()
    return store(context, kind, claim, raw)
install._store = stored
"""


@pytest.mark.parametrize(
    ("prelude", "shown"),
    [
        (_FORGETS_SPENDING, "what was spent: known is"),
        (FORGETS.format("NONCE"), "was used, and its grant comes to OK"),
        (FORGETS.format("REVOCATION"), "is revoked, and an opening comes to OK"),
        (_PUTS_IN_FORCE_FIRST, "a start put another policy in force"),
    ],
    ids=["forgets what was spent", "forgets nonces", "forgets revocations", "puts a policy in force before its entry"],
)
def test_the_states_show_a_recorder_that_forgets_authority(tmp_path: Path, prelude: str, shown: str) -> None:
    """A recorder that is broken on purpose is found out."""
    brief, held = _trusting(tmp_path)
    brief.live(lambda socket: governed.brief_life(socket, held), signal.SIGKILL, prelude=prelude)
    outcome = brief.judged(journaled=True, states=20, after=_LIVE)
    shutil.rmtree(tmp_path)
    assert any(re.search(shown, line) for line in outcome.found), said(outcome)
