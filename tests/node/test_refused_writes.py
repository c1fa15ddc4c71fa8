"""Each call on what the mesh keeps that fails, once and for good: nothing that was not kept is answered, nothing ends.

`test_powercut` has the life that is told here; strace makes one call of it fail at a time, as `tests/faults` does it for
the recorder.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.injected import Failing, in_words
from tests.faults.traced import Call, below, calls, descriptor, strings
from tests.node.test_powercut import Life, lived
from tests.node.witnessjudge import Answered, wrong

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")

CALLS = ("write", "fsync", "rename", "mkdir", "unlink")
ERRORS = ("EIO", "ENOSPC", "EROFS")
LONG_PARTS = 8
STARTS = 2  # in a life; each says once what it cannot keep
SHORT = (("fsync", "standings"), ("write", "forks/"), ("rename", "logs/"))


def _file(call: Call) -> str:
    if call.name in ("rename", "mkdir", "unlink"):
        return strings(call.arguments)[0].decode()
    return descriptor(call.arguments)[1]


def possible(life: Life) -> list[Failing]:
    """The calls of a life on its state, and how they can fail."""
    made = [call for call in calls(life.trace) if call.began and call.name in CALLS]
    counts: Counter[str] = Counter()
    found = []
    for call in made:
        counts[call.name] += 1
        path = below(life.state, _file(call))
        if path is not None:
            found += [
                Failing(call.name, error, counts[call.name], lasting, in_words(path))
                for error in ERRORS
                for lasting in ((False,) if call.name == "write" else (False, True))  # else it could print nothing
            ]
    return found


def tried(base: Path, failing: Failing) -> list[str]:
    """Live with a failing call, then start without; everything that is wrong."""
    when = f"{failing.number}{'+' if failing.lasting else ''}"
    option = ("-e", f"inject={failing.call}:error={failing.error}:when={when}")
    life = lived(base, options=option, may_end=True)
    found = []
    trace = list(calls(life.trace))
    # The first start of all makes directories and takes a list: one that cannot says so and ends, and the next one does.
    if life.ended and failing.call != "mkdir" and any(call.name == "sendto" for call in trace):
        found.append(f"it ended: {life.ended}")
    if not any(call.is_injected and below(life.state, _file(call)) is not None for call in trace if call.name in CALLS):
        found.append("it did not happen")
    if life.unkept and not failing.lasting:
        found.append(f"not kept at the end: {life.unkept}")
    said = Counter(one.split(":")[1] for one in life.said if one.startswith("not kept"))
    if said and max(said.values()) > STARTS:
        found.append(f"said again and again: {life.said}")
    answered = Answered()
    for call in trace:
        if call.began and call.name == "sendto":
            answered.take(strings(call.arguments)[0])
    found += wrong(life.state, answered)
    shutil.rmtree(base)
    return [f"{failing}: {one}" for one in found]


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Failing]]:
    base = tmp_path_factory.mktemp("sound")
    yield possible(lived(base))
    shutil.rmtree(base)


@pytest.mark.parametrize(("call", "place"), SHORT, ids=[f"{call} {place}" for call, place in SHORT])
def test_a_call_that_fails(choices: list[Failing], tmp_path: Path, call: str, place: str) -> None:
    """One of each kind of file, once: it is refused, said, and made good when it is asked for again."""
    chance = random.Random(place)
    some = [one for one in choices if one.call == call and one.place.startswith(place) and not one.lasting]
    assert tried(tmp_path / "life", chance.choice(some)) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_every_call_that_fails(
    choices: list[Failing], tmp_path: Path, part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call, with each error, once and lasting."""
    found = []
    for failing in choices[part::LONG_PARTS]:
        found += tried(tmp_path / "life", failing)
    with capsys.disabled():
        print(f"\n{len(choices[part::LONG_PARTS])} injections, {len(found)} wrong")
    assert found == []
