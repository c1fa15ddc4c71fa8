"""Randomness from the kernel, read ahead: a system call for every secret would be felt in every commit."""

from __future__ import annotations

import os

BLOCK_BYTES = 4096


class ReadAhead:
    """`os.urandom` in blocks.  A forked child begins with an empty block: no two processes share a secret."""

    def __init__(self) -> None:
        self._block = b""
        self._at = 0
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, count: int) -> bytes:
        """`count` bytes that were never given before."""
        end = self._at + count
        if end > len(self._block):
            self._block = os.urandom(max(BLOCK_BYTES, count))
            self._at, end = 0, count
        found = self._block[self._at : end]
        self._at = end
        return found

    def _forget(self) -> None:
        self._block, self._at = b"", 0
