"""Boot entries of incarnations that this witness followed, in files: held against those that are shown later.

DIRECTORY/HASH   origin, LF, and the entry; HASH: SHA-256 of the origin, hex

A witness follows one line of incarnations of a platform, each of which it cosigned by the boot entry that it was shown.
One that is shown later and follows the same one as any of these, without a word of it, is of another line.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from mesh.node.unkept import Unkept
from recorder.core.splits import SplitProof, split_of


class Boots:
    """Used from one thread.

    How many there are is bounded by how many incarnations are cosigned.  One that cannot be written or read costs a
    proof and no answer: the witness holds to what it cosigned all the same.
    """

    def __init__(self, directory: Path, unkept: Unkept) -> None:
        """Take the directory.

        Args:
            directory: of the files.
            unkept: holds what cannot be written.

        """
        self._directory = directory
        self._unkept = unkept
        unkept.keep(str(directory), self._make, again=True)

    def keep(self, origin: str, boot: bytes) -> None:
        """Keep the boot entry of an incarnation that was followed; verified."""
        self._unkept.put(self._directory / sha256(origin.encode()).hexdigest(), origin.encode() + b"\n" + boot)

    def splits(self, origin: str, boot: bytes) -> Iterator[SplitProof]:
        """Proofs that an incarnation and one that was followed are of two lines; the entry is verified."""
        platform = origin.rpartition("/")[0].encode()
        for path in self._files():
            try:
                name, _, raw = self._unkept.read(path).partition(b"\n")
            except OSError as error:
                self._unkept.failed(str(path), error, path.read_bytes)
                continue
            if name.rpartition(b"/")[0] == platform and (found := split_of((name.decode(), raw), (origin, boot))):
                yield found

    def _files(self) -> list[Path]:
        """Those on the disk, without any that is being written, and those that are not there yet."""
        there = [path for path in self._directory.iterdir() if not path.suffix] if self._directory.is_dir() else []
        return sorted({*there, *(self._directory / name for name in self._unkept.names(self._directory))})

    def _make(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
