"""The port through which each part of the verifier says what it found."""

from __future__ import annotations

from typing import Protocol


class Found(Protocol):
    """Takes a named error, the seq of its place (None: no entry is its place) and one sentence."""

    def __call__(self, error: str, seq: int | None, detail: str) -> None: ...
