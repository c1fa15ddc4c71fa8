"""One line on a terminal that says what is going on."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self


class Telling:
    """One line on a terminal's standard error that says what is going on."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text.ljust(self._width)}")
            sys.stderr.flush()
            self._width = max(self._width, len(text))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self("")
        if self._width:
            sys.stderr.write("\r")
