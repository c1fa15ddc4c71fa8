"""A life of the mesh's own state, as a program that is traced: every file that it keeps, and what it answers of them.

    python -m tests.node.witnesslife STATE

What is answered goes over a socket, so that it stands in the trace between the calls on the files.  The parts are those
of the process and are called as it calls them; what the disk refuses is asked for again at the end, when it may do
better.  Prints as JSON what a person was told, and what is not kept then.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mesh.exchange import AddCheckpoint
from mesh.fleetlist import make_fleet_list
from mesh.node.archivestore import ArchiveStore
from mesh.node.desk import WitnessDesk
from mesh.node.fleetfile import fleet_in_force, fleet_to_start
from mesh.node.forkbook import ForkBook
from mesh.node.places import ARCHIVES, FLEET, FORKS, FORKS_LOGGED, LOGS, RUN, STANDINGS, TRUST, StoreFailedError
from mesh.node.runs import next_run
from mesh.node.standings import StandingFiles
from mesh.node.tree import LogTree
from mesh.node.unkept import Unkept
from recorder.core.merkle import prove_consistency, root_of
from tests.mesh.fleet import NEXT_ORIGIN, ORIGIN, ROOT, ROOT_KEY, TIME_S, Leaves, hashes, note_of, policy, signer
from tests.mesh.incarnations import born, shown
from tests.mesh.witnessing import COSIGNER, LEAVES, OTHER

THIRD = "acme/cart-1/00112233445566aa"
HASHES = hashes(700)  # of a log that is archived, and of our own
ARCHIVED = (300, 700)
_BEFORE = [(ORIGIN, 17, root_of(LEAVES[:17]))]
SHOWN = shown(_BEFORE)
NEXT = born(_BEFORE)[1]  # entries of the incarnation that is shown
# By origin: the true entries, those of another history that its key signed, and whose key.
HISTORIES = {
    ORIGIN: (LEAVES, OTHER, "acme/arm-7"),
    NEXT_ORIGIN: ([*NEXT, *LEAVES], [*NEXT[:1], *OTHER], "acme/arm-7"),
    THIRD: (LEAVES, OTHER, "acme/cart-1"),
}

Tell = Callable[..., None]


def founded(state: Path) -> Path:
    """What the first start finds."""
    state.mkdir(mode=0o700)
    (state / TRUST).write_bytes(f"root {ROOT_KEY}\nquorum none\n".encode())
    bring(state, 1)
    return state


def bring(state: Path, version: int) -> None:
    """A list is copied there, as a person copies files."""
    (state / FLEET).write_bytes(make_fleet_list("acme", version, policy(), ROOT_KEY.name, ROOT))


class Process:
    """The parts of one start that keep something."""

    def __init__(self, state: Path, say: Callable[[str], None], tell: Tell) -> None:
        """Start; `tell` is told what is answered."""
        self.state = state
        self.tell = tell
        self.unkept = Unkept(say)
        self.fleet, _ = fleet_to_start(state, say)
        self.forks = ForkBook(state / FORKS, self.fleet, say, self.unkept)
        self.store = StandingFiles(state / STANDINGS)
        self.desk = WitnessDesk(self.fleet, self.store, self.forks, COSIGNER, lambda: TIME_S, say)
        self.archives = ArchiveStore(state / ARCHIVES, self.fleet, self.forks, (1.0, 8.0), say)
        self.tree = LogTree(state / LOGS / ORIGIN)
        self.run = next_run(state, lambda: None, self.unkept)
        if RUN not in self.unkept.names(state):
            tell("run", self.run)
        tell("fleet", self.fleet.version)

    def ask(self, origin: str, old: int, size: int, leaves: Sequence[bytes] | None = None) -> int:
        """What `add-checkpoint` answers, by status; `leaves` are the true ones if left out."""
        true, _, platform = HISTORIES[origin]
        chosen = list(true if leaves is None else leaves)
        proof = prove_consistency(Leaves(chosen), old, size) if old <= size else []
        note = note_of(chosen[:size], origin, signer(f"identity {platform}"))
        return self._answered(lambda: self.desk.add_checkpoint(AddCheckpoint(old, tuple(proof), note).encode()).status,
                              origin, chosen[:size])  # fmt: skip

    def show(self) -> int:
        """The same of `add-incarnation`."""
        return self._answered(lambda: self.desk.add_incarnation(SHOWN.encode()).status, NEXT_ORIGIN, NEXT)

    def grow(self, origin: str, size: int) -> int:
        """Have a head cosigned from whatever size is held, as a submitter does; the last status."""
        held = {one.head.origin: one.head.size for _, one in self.desk.standings()}
        return self.ask(origin, min(held.get(origin, 0), size), size)

    def archive(self, size: int) -> None:
        """Hashes and a head of a peer's log, then made durable; after an error as `Archives` goes on."""
        try:
            held = self.archives.size(ORIGIN)
            if held < size:
                self.archives.learn(ORIGIN, held, HASHES[held:size], [note_of(HASHES[:size])])
            self.archives.keep()
        except OSError:
            with suppress(OSError):  # the next attempt finds what it finds
                self.archives.forget()

    def reach(self, size: int) -> None:
        """Entries of our own log."""
        self.tree.append(HASHES[self.tree.size : size])
        self.unkept.keep("tree", self.tree.save, again=False)

    def _answered(self, judge: Callable[[], int], origin: str, leaves: Sequence[bytes]) -> int:
        try:
            status = judge()
        except StoreFailedError as error:
            self.unkept.failed("what this witness holds", error, self.store.probe)
            status = 503
        if status == 200:
            self.tell("cosigned", origin, len(leaves), root_of(list(leaves)).hex())
        if self.forks.are_kept():
            for name in self.forks.names():
                self.tell("fork", name)
        return status


def live(state: Path, say: Callable[[str], None], tell: Tell) -> Process:
    """Heads of two platforms, an incarnation that follows, a fork, a newer list, an archive, the own tree; two starts."""
    one = Process(state, say, tell)
    one.grow(ORIGIN, 5)
    one.grow(THIRD, 12)
    one.archive(ARCHIVED[0])
    one.reach(300)
    one.grow(ORIGIN, 17)
    bring(state, 2)
    with suppress(OSError):  # it stays the one before
        tell("fleet", fleet_in_force(state).version)
    two = Process(state, say, tell)
    two.ask(ORIGIN, 17, 17)
    two.show()
    two.archive(ARCHIVED[1])
    two.reach(600)
    two.ask(THIRD, 12, 12, OTHER)
    two.unkept.put(state / FORKS_LOGGED, THIRD.encode())
    two.grow(NEXT_ORIGIN, 7)
    return two


def again(process: Process) -> list[str]:
    """Ask once more for all of it; what is still not kept."""
    process.unkept.retry()
    process.archive(ARCHIVED[1])
    process.reach(600)
    process.grow(ORIGIN, 17)
    process.show()
    process.grow(NEXT_ORIGIN, 7)
    process.ask(THIRD, 12, 12, OTHER)
    process.unkept.retry()
    return process.unkept.told()


def main() -> None:
    """Live, and print what came of it."""
    said: list[str] = []
    here, there = socket.socketpair()

    def tell(*what: object) -> None:
        here.send(json.dumps(what).encode())
        there.recv(1 << 16)

    process = live(Path(sys.argv[1]), said.append, tell)
    again(process)  # in which a call may be the one that fails
    left = again(process)
    print(json.dumps({"said": said, "unkept": left}))


if __name__ == "__main__":
    main()
