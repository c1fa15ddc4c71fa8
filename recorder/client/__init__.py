"""The client of `lineage run`: three verbs for three needs.

`commit` waits for durability; `record` never blocks and needs a durable cycle; `event` never blocks and needs none.
"""

from __future__ import annotations

from recorder.client.answers import ActionClass, Hello, Page, Receipt, Signed, Witnessed
from recorder.client.counts import Counts, Lagging
from recorder.client.cycle import Cycle
from recorder.client.errors import NotRecorded, Refused, Unavailable
from recorder.client.recorder import Recorder
from recorder.client.stream import Stream

__all__ = [
    "ActionClass",
    "Counts",
    "Cycle",
    "Hello",
    "Lagging",
    "NotRecorded",
    "Page",
    "Receipt",
    "Recorder",
    "Refused",
    "Signed",
    "Stream",
    "Unavailable",
    "Witnessed",
]
