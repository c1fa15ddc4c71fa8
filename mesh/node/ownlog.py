"""The platform's own log, as the recorder gives it over its socket: heads, entry hashes, and evidence that goes in.

The mesh opens no segment: what it needs of entries it asks for by READ, which the recorder answers when nothing is more
urgent, and only those that came since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mesh.fleetlist import FleetList, Log
from mesh.histories import Told
from mesh.node.places import MeshError
from mesh.node.tree import LogTree
from mesh.node.unkept import Unkept
from recorder.client import Recorder
from recorder.client.commits import checked
from recorder.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from recorder.core.cosignature import CLAIM
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError
from recorder.core.forks import CLAIM as FORK_CLAIM
from recorder.core.forks import ForkProof, fork_of
from recorder.core.kinds import Kind
from recorder.core.merkle import root_at
from recorder.core.message_replies import Compared
from recorder.core.message_replies import Head as Pushed
from recorder.core.message_requests import HEADS_MAX
from recorder.core.messages import Verb
from recorder.core.note import parse_note
from recorder.core.peerheads import CLAIM as PEER_HEADS
from recorder.core.protocol import body_of

CLIENT = "lineage mesh"
TIMEOUT_MS = 5_000
HEARD_MAX = 8192  # hashes that were pushed and not taken into a tree yet


class Head(NamedTuple):
    """A checkpoint of the own log that the tree has reached."""

    head: Checkpoint
    note: bytes
    log: Log


class Run(NamedTuple):
    """One start of the recorder, as far as its client can tell: a greeting is of one start, and of no other."""

    origin: str
    greeted_ns: int  # its CLOCK_BOOTTIME; not its count of boots: an image that is put back counts the same ones again

    @property
    def line(self) -> str:
        """FLEET/PLATFORM."""
        return self.origin.rpartition("/")[0]


class OwnLog:
    """Asks the recorder; used from one thread, and every call may wait for it.

    All raise `Unavailable` and `NotRecorded` of the client, and what they name themselves.
    """

    def __init__(self, socket: Path, logs: Path, fleet: FleetList, say: Callable[[str], None], unkept: Unkept) -> None:
        """Make it; the recorder need not be there yet.

        Args:
            socket: of the recorder.
            logs: where trees are kept.
            fleet: names the own log's key too.
            say: tells a person.
            unkept: told of trees that could not be written.

        """
        self._unkept = unkept
        self._recorder = Recorder(socket, client_name=CLIENT, timeout_ms=TIMEOUT_MS)
        self._logs = logs
        self._fleet = fleet
        self._say = say
        self._trees: dict[str, LogTree] = {}
        self._brought: set[int] = set()  # seqs of our evidence and of peers' heads, for `is_news`
        self._brought_to = ""  # the log that they are in
        self._cosigned: Checkpoint | None = None
        self._heard: tuple[str, int, list[bytes]] = (
            "",
            0,
            [],
        )  # of a log, entry hashes as they were pushed, from a seq on

    def hear(self, origin: str, pushed: Pushed) -> None:
        """Remember hashes that need not be read then; on the event loop (`pushes.Take`)."""
        of, first, hashes = self._heard
        if of != origin or pushed.first != first + len(hashes) or not pushed.hashes or len(hashes) > HEARD_MAX:
            self._heard = (origin, pushed.first, list(pushed.hashes))
        else:
            hashes += pushed.hashes  # in one piece for the other thread, which reads slices

    def run(self) -> Run:
        """Ask which start of the recorder it is that answers."""
        self._recorder.status()
        return self.greeted_by()

    def greeted_by(self) -> Run:
        """Which start it was that answered last."""
        hello = self._recorder.hello
        return Run(hello.origin, hello.mono_ns)

    def compare(self, heads: Sequence[tuple[str, bytes]]) -> bool:
        """Bring heads of this platform as peers hold them: who holds each, and the note.

        Returns:
            True where the log does not lead to all of them: then the recorder goes on as another incarnation.

        """
        for at in range(0, len(heads), HEADS_MAX):
            listed = [list(one) for one in heads[at : at + HEADS_MAX]]
            compared: Compared = body_of(checked(self._recorder.query(Verb.HEADS, listed)), Compared)
            for one in compared.ignored:
                self._say(f"the recorder leaves a head aside: {one}")
            if compared.behind:
                return True
        return False

    def latest(self, *, is_kept: bool = True) -> Head:
        """Ask for a checkpoint, and take in what came up to it; keep how far that is, for the next start.

        Raises:
            MeshError: the fleet list names no such log, or entries and checkpoint do not agree.
            FormatError: the checkpoint is none.

        """
        note = self._recorder.checkpoint()
        origin = parse_checkpoint(parse_note(note).text).origin
        log, platform = self._fleet.log_of(origin), origin.rpartition("/")[0]
        if log is None:
            raise MeshError(
                f"the fleet list names no log {platform}: nobody would cosign it; a newer list has to name it"
            )
        try:
            head = open_checkpoint(note, log.key).checkpoint
        except FormatError as error:
            if error.error != "note_signature":
                raise
            needs = "`lineage doctor` shows the log line that the list needs"
            raise MeshError(
                f"the fleet list has another key for {platform} than its recorder signs with; {needs}"
            ) from error
        tree = self.tree(origin)
        if tree.is_damaged:
            self._say(f"a tile kept of {origin} is damaged; reading all entries again")
            tree.forget()
        if not self._reach(tree, head, is_kept=is_kept):
            self._say(f"the tree kept of {origin} is not the recorder's; reading all entries again")
            tree.forget()
            self._cosigned = None  # an older copy of the store: what was cosigned is no part of it
            self._heard = ("", 0, [])
            if not self._reach(tree, head, is_kept=is_kept):
                raise MeshError(f"the recorder's entries do not lead to its checkpoint of {head.size} entries")
        return Head(head, note, log)

    def tree(self, origin: str) -> LogTree:
        """The tree of an incarnation, as far as it is known here."""
        if origin not in self._trees:
            self._trees[origin] = LogTree(self._logs / origin)
        return self._trees[origin]

    def contradiction(self, latest: Head, told: Told) -> ForkProof | None:
        """Hold a head that somebody tells of our own log against it: None where it is part of it, or larger.

        Raises:
            FormatError: note_signature: our key did not sign it.

        """
        tree = self.tree(latest.head.origin)
        if (
            told.head.size > latest.head.size
            or latest.head.size > tree.size  # it is being made again
            or root_at(tree.reader(), told.head.size) == told.head.root
        ):
            return None
        return fork_of(told.note(latest.log.key), latest.note, tree.reader())

    def is_news(self, head: Checkpoint) -> bool:
        """Whether there is more than was cosigned and our evidence of that: else each round would call for the next."""
        last = self._cosigned
        if last is None or head.origin != last.origin:
            return True
        return head.size > last.size + len(self._brought)

    def cosigned_size(self, origin: str) -> int:
        """Entries of the head that a round with all witnesses had cosigned last; 0 where there was none."""
        last = self._cosigned
        return last.size if last is not None and last.origin == origin else 0

    def boot_entry(self) -> bytes:
        """The entry at seq 0."""
        return self._recorder.read(0).entries[0][0]

    def bring(self, head: Checkpoint, note: bytes, *, is_whole: bool) -> int:
        """Have a checkpoint with its cosignatures recorded as evidence; return the entry's seq.

        Where not all witnesses were asked, the head is still news to the others.
        """
        receipt = self._recorder.append(Kind.EVIDENCE, body={CLAIM: note})
        assert receipt.seq is not None, "an appended entry is durable"
        if is_whole:
            self._cosigned = head
        self._remember(receipt.seq)
        return receipt.seq

    def log_fork(self, text: bytes) -> None:
        """Have a proof about another log recorded as evidence, which is no news of this platform."""
        receipt = self._recorder.append(Kind.EVIDENCE, body={FORK_CLAIM: text})
        assert receipt.seq is not None, "an appended entry is durable"
        self._remember(receipt.seq)

    def log_heads(self, notes: list[bytes]) -> None:
        """Have heads of peers recorded as an observation, which is no news of this platform."""
        receipt = self._recorder.append(Kind.OBSERVATION, body={PEER_HEADS: notes})
        assert receipt.seq is not None, "an appended entry is durable"
        self._remember(receipt.seq)

    def close(self) -> None:
        """Hang up."""
        self._recorder.close()

    def _remember(self, seq: int) -> None:
        """Take an entry as one of ours, in the log that answered; those of one that is over are not in it."""
        origin, last = self._recorder.hello.origin, self._cosigned
        since = last.size if last is not None and last.origin == origin else 0
        held = self._brought if origin == self._brought_to else set()
        self._brought, self._brought_to = {one for one in (*held, seq) if one >= since}, origin

    def _reach(self, tree: LogTree, head: Checkpoint, *, is_kept: bool) -> bool:
        if tree.size > head.size:
            return False  # a store that was put back: what is kept here is of what it lost
        while tree.size < head.size:
            hashes = self._pushed_from(head.origin, tree.size) or [
                entry_hash(raw) for raw, _ in self._recorder.read(tree.size).entries
            ]
            if not hashes:
                raise MeshError(f"the recorder gave no entry {tree.size} of {head.size}")
            tree.append(hashes[: head.size - tree.size])
        if tree.root() != head.root:
            return False
        if is_kept:
            self._unkept.keep(f"tree of {head.origin}", tree.save, again=False)  # the next round comes back to it
        return True

    def _pushed_from(self, origin: str, seq: int) -> list[bytes]:
        of, first, hashes = self._heard
        return hashes[seq - first :] if of == origin and seq >= first else []
