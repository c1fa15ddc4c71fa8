"""Whether a state of the mesh is one that it may be found in, by what was answered before: the rule of the witness.

Whatever it finds, the process has to start on it without a person: nothing half is taken for whole or said to be
damaged, nothing that was answered is gone, and everything goes on.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh.node.places import FORKS_LOGGED
from recorder.core.limits import TILE_WIDTH
from recorder.core.merkle import root_of
from tests.faults.judge import KEPT_FINDINGS, Outcome, Plan, chosen, states
from tests.faults.traced import calls
from tests.mesh.fleet import NEXT_ORIGIN, ORIGIN
from tests.node.witnesslife import ARCHIVED, HASHES, HISTORIES, THIRD, Process


class Answered:
    """What a witness has answered; a `replay.Promises`."""

    def __init__(self) -> None:
        self.cosigned: dict[str, tuple[int, str]] = {}  # by origin: entries, and their root in hex
        self.forks: set[str] = set()
        self.fleet = self.run = 0

    def take(self, message: bytes) -> bool:
        """Take one answer."""
        match json.loads(message):
            case ["cosigned", str(origin), int(size), str(root)]:
                self.cosigned[origin] = size, root
            case ["fork", str(name)]:
                self.forks.add(name)
            case ["fleet", int(version)]:
                self.fleet = version
            case ["run", int(run)]:
                self.run = run
            case other:
                raise ValueError(f"nobody answers {other}")
        return True


def wrong(state: Path, answered: Answered) -> list[str]:
    """Start on a state and go on; everything that is wrong."""
    said: list[str] = []
    found: list[str] = []

    def hold(*, that: bool, else_: str) -> None:
        if not that:
            found.append(else_)

    process = Process(state, said.append, lambda *_: None)
    hold(that=not any("damaged" in one or "proves nothing" in one for one in said), else_=f"it says {said}")
    hold(that=process.unkept.told() == [], else_=f"{process.unkept.told()}")
    hold(that=process.fleet.version >= answered.fleet, else_=f"list {answered.fleet} was in force")
    hold(that=process.run > answered.run, else_=f"run {answered.run} was used, now {process.run}")
    hold(that=answered.forks <= set(process.forks.names()), else_="a proof of a fork is gone")
    logged = state / FORKS_LOGGED
    hold(that=not logged.exists() or logged.read_text() == THIRD, else_="which forks were recorded is half there")
    found += [*_forgotten(process, answered), *_archived(process), *_goes_on(process), *_contradicted(process)]
    return found


def _forgotten(process: Process, answered: Answered) -> Iterator[str]:
    """Of what was answered nothing is forgotten."""
    standings = [one for _, one in process.desk.standings()]
    for origin, (size, root) in answered.cosigned.items():
        true = HISTORIES[origin][0]
        assert root == root_of(true[:size]).hex(), "the life itself had two histories cosigned"
        held = next((one.head for one in standings if one.head.origin == origin), None)
        held = held or next((head for one in standings if (head := one.retired_head(origin)) is not None), None)
        if held is None or held.size < size or held.root != root_of(true[: held.size]):
            yield f"{size} entries of {origin} were cosigned, held is {held}"


def _contradicted(process: Process) -> Iterator[str]:
    """Of each log another history is brought, from wherever its thief would begin it."""
    for origin, (_, other, _) in HISTORIES.items():
        for old in (0, *(one.head.size for _, one in process.desk.standings())):
            if (status := process.ask(origin, old, len(other), other)) not in {409, 410, 422}:
                yield f"another history of {origin} is answered by {status}, from {old}"


def _archived(process: Process) -> Iterator[str]:
    size = process.archives.size(ORIGIN)
    if size not in {0, *ARCHIVED}:
        yield f"{size} entries are archived"
    elif size and process.archives.get(ORIGIN).hashes(0, size) != b"".join(HASHES[:size]):
        yield "archived hashes are wrong or gone"
    tree = process.tree
    if tree.root() != root_of(HASHES[: tree.size]):
        yield f"the tree of {tree.size} entries is another one"
    for index in range(tree.size // TILE_WIDTH):
        if tree.tile(0, index) != b"".join(HASHES[index * TILE_WIDTH :][:TILE_WIDTH]):
            yield f"tile {index} is another one"


def _goes_on(process: Process) -> Iterator[str]:
    """The platforms ask again and get what they asked for: nobody has to lend a hand."""
    process.archive(ARCHIVED[1])
    process.reach(len(HASHES))
    if process.archives.size(ORIGIN) != ARCHIVED[1] or process.tree.size != len(HASHES):
        yield "archives or tree do not go on"
    is_over = any(one.head.origin == NEXT_ORIGIN for _, one in process.desk.standings())
    is_forked = process.forks.is_forked(THIRD)
    wanted = [410 if is_over else 200, 409 if is_over else 200, 200, 422 if is_forked else 200]
    got = [process.grow(ORIGIN, 17), process.show(), process.grow(NEXT_ORIGIN, 7), process.grow(THIRD, 20)]
    if got != wanted:
        yield f"it answers {got}, not {wanted}"
    if process.unkept.told():
        yield f"{process.unkept.told()}"


def judged(
    root: Path, initial: Path, trace: Path, *, journaled: bool, thorough: bool = False, some: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> Outcome:  # fmt: skip
    """Build crash states of a life and start on each.

    Args:
        root: where its state lay.
        initial: a copy of that from before.
        trace: of the life.
        journaled: of the disk.
        thorough: see `states.left`.
        some: about so many states, spread over all kinds of moments.
        part: number of this part, number of parts.

    """
    plan = Plan(str(root), str(initial), [str(trace)], journaled=journaled, thorough=thorough, seed=1, states=some)
    traces = [list(calls(trace))]
    numbers, possible, at = chosen(plan, traces, Answered)
    outcome = Outcome(moments=at, possible=possible)
    for number, _, state in states(plan, traces, Answered):
        if (numbers is not None and number not in numbers) or number % part[1] != part[0]:
            continue
        with _scratch() as path:
            state.moment.disk.write_out(path, state.left.kept)
            try:
                found = wrong(path, state.moment.promised)
            except Exception as error:  # noqa: BLE001 -- whatever stops a start is a finding
                found = [f"it does not start: {error!r}"]
        outcome.tried += 1
        if found:
            outcome.failed += 1
            words = f"state {number} (after {state.moment.after}; {state.left.words})"
            outcome.found = [*outcome.found, f"{words}: {' | '.join(found[:4])}"][:KEPT_FINDINGS]
    return outcome


@contextmanager
def _scratch() -> Iterator[Path]:
    shm = Path("/dev/shm")  # nothing here needs a real disk to be right
    base = Path(tempfile.mkdtemp(dir=shm if shm.is_dir() else None))
    try:
        yield base / "state"
    finally:
        shutil.rmtree(base)
