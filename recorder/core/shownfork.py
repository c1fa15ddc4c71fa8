"""A fork proof in a verification's report, as values that can be written as JSON."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

# What a proof bears on; by "split" this log stands in one of two lines of its platform's incarnations, and by
# "unknown_log" nobody here is trusted to say whose key it is.
Bearing = Literal["this_log", "split", "another_incarnation", "another_log", "unknown_log", "proves_nothing"]


class Seen(NamedTuple):
    """A cosignature of a known witness."""

    witness: str
    time_s: int  # POSIX seconds, by the witness's clock


class ForkHead(NamedTuple):
    """One of two heads that contradict each other."""

    size: int
    root: str  # hex
    witnessed: list[Seen]


class ShownFork(NamedTuple):
    """A fork proof that was brought, or is held as evidence, and what it comes to."""

    place: str  # the file, or the entry
    origin: str | None
    bearing: Bearing
    words: str  # lines for a person
    heads: list[ForkHead] = []  # noqa: RUF012 -- a default that nobody changes; two where the proof of a fork holds

    def to_json(self) -> dict[str, Any]:
        """What `lineage verify --json` prints of it."""
        heads = [{**one._asdict(), "witnessed": [seen._asdict() for seen in one.witnessed]} for one in self.heads]
        return {**self._asdict(), "heads": heads}
