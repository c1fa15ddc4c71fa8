"""A running recorder, over its socket."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from recorder.audit.source import Held
from recorder.client.answers import Page
from recorder.client.recorder import Recorder
from recorder.core.kinds import Kind
from recorder.core.message_replies import Head

TIMEOUT_MS = 5000  # reads wait while commits do
SEAL_MS = 60_000  # the next segment has to be made first, on a slow card that others write to


class Logged(NamedTuple):
    """The extraction entry that a recorder added."""

    seq: int


class Live(Protocol):
    """What is asked of a running recorder."""

    @property
    def origin(self) -> str:
        """Name of its log."""
        ...

    @property
    def actuators(self) -> dict[str, int | None]:
        """Numbers of the actuators that we may act for, by name."""
        ...

    def checkpoint(self) -> bytes:
        """Signed note of the log as it is."""
        ...

    def seal(self) -> bytes:
        """Make all entries so far lie in sealed segments; returns their signed note."""
        ...

    def read(self, seq: int) -> Page:
        """Entries from `seq` on, as many as one reply holds."""
        ...

    def log_extraction(self, ranges: list[tuple[int, int]], manifest: bytes) -> Logged:
        """Add the extraction entry for this manifest.

        Raises:
            NotRecorded: we may not.
            Unavailable: no answer.

        """
        ...

    def holds(self) -> dict[int, tuple[int, int | None]]:
        """First and last seq of each hold in force, by the seq of its entry; last None: whatever follows."""
        ...

    def heads(self) -> Iterator[Head]:
        """The head as it is, then each change, without end."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class LiveRecorder:
    """`Live` through the client."""

    def __init__(self, socket: Path) -> None:
        """Connect.

        Raises:
            Unavailable: nobody answers there.

        """
        self._socket = socket
        self._client = Recorder(socket, client_name="lineage", timeout_ms=TIMEOUT_MS)
        try:
            self._hello = self._client.hello
        except BaseException:
            self._client.close(0)
            raise

    @property
    def origin(self) -> str:
        return self._hello.origin

    @property
    def actuators(self) -> dict[str, int | None]:
        return self._hello.actuators

    def checkpoint(self) -> bytes:
        return self._client.checkpoint()

    def seal(self) -> bytes:
        with Recorder(self._socket, client_name="lineage", timeout_ms=SEAL_MS) as patient:
            return patient.seal()

    def read(self, seq: int) -> Page:
        return self._client.read(seq)

    def log_extraction(self, ranges: list[tuple[int, int]], manifest: bytes) -> Logged:
        control = [[list(item) for item in ranges], None, sha256(manifest).digest()]
        receipt = self._client.append(Kind.EXTRACTION, control=control)
        assert receipt.seq is not None, "an appended entry has a place"
        return Logged(receipt.seq)

    def holds(self) -> dict[int, tuple[int, int | None]]:
        return {seq: (first, last) for seq, first, last in self._client.status()["room"]["holds"]}

    def heads(self) -> Iterator[Head]:
        return self._client.subscribe()

    def close(self) -> None:
        self._client.close(0)


def read_live(live: Live, from_seq: int, until: int | None) -> Iterator[Held]:
    """Entries from `from_seq` below `until`, as far as there are any."""
    while until is None or from_seq < until:
        next_seq, entries = live.read(from_seq)
        if not entries:
            return
        for raw, claims in entries:
            if until is not None and from_seq >= until:
                return
            yield Held(from_seq, raw, claims or b"")
            from_seq += 1
        if next_seq != from_seq:  # the recorder passed over something
            from_seq = next_seq
