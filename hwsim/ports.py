"""The narrow port through which every simulation here reaches a recorder.

`recorder.client.Recorder` satisfies it as it is; the tests bring an in-memory one that enforces the same bounds.
Parameters are typed as narrowly as we call them, so that a client that accepts more still fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

Claims = dict[str, Any]
"""Plain JSON-like values under text keys; Python floats, never numpy's."""

Field = tuple[str, str, int, str]
"""One field of a row: name, numpy type such as "<f4", count, unit."""


class ReceiptPort(Protocol):
    """The answer to a commit."""

    @property
    def outcome(self) -> str:
        """How it stands in the lineage: admitted, deviated, external, ungated, outside_grant, ungated_pending."""


class StreamPort(Protocol):
    """Rows of one actuator under one cycle."""

    def record(self, values: tuple[Any, ...], /, at_mono_ns: int | None = None) -> object:
        """Take one row and return at once, False if it had to be dropped; the durable cycle is the permission."""


class CyclePort(Protocol):
    """A durable why record with bounds; leaving the context ends it."""

    def __enter__(self) -> Self:
        """Return the cycle itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """End the cycle."""

    def commit(self, actuator: str, /, *, what: Claims, where: Claims, deadline_ms: int = ...) -> ReceiptPort:
        """Return when the commit is durable."""

    def submit(self, actuator: str, /, *, what: Claims, where: Claims) -> Future[Any]:
        """Like `commit`, pipelined."""

    def stream(self, actuator: str, /, *, fields: list[Field], what: Claims, where: Claims) -> StreamPort:
        """Declare the schema of an actuator's rows under this cycle."""


class RecorderPort(Protocol):
    """What a simulation asks of a recorder; may be called from two threads (see `hwsim.lease`)."""

    @property
    def lagging(self) -> object | None:
        """What is at risk, while it is more than the recorder promised."""

    def open_cycle(
        self,
        *,
        who: Claims,
        why: Claims,
        actuators: list[str],
        action_classes: list[str],
        max_commits: int,
        valid_ms: int,
        supersedes: Any = None,  # noqa: ANN401 - the client takes its own cycles only
    ) -> CyclePort:
        """Return when the cycle is durable; raise `Refused` with the reasons."""

    def event(self, event_class: str, /, *, actuators: list[str], what: Claims, reason: str) -> object:
        """Record what happens without a cycle; never blocks."""

    def gap(self, *, actuators: list[str], lost_count: int | None, duration_ms: int, reason: str) -> object:
        """Declare what was not recorded."""

    def flush(self, timeout_s: float, /) -> object:
        """Return when all rows and events given so far are durable."""
