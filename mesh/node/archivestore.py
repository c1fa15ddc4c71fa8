"""All logs of peers that are kept here, within the room that there is.  Values in, values out; used from one thread."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from mesh.account import Account
from mesh.fleetlist import FleetList, Log
from mesh.histories import Told
from mesh.node.archivefiles import ArchiveFiles
from mesh.node.archiveroom import ArchiveRoom
from mesh.node.forkbook import ForkBook
from mesh.node.incarnations import Incarnations, Summary
from mesh.node.peerlog import Learned, PeerLog
from mesh.node.places import DamagedError, NotKeptError
from mesh.node.saves import Saves
from mesh.ranges import Range
from recorder.core.checkpoint import Checkpoint
from recorder.core.forks import ForkProof
from recorder.core.merkle import empty_root

OPEN_MAX = 64  # archives in memory, some 100 KB each; the others are read again when they are asked for
CLAIMED_MAX = 32_768  # hashes that wait in all archives together, 4 MB of Python objects
GAPS_MAX = 256
TOLD_MAX = 32  # incarnations of one platform of which the archives are told
NOTHING = Learned(moved=False, unproved=[], forks=[])


class ArchiveStore:
    """The archives.  Every call raises OSError of the disk; after one `forget` leaves what is durable."""

    def __init__(
        self,
        directory: Path,
        fleet: FleetList,
        forks: ForkBook,
        room: tuple[float, float],
        say: Callable[[str], None],
        save_s: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read what is kept.

        Args:
            directory: of all archives.
            fleet: whose logs are kept.
            forks: which logs are no longer followed.
            room: MiB of hashes of one platform, and of all.
            say: tells a person.
            save_s: how often `keep` is called.
            now: a monotonic clock, seconds.

        """
        self.saves = Saves(save_s, now)
        self.incarnations = Incarnations(now)
        self.let_go = 0  # times that waiting hashes were dropped because there were too many
        self._directory = directory
        self._fleet = fleet
        self._forks = forks
        self._say = say
        self._open: OrderedDict[str, PeerLog] = OrderedDict()
        self._unread: set[Path] = set()  # of which that was said
        self._known: dict[str, Summary] = {}
        self._room = ArchiveRoom(room, self._known, self._opened, lambda log: self._noted(log, shed=False))
        directory.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(directory.iterdir()):
            self._find(path)

    # --- What there is

    def summaries(self) -> list[Summary]:
        """All archives, by origin."""
        return [self._known[origin] for origin in sorted(self._known)]

    def get(self, origin: str) -> PeerLog:
        """An archive that is kept.

        Raises:
            NotKeptError: there is none.

        """
        if origin not in self._known:
            raise NotKeptError(f"nothing of {origin[:200]!r} is kept here")
        return self._opened(origin)

    def held(self, origin: str) -> Checkpoint:
        """The head up to which a log is proved here; that of no entries where nothing is."""
        known = self._known.get(origin)
        return Checkpoint(origin, 0, empty_root()) if known is None or known.told is None else known.told.head

    def note(self, origin: str) -> bytes:
        """The note of that head; raises NotKeptError where nothing is proved."""
        rung = self.get(origin).archive.proved
        if rung is None:
            raise NotKeptError(f"nothing of {origin} is proved here")
        return rung.note

    def note_held(self, origin: str, size: int) -> bytes:
        """The note of that head; raises NotKeptError where it is of another size by now."""
        if self.size(origin) != size:
            raise NotKeptError(f"{size} entries of {origin} are no longer what is proved here")
        return self.note(origin)

    def gaps(self, origin: str) -> list[Range]:
        """Hashes that are wanting up to the heads that wait; raises NotKeptError."""
        return self.get(origin).archive.gaps(GAPS_MAX)

    def may_follow(self, origin: str) -> bool:
        """Whether more of a log may be taken."""
        log = self._fleet.log_of(origin)
        if log is None or self._forks.is_forked(origin):
            return False
        may_begin = origin in self._known or self.incarnations.may_begin(log.line, origin)
        return may_begin and self.saves.may_take(log.line, origin)

    def disregard(self, origin: str, note: bytes) -> None:
        """Let go of a head that nobody proves."""
        if origin in self._known:
            log = self._opened(origin)
            if any(rung.note == note and rung.head.size > log.archive.size for rung in log.archive.heads):
                log.archive.disregard(note)

    def size(self, origin: str) -> int:
        """Entries of a log that are proved here."""
        known = self._known.get(origin)
        return 0 if known is None else known.size

    def account(self, platform: str) -> Account:
        """What is archived of a platform: sizes, and the head of each that is proved; the latest incarnations first."""
        several = sorted((one for one in self._known.values() if one.line == platform), key=lambda one: -one.ordinal)
        several = [one for one in several if one.told is not None][:TOLD_MAX]
        notes = [self.note(one.origin) for one in several]
        return Account(platform, {one.origin: one.size for one in several}, [], notes)

    # --- Growing

    def learn(self, origin: str, first: int, hashes: Sequence[bytes], notes: Sequence[bytes] = ()) -> Learned:
        """Take claimed hashes, and heads that the log signed; hashes of a log without any head are not kept."""
        if not (notes or origin in self._known) or not self.may_follow(origin):
            return NOTHING
        log = self._opened(origin)
        learned = log.learn(first, hashes, notes)
        self._bound_claimed(log)
        self._noted(log)
        return learned

    def jump(self, origin: str, old: int, note: bytes, proof: Sequence[bytes], partial: Sequence[bytes]) -> None:
        """As `Archive.jump` from `old` entries; durable at once if it may be, since the hashes that it saves are many.

        Raises:
            NotKeptError: more than that is proved by now, or no more of this log is taken.
            FormatError: as `Archive.jump`.

        """
        if not self.may_follow(origin) or self.size(origin) != old:
            raise NotKeptError(f"{old} entries of {origin} are no longer what is proved here")
        log = self._opened(origin)
        log.jump(note, proof, partial)
        self._noted(log)
        if self.saves.may_save_jump(self._known[origin].line):
            self._keep(log)

    def fill(self, origin: str, tiles: Iterable[tuple[int, int, Sequence[bytes]]]) -> int:
        """Take tiles as (level, index, hashes), and let older ones go where there is no room; return how many came.

        Raises:
            FormatError: one leads to no node above it.

        """
        log, taken = self.get(origin), 0
        line = self._known[origin].line
        try:
            for level, index, hashes in tiles:
                if level and not self._room.bound_above(line, 1):
                    raise NotKeptError(f"there is no room for more tiles above the hashes of {line}")
                log.fill(level, index, hashes)
                taken += 1
        finally:
            self._noted(log)
        return taken

    def wanted(self, origin: str, most: int) -> list[tuple[int, int]]:
        """Tiles to pull next; see `PeerLog.wanted`."""
        wanted = self.get(origin).wanted(most, self._room.allowed(origin))
        return wanted if wanted and self.may_follow(origin) else []

    def keep(self) -> bool:
        """Make durable what is here; whether anything had to be written."""
        return sum([self._keep(log) for log in self._open.values()]) > 0

    def forget(self) -> None:
        """After a failed write: what is in memory may not be on the disk, so all is read again from there."""
        self._open.clear()
        self._known.clear()
        for path in sorted(self._directory.iterdir()):
            self._find(path)

    def contradiction(self, told: Told, note: bytes) -> ForkProof | None:
        """Hold a head that the log signed, of at most the proved size, against what is kept; raises NotKeptError."""
        return self.get(told.head.origin).contradiction(told, note)

    # --- Inside

    def _keep(self, log: PeerLog) -> bool:
        is_written = log.keep()
        if is_written:
            self.saves.saved(log.origin)
        return is_written

    def _find(self, path: Path) -> None:
        try:
            self._take(path)
        except DamagedError as error:
            self._say(f"{error}; that archive is pulled again")
        except OSError as error:  # it stays as it is: a start, or a disk that answers again, reads it
            if path not in self._unread:
                self._say(f"cannot read {path}: {error}; that archive is left alone")
            self._unread.add(path)

    def _take(self, path: Path) -> None:
        files = ArchiveFiles(path)
        kept = files.read()
        if kept is None:
            files.remove()  # of one that was never made durable, or whose removal a crash cut off
            return
        log = self._fleet.log_of(kept.origin)
        if log is None or path != self._path(log):
            return  # of a list that is no longer in force; it stays for when it is again
        self._known[kept.origin] = Summary(kept.origin, log.line, kept.ordinal, kept.state.size, 0, (), 0, None, 0)
        try:
            self._opened(kept.origin)
        except OSError:
            del self._known[kept.origin]
            raise

    def _make_room(self, origin: str, line: str) -> None:
        """Have room for another incarnation."""
        several = [one for one in self._known.values() if one.line == line]
        for one in self.incarnations.begin(origin, several, self._forks.is_forked):
            self._opened(one.origin).remove()
            self.saves.saved(one.origin)
            del self._open[one.origin], self._known[one.origin]
            self._say(f"{one.origin}, {one.size:,} entries, is kept no more: {line} has begun too many incarnations")

    def _opened(self, origin: str) -> PeerLog:
        log = self._open.get(origin)
        if log is None:
            listed = self._fleet.log_of(origin)
            assert listed is not None, "only logs of the fleet list are opened"
            if origin not in self._known:
                self._make_room(origin, listed.line)
            ordinal = 1 + max((one.ordinal for one in self._known.values()), default=0)
            log = self._open[origin] = PeerLog(self._path(listed), origin, ordinal, self._say)
            self._noted(log)
            while len(self._open) > OPEN_MAX:
                _, last = next(iter(self._open.items()))
                self._keep(last)
                del self._open[last.origin]
        self._open.move_to_end(origin)
        return log

    def _noted(self, log: PeerLog, *, shed: bool = True) -> None:
        line = self._fleet.log_of(log.origin)
        assert line is not None, "only logs of the fleet list are opened"
        archive = log.archive
        missing = tuple(archive.missing)
        self._known[log.origin] = Summary(
            log.origin,
            line.line,
            log.ordinal,
            archive.size,
            archive.holds,
            missing,
            len(archive.heads),
            log.told(),
            log.above,
        )
        if shed:
            self._room.bound(line.line)

    def _bound_claimed(self, grown: PeerLog) -> None:
        """Hashes that wait are pulled again, so whoever has most of them gives way."""
        while sum(log.archive.waiting for log in self._open.values()) > CLAIMED_MAX:
            others = [log for log in self._open.values() if log is not grown] or [grown]
            max(others, key=lambda log: log.archive.waiting).archive.let_go()
            self.let_go += 1

    def _path(self, log: Log) -> Path:
        """By key, so that what another key signed, which the list no longer names, is not taken for this log."""
        return self._directory / sha256(str(log.key).encode()).hexdigest()
