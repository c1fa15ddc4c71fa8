"""What the client raises, in the words of the issue that its caller acts on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recorder.core.errors import LineageError

if TYPE_CHECKING:
    from recorder.client.answers import Counts


class Unavailable(LineageError):
    """The recorder did not answer in time, or nobody is there to answer.

    Attributes:
        on_unavailable: what the action class says: "hold", "continue_ungated", or None where no class is involved
            or none was ever learnt.
        late: it was recorded, but only after the deadline; the client has told the recorder that nobody acted on it.
        pending: from `flush` and `close`: what is not durable yet.

    """

    def __init__(
        self, reason: str, *, on_unavailable: str | None = None, late: bool = False, pending: Counts | None = None
    ) -> None:
        super().__init__(reason)
        self.on_unavailable = on_unavailable
        self.late = late
        self.pending = pending


class Refused(LineageError):
    """Not admitted; the refusal itself is recorded.

    Attributes:
        reasons: the clauses or bounds that spoke against it.
        entry_id: printed id of the refusal entry.
        seq: its place in the log.

    """

    def __init__(self, reasons: Sequence[str], entry_id: str, seq: int) -> None:
        super().__init__(f"refused ({entry_id}): {'; '.join(reasons)}")
        self.reasons = tuple(reasons)
        self.entry_id = entry_id
        self.seq = seq


class NotRecorded(LineageError):
    """The recorder did not understand, permit or manage it; nothing was recorded.

    Attributes:
        error: snake_case name.
        detail: one sentence.

    """

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.error = error
        self.detail = detail


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
