"""Tiles of sealed segments, read by a process of its own, which may die of it (as `sealed_reader` says of entries)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import lmdb

from recorder.core.errors import LineageError
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.daemon import interpreter
from recorder.store.sealed import Sealed

TILE_BYTES = TILE_WIDTH * HASH_BYTES
_PROGRAM = "from recorder.daemon.sealedtiles import main; main()"
_FAILED = 1

Place = tuple[int, int]  # level, index


class SealedTiles:
    """A child that reads some tiles and ends; nothing here waits for it but `close`."""

    def __init__(self, lineage: Path, newest: int, wanted: Sequence[Place]) -> None:
        """Start it.

        Args:
            lineage: directory of the incarnation.
            newest: ordinal of its newest sealed segment.
            wanted: tiles, few enough for a command line.

        Raises:
            OSError: no room for another process.

        """
        self._wanted = list(wanted)
        self._found = bytearray()
        named = [f"{level}.{index}" for level, index in wanted]
        self._process = subprocess.Popen(  # noqa: S603 -- ourselves
            interpreter.command(_PROGRAM, lineage, str(newest), *named),
            env=interpreter.environment(),
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # LMDB's last words
        )
        assert self._process.stdout is not None, "a pipe"
        self._pipe = self._process.stdout
        os.set_blocking(self._pipe.fileno(), False)

    def take(self) -> dict[Place, bytes] | None:
        """Return what it has read once it has ended, which may be less than was wanted; None before."""
        while (part := self._read()) != b"":
            if part is None:
                return None
            self._found += part
        return {
            place: bytes(self._found[at * TILE_BYTES : (at + 1) * TILE_BYTES])
            for at, place in enumerate(self._wanted)
            if (at + 1) * TILE_BYTES <= len(self._found)
        }

    def _read(self) -> bytes | None:
        """A part; nothing at its end, None where it has said no more yet."""
        part: bytes | None = self._pipe.read(TILE_BYTES)
        return part

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()


def main() -> None:
    """The child: writes each tile whole, in the order in which they are wanted, as far as they can be read."""
    lineage, newest, *named = sys.argv[1:]
    sealed = Sealed(Path(lineage))
    try:
        for name in named:
            level, _, index = name.partition(".")
            sys.stdout.buffer.write(sealed.tile(int(level), int(index), int(newest)))
    except (LineageError, lmdb.Error, OSError):
        sys.exit(_FAILED)  # what is missing says it; `lineage verify` finds the place
