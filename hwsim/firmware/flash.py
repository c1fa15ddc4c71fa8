"""What outlives a device's reset: the seed of its key, and the count of its boots."""

from __future__ import annotations

import os
from pathlib import Path

from recorder.core.keys import SeedSigner

SEED_BYTES = 32


class UnreadableFlash(Exception):
    """The file is none that was written here; the message says which."""


class Flash:
    """A page of memory; a file of a seed and a boot number, or of nothing but this process."""

    def __init__(self, seed: bytes, boots: int = 0, path: Path | None = None) -> None:
        """Hold a seed of 32 bytes and how many boots there were."""
        self.signer = SeedSigner(seed)
        self.boots = boots
        self._seed, self._path = seed, path

    @classmethod
    def open(cls, path: Path) -> Flash:
        """Read the file, or make it with a new key.

        Raises:
            UnreadableFlash: it holds something else.
            OSError: it can be neither read nor made.

        """
        if not path.exists():
            flash = cls(os.urandom(SEED_BYTES), 0, path)
            flash._write()
            return flash
        held = path.read_bytes()
        if len(held) != SEED_BYTES + 4:
            raise UnreadableFlash(f"{path} has {len(held)} bytes: no seed of {SEED_BYTES} and boot number of 4")
        return cls(held[:SEED_BYTES], int.from_bytes(held[SEED_BYTES:], "big"), path)

    def next_boot(self) -> int:
        """Raise the count before the boot begins: a number that was used once is never used again."""
        self.boots += 1
        self._write()
        return self.boots

    def _write(self) -> None:
        if self._path is None:
            return
        whole = self._path.with_name(self._path.name + ".new")
        whole.unlink(missing_ok=True)
        whole.touch(0o600)
        with whole.open("wb") as file:
            file.write(self._seed + self.boots.to_bytes(4, "big"))
            file.flush()
            os.fsync(file.fileno())
        whole.replace(self._path)
