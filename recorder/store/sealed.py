"""The sealed segments of an incarnation, read one at a time while the next one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from recorder.core.tiles import TILE_BITS, tile_path
from recorder.store.errors import StoreDamagedError
from recorder.store.layout import DATA, segment_dir
from recorder.store.segment import Segment


def _untold(_path: Path) -> None:
    """Nobody wants to know."""


class Sealed:
    """Finds entries by bisection over the segments' heads; which segments are sealed is the caller's to say."""

    def __init__(self, lineage: Path, tell: Callable[[Path], None] = _untold) -> None:
        """Open nothing yet.

        Args:
            lineage: directory of the incarnation.
            tell: gets the directory of each segment before it is read, which may end the process.

        """
        self._lineage = lineage
        self._tell = tell
        self._open: dict[int, Segment] = {}  # at most one, by ordinal
        self._file: int | None = None  # of the open one
        self._first_seqs: dict[int, int] = {}

    def close(self) -> None:
        """Let go of the file."""
        while self._open:
            self._open.popitem()[1].close()

    def forget(self, ordinal: int) -> None:
        """A segment was rewritten: read the new file from now on, and let go of the old one's room."""
        if ordinal in self._open:
            self.close()

    def read(self, from_seq: int, until: int, newest: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Seq, entry and claims of each entry from `from_seq` below `until`, without a hole.

        Args:
            from_seq: below `until`.
            until: first seq of the segment after `newest`.
            newest: ordinal of the newest sealed segment.

        Raises:
            StoreDamagedError: a record that cannot be read, or that is not there.

        """
        ordinal = self._holding(from_seq, newest)
        while from_seq < until:
            if ordinal > newest:
                raise StoreDamagedError(f"{self._lineage}: entries {from_seq} to {until - 1} are missing", from_seq)
            segment = self._segment(ordinal)
            for seq, raw, claims in segment.entries(from_seq):
                if seq != from_seq or seq >= until:
                    raise StoreDamagedError(f"{segment.path}: entry {seq} stands where {from_seq} belongs", from_seq)
                yield seq, raw, claims
                from_seq += 1
            ordinal += 1

    def tile(self, level: int, index: int, newest: int) -> bytes:
        """The hashes of a full tile, which lies where its last leaf does.

        Raises:
            StoreDamagedError: it cannot be read, or is not there.

        """
        last = ((index + 1) << TILE_BITS * (level + 1)) - 1
        segment = self._segment(self._holding(last, newest))
        found = segment.tile(level, index)
        if found is None:
            raise StoreDamagedError(f"{segment.path} lacks {tile_path(level, index)}", last)
        return found

    def _holding(self, seq: int, newest: int) -> int:
        low, high = 1, newest
        while low < high:
            middle = (low + high + 1) // 2
            if self._first_seq(middle) <= seq:
                low = middle
            else:
                high = middle - 1
        return low

    def _first_seq(self, ordinal: int) -> int:
        if ordinal not in self._first_seqs:
            segment = self._segment(ordinal)
            head = segment.head()
            if head is None:
                raise StoreDamagedError(f"segment {segment.path} has no head")
            self._first_seqs[ordinal] = head[0]
        return self._first_seqs[ordinal]

    def _segment(self, ordinal: int) -> Segment:
        path = segment_dir(self._lineage, ordinal)
        self._tell(path)
        file = _file_of(path)
        if ordinal not in self._open or file != self._file:
            self.close()  # each maps a whole file: RssFile stays within two segments
            self._open[ordinal], self._file = Segment(path, 0, live=False), file
        return self._open[ordinal]


def _file_of(path: Path) -> int | None:
    """Which file it is: a segment whose claims were erased is another one under the same name."""
    try:
        return (path / DATA).stat().st_ino
    except OSError:  # opening it says what is wrong
        return None
