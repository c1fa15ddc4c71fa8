"""`Port`: what a cycle needs of its recorder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from recorder.client.answers import Hello, Receipt
from recorder.client.commits import Act
from recorder.client.rows import Source
from recorder.client.session import Outgoing
from recorder.client.statement import Claims


class Port(Protocol):
    """What a cycle needs of its recorder."""

    @property
    def hello(self) -> Hello:
        """Whom we speak to."""

    @property
    def ring_ms(self) -> int:
        """How long a ring lasts at a stream's greatest rate."""

    @property
    def timeout_ms(self) -> int:
        """How long to wait where no deadline is given."""

    def perform(self, act: Act) -> Receipt:
        """Commit, and fail as the class says."""

    def perform_later(self, act: Act) -> Future[Receipt]:
        """Commit, pipelined, and fail as the class says."""

    def confirm(self, request: Outgoing, timeout_ms: int) -> Receipt:
        """Wait for a request's receipt; after the time-out it is still delivered, but Unavailable is raised."""

    def put_event(
        self,
        action_class: str,
        actuators: tuple[str, ...],
        families: tuple[Claims, Claims, Claims, Claims],
        at_mono_ns: int,
        predecessor: int | None = None,
        asked: list[int] | None = None,
    ) -> bool:
        """Queue an event, which may abort a cycle or ask for witnesses, and return at once."""

    def adopt(self, source: Source) -> None:
        """Send a source's rows."""

    def drain(self, sources: Sequence[Source], timeout_s: float) -> bool:
        """Wait until all rows of these sources are answered."""
