"""Boot entries of incarnations that this witness followed, in files: held against those that are shown later.

DIRECTORY/HASH   origin, LF, and the entry; HASH: SHA-256 of the origin, hex

A witness follows one line of incarnations of a platform, each of which it cosigned by the boot entry that it was shown.
One that is shown later and follows the same one as any of these, without a word of it, is of another line.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from recorder.core.splits import BOOT_MAX_BYTES, SplitProof, split_of
from recorder.store.layout import replace_file

FILE_MAX_BYTES = 1_024 + BOOT_MAX_BYTES  # an origin, and an entry


class Boots:
    """Used from one thread.  Raises OSError of the disk.

    How many there are is bounded by how many incarnations are cosigned.  A file that cannot be read proves nothing,
    and is written again by no one: the witness holds to what it cosigned all the same.
    """

    def __init__(self, directory: Path) -> None:
        """Take the directory."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory

    def keep(self, origin: str, boot: bytes) -> None:
        """Keep the boot entry of an incarnation that was followed; verified."""
        replace_file(self._directory / sha256(origin.encode()).hexdigest(), origin.encode() + b"\n" + boot, 0o600)

    def splits(self, origin: str, boot: bytes) -> Iterator[SplitProof]:
        """Proofs that an incarnation and one that was followed are of two lines; the entry is verified."""
        platform = origin.rpartition("/")[0].encode()
        for path in sorted(self._directory.iterdir()):
            if path.suffix:
                continue  # one that was being written
            with path.open("rb") as file:
                name, _, raw = file.read(FILE_MAX_BYTES).partition(b"\n")
            if name.rpartition(b"/")[0] == platform and (found := split_of((name.decode(), raw), (origin, boot))):
                yield found
