"""Where everything is that never waits: recorded, durable, lost, at risk."""

from __future__ import annotations

from dataclasses import dataclass


class Lagging(UserWarning):
    """More is at risk than the recorder promised in its hello; `record` goes on all the same.

    It is never raised: `Recorder.lagging` holds it while it is so, and it is logged once when it begins.

    Attributes:
        rows: recorded but not durable.
        oldest_ms: age of the oldest of them.

    """

    def __init__(self, rows: int, oldest_ms: int, bound_rows: int, bound_ms: int) -> None:
        super().__init__(
            f"{rows} rows, the oldest {oldest_ms} ms old, are not durable yet;"
            f" the recorder's bound is {bound_rows} rows or {bound_ms} ms"
        )
        self.rows = rows
        self.oldest_ms = oldest_ms


@dataclass(frozen=True, slots=True)
class Counts:
    """Where everything is that was given to `record`, `event` and `gap`.

    recorded = acknowledged + rejected + pending, and dropped is what found no room at all.  Dropped and rejected
    rows and events are declared to the recorder as gaps; `lost_declared` counts those whose gap is durable.
    """

    rows_recorded: int
    rows_acknowledged: int
    rows_rejected: int
    rows_dropped: int
    rows_pending: int
    events_recorded: int  # events and gaps, those included that the client itself makes
    events_acknowledged: int
    events_rejected: int
    events_dropped: int
    events_pending: int
    losses_pending: int  # gaps that are not declared yet
    lost_declared: int
    lagging: Lagging | None

    @property
    def pending(self) -> int:
        """Rows, events and gaps that are not durable yet."""
        return self.rows_pending + self.events_pending + self.losses_pending

    def __str__(self) -> str:
        return (
            f"{self.rows_pending} rows, {self.events_pending} events and {self.losses_pending} gaps not durable;"
            f" {self.rows_dropped} rows and {self.events_dropped} events dropped"
        )
