"""The file `covered` of a lineage: how far evidence covers it, over restarts of the recorder."""

from __future__ import annotations

from contextlib import suppress

from recorder.store.layout import COVERED, replace_unsynced
from recorder.writer.context import Context


class CoveredFile:
    """Reads it at the start and writes it when it changes.

    It is not synced: what a power cut takes, the next evidence says again.  So it costs no commit its time.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = context.journal.store.lineage / COVERED
        with suppress(OSError):  # the first start; or the next evidence says it again
            context.uncovered.restore(self._path.read_bytes(), context.journal.tail.size)
        self._written = b""
        self.tick()

    def tick(self) -> None:
        """Note the time, and write what has changed."""
        uncovered = self._context.uncovered
        uncovered.tick(self._context.journal.tail.size, self._context.journal.now.utc_ns)
        content = uncovered.encode()
        if content == self._written:
            return
        with suppress(OSError):  # a full disk: what it says is old then, and the room says why
            replace_unsynced(self._path, content)
            self._written = content
