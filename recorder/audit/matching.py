"""Which entries were by whom, for what, under which decision: filters, and counts by a field.

Entries are read in groups, because who and why of an entry may lie beside another one, perhaps long before, and a
source has one read open at a time. Carriers that were looked up are kept, so many at most.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from recorder.audit.describe import values_of, withheld_of
from recorder.audit.links import digest_of
from recorder.audit.source import Held, LineageSource, entry_at, groups_of
from recorder.audit.span import Span
from recorder.core.entry import decode_in_order
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Commit, Decision, Kind, Rows, Stage, kind_name
from recorder.store.errors import StoreError

CARRIERS_MAX = 4_096
VALUES_MAX = 10_000  # of a field that is counted by; what comes after them is counted together
CLAIMED = ("operator", "task", "delegation", "capability", "platform", "authority", "requested_by")  # claims of who
ENTITIES = ("operator", "platform", "authority", "requested_by")  # of which `entity` asks for any
FIELDS = (*CLAIMED, "action-class", "decision", "stage", "actuator", "kind")
PREFIX_MIN = 8  # hex digits that name a delegation by the beginning of its hash
NONE, GONE, OTHERS = "(none)", "(not here)", "(others)"


class Match(NamedTuple):
    """An entry that passes all filters."""

    held: Held
    header: Header
    who: dict[str, str]  # by CLAIMED: a value as text, NONE where there is none, GONE where it cannot be told
    commits: int  # single ones that were made, of the actuator asked for
    rows: int


class Counted(NamedTuple):
    """How much there is."""

    entries: int = 0
    commits: int = 0
    rows: int = 0

    def plus(self, commits: int, rows: int) -> Counted:
        """With one entry more."""
        return Counted(self.entries + 1, self.commits + commits, self.rows + rows)


class Query:
    """Filters that all hold, and what was counted while matches went by."""

    def __init__(
        self,
        wanted: dict[str, str],
        actuator: int | None,
        count_by: str | None,
        only: Callable[[Header], bool] | None = None,
    ) -> None:
        """Ask for entries.

        Args:
            wanted: text by name out of FIELDS, or under `entity`, all of which an entry must have.
            actuator: number of the actuator in `wanted`.
            count_by: one of FIELDS.
            only: what else has to hold of an entry.

        """
        self.total = Counted()
        self.by_value: dict[str, Counted] = {}
        self.undecided = 0  # entries that might match, if a claim of who could be read
        self.unread = 0
        self._wanted = wanted
        self._actuator = actuator
        self._count_by = count_by
        self._only = only
        self._carriers: OrderedDict[int, dict[str, str]] = OrderedDict()

    def run(self, source: LineageSource, span: Span, name_of: Callable[[int], str]) -> Iterator[Match]:
        """Matches in order.

        Args:
            source: where they lie.
            span: first and last entry to look at.
            name_of: the name of an actuator by its number.

        """
        for group in groups_of(source, span.first, span.last):
            for held in group:
                found = self._match(source, held)
                if found is not None:
                    self._count(found, name_of)
                    yield found

    def _match(self, source: LineageSource, held: Held) -> Match | None:
        try:
            header = decode_in_order(held.raw).header
        except FormatError:
            self.unread += 1
            return None
        if not self._passes(header):
            return None
        who = self._who(source, header, held)
        left = [name for name in CLAIMED if name in self._wanted and not _is(name, who[name], self._wanted[name])]
        entity = self._wanted.get("entity")
        named = {who[name] for name in ENTITIES}
        if left or entity not in (None, *named):
            may_be = all(who[name] == GONE for name in left) and (entity in (None, *named) or GONE in named)
            self.undecided += may_be
            return None
        return Match(held, header, who, *_acted(header, self._actuator))

    def _passes(self, header: Header) -> bool:
        """What the header alone tells."""
        wanted = self._wanted
        if "kind" in wanted and kind_name(header.kind) != wanted["kind"]:
            return False
        if "action-class" in wanted and _class(header) != wanted["action-class"]:
            return False
        if "decision" in wanted and _decision(header) != wanted["decision"]:
            return False
        if "stage" in wanted and _stage(header) != wanted["stage"]:
            return False
        if self._only is not None and not self._only(header):
            return False
        return self._actuator is None or self._actuator in _actuators(header)

    def _who(self, source: LineageSource, header: Header, held: Held) -> dict[str, str]:
        if header.who is None:
            return dict.fromkeys(CLAIMED, NONE)
        carrier = header.who.carrier
        if carrier == header.seq:
            found = _claimed(held)
        elif carrier in self._carriers:
            self._carriers.move_to_end(carrier)
            return self._carriers[carrier]
        else:
            try:
                found = _claimed(entry_at(source, carrier))
            except StoreError:
                found = dict.fromkeys(CLAIMED, GONE)
        self._carriers[carrier] = found
        if len(self._carriers) > CARRIERS_MAX:
            self._carriers.popitem(last=False)
        return found

    def _count(self, found: Match, name_of: Callable[[int], str]) -> None:
        self.total = self.total.plus(found.commits, found.rows)
        if self._count_by is None:
            return
        if self._count_by == "actuator":
            for number in _actuators(found.header):
                if self._actuator in (None, number):
                    self._add(name_of(number), *_acted(found.header, number))
            return
        header = found.header
        values = {"kind": kind_name(header.kind), "action-class": _class(header), "decision": _decision(header)}
        values["stage"] = _stage(header)
        self._add((found.who | values)[self._count_by], found.commits, found.rows)

    def _add(self, value: str, commits: int, rows: int) -> None:
        if value not in self.by_value and len(self.by_value) >= VALUES_MAX:
            value = OTHERS
        self.by_value[value] = self.by_value.get(value, Counted()).plus(commits, rows)


def _acted(header: Header, actuator: int | None) -> tuple[int, int]:
    """Single commits and rows of an entry, those of one actuator where it is given; none of what was refused."""
    if header.kind != Kind.ACTUATION:
        return 0, 0
    mine = [one for one in header.commits or () if actuator in (None, one.actuator)]
    return sum(isinstance(one, Commit) for one in mine), sum(one.count for one in mine if isinstance(one, Rows))


def _class(header: Header) -> str:
    return NONE if header.classes is None else header.classes.action_class


def _decision(header: Header) -> str:
    return NONE if header.decision is None else Decision(header.decision).name.lower()


def _stage(header: Header) -> str:
    return NONE if header.stage is None else Stage(header.stage).name.lower()


def _is(name: str, value: str, wanted: str) -> bool:
    """Whether a claim is the one that is asked for; a hash may be named by its beginning."""
    is_hash = name == "delegation" and len(wanted) >= PREFIX_MIN and digest_of(value) is not None
    return value == wanted or (is_hash and value.startswith(wanted))


def _actuators(header: Header) -> set[int]:
    """Those of its commits; of a cycle, those that it admits."""
    bounds = header.bounds.actuators if header.bounds is not None else ()
    return {one.actuator for one in header.commits or ()} | set(bounds)


def _claimed(held: Held) -> dict[str, str]:
    """Claims of who beside the entry that carries them."""
    who = values_of(held.claims).get("who")
    if who is None:
        return dict.fromkeys(CLAIMED, GONE)
    hidden = {key for key in withheld_of(held.claims) if key.startswith("who.")}
    is_hidden = "who.*" in hidden  # the whole family is one claim
    return {name: GONE if is_hidden or f"who.{name}" in hidden else _text(who.get(name)) for name in CLAIMED}


def _text(value: Any) -> str:  # noqa: ANN401 -- a claim may be anything
    """A claim as it is compared: a hash in hex, null as NONE."""
    if value is None:
        return NONE
    digest = digest_of(value)
    return digest.hex() if digest is not None else str(value)
