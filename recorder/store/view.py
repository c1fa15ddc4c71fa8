"""A read-only view of an incarnation: its sealed segments, and the live one too when no recorder runs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

from recorder.store.errors import StoreDamagedError, StoreError
from recorder.store.layout import DATA, ordinals, segment_dir
from recorder.store.segment import Segment
from recorder.store.store import SEALED_MODE


def holds_entries(lineage: Path) -> bool:
    """Whether anything is stored here: a first start that was cut leaves a segment without a head, which holds nothing.

    Raises:
        StoreError: it cannot be read.

    """
    for ordinal in ordinals(lineage):
        segment = Segment(segment_dir(lineage, ordinal), 0, live=False)
        try:
            if segment.head() is not None and next(segment.records(), None) is not None:
                return True
        finally:
            segment.close()
    return False


class View:
    """Segments opened one at a time, without LMDB's lock: nothing here can hold up a writer."""

    def __init__(self, lineage: Path, *, with_live: bool) -> None:
        """List the segments.

        Args:
            lineage: directory of the incarnation.
            with_live: include the newest segment; only for a caller that holds the state's lock.

        Raises:
            StoreError: no segments, or no permission to read them.

        """
        self._paths: list[Path] = []
        self._first_seqs: list[int] = []
        for ordinal in ordinals(lineage):
            path = segment_dir(lineage, ordinal)
            if with_live or _is_sealed(path):
                segment = Segment(path, 0, live=False)
                head = segment.head()
                segment.close()
                if head is not None:  # else it was only prepared
                    self._paths.append(path)
                    self._first_seqs.append(head[0])
        if with_live and not self._paths:
            raise StoreError(f"{lineage} holds no segments")

    @property
    def segments(self) -> list[tuple[int, Path]]:
        """First seq and directory of each segment that is included, in order."""
        return list(zip(self._first_seqs, self._paths, strict=True))

    def read(self, from_seq: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        """Seq, entry and claims of each entry from `from_seq` on, as far as the view goes.

        Raises:
            StoreDamagedError: a record that cannot be read, naming it.

        """
        at = max(0, bisect_right(self._first_seqs, from_seq) - 1)
        for path in self._paths[at:]:
            segment = Segment(path, 0, live=False)
            try:
                yield from segment.entries(from_seq)
            finally:
                segment.close()


def _is_sealed(path: Path) -> bool:
    try:
        return S_IMODE((path / DATA).stat().st_mode) == SEALED_MODE
    except FileNotFoundError as error:
        raise StoreDamagedError(f"{path} has no {DATA}") from error
