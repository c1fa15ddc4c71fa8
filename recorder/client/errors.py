"""What the client raises, in the words of the issue that its caller acts on."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.client.counts import Counts
from recorder.core.errors import LineageError


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
