"""Whether two lineages say the same of one thing at one time: their observations paired and their values held together.

Each reading is held against the one nearest in time of the other side, if that lies within the tolerance; so none that
has a counterpart is passed over, whatever else was said in the same instant.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from recorder.audit.readings import Reading
from recorder.core.errors import Misuse
from recorder.core.observation import Number, Value

_NUMBERS = frozenset({int, float})

Outcome = Literal["agreed", "contradicted", "incomparable"]

_TOLERANCE = re.compile(
    r"(?:(?P<name>.+)=)?(?P<amount>[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e-?[0-9]{1,3})?)(?P<share>%?)", re.DOTALL
)


class Tolerance(NamedTuple):
    """How far two numbers may be apart and still agree: an amount in their unit, or a share of the larger one."""

    amount: Decimal = Decimal(0)
    share: Decimal = Decimal(0)

    def covers(self, one: Number, other: Number) -> bool:
        """Tell whether two numbers agree, counted in decimals: as floats 2.5 and 2.4 are further apart than 0.1."""
        a, b = Decimal(str(one)), Decimal(str(other))
        return abs(a - b) <= max(self.amount, self.share * max(abs(a), abs(b)))


class Pair(NamedTuple):
    """Two readings of one thing, and what they are to each other."""

    outcome: Outcome
    a: Reading
    b: Reading

    @property
    def is_verified(self) -> bool:
        """Both signers are known."""
        return self.a.signer.standing == self.b.signer.standing == "verified"


def parse_tolerances(texts: Iterable[str]) -> dict[str | None, Tolerance]:
    """Read `0.05`, `2%`, `NAME=0.05` and `NAME=2%`; None is the name of what holds for all others.

    Raises:
        Misuse: it is none of these, or a name comes twice.

    """
    found: dict[str | None, Tolerance] = {}
    for text in texts:
        match = _TOLERANCE.fullmatch(text)
        if match is None:
            raise Misuse(f"{text[:80]!r} is no tolerance: an amount (0.05) or a share (2%), for all or as NAME=0.05")
        if match["name"] in found:
            raise Misuse(f"two tolerances for {match['name'] or 'all names'}; give one")
        amount = Decimal(match["amount"])
        found[match["name"]] = Tolerance(share=amount / 100) if match["share"] else Tolerance(amount)
    return found


def compare(
    a: Iterable[Reading], b: Iterable[Reading], within_ns: int, tolerances: Mapping[str | None, Tolerance]
) -> Iterator[Pair]:
    """Pair what two sides read of the same thing and say of each pair whether it agrees; in order of name and time."""
    ours, theirs = _by_thing(a), _by_thing(b)
    for thing in sorted(ours.keys() & theirs.keys()):
        tolerance = tolerances.get(thing[0], tolerances.get(None, Tolerance()))
        for one, other in _paired(ours[thing], theirs[thing], within_ns):
            yield Pair(_outcome(one, other, tolerance), one, other)


def _by_thing(readings: Iterable[Reading]) -> dict[tuple[str, str], list[Reading]]:
    found: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        if reading.says.subject is not None:
            found[reading.says.name, reading.says.subject].append(reading)
    for listed in found.values():
        listed.sort(key=_at_ns)
    return found


def _at_ns(reading: Reading) -> int:
    return reading.says.at_utc_ns


def _paired(a: Sequence[Reading], b: Sequence[Reading], within_ns: int) -> list[tuple[Reading, Reading]]:
    a_ns, b_ns = list(map(_at_ns, a)), list(map(_at_ns, b))
    near = {(at, _nearest(b_ns, at_ns)) for at, at_ns in enumerate(a_ns)}
    near |= {(_nearest(a_ns, at_ns), at) for at, at_ns in enumerate(b_ns)}
    return [(a[one], b[other]) for one, other in sorted(near) if abs(a_ns[one] - b_ns[other]) <= within_ns]


def _nearest(times_ns: Sequence[int], at_ns: int) -> int:
    """Index of the nearest time, of two the earlier."""
    after = bisect_left(times_ns, at_ns)
    around = [at for at in (after - 1, after) if 0 <= at < len(times_ns)]
    return min(around, key=lambda at: abs(times_ns[at] - at_ns))


def _outcome(one: Reading, other: Reading, tolerance: Tolerance) -> Outcome:
    a, b = one.says, other.says
    if (a.unit, a.frame, _sort(a.value)) != (b.unit, b.frame, _sort(b.value)):
        return "incomparable"
    return "agreed" if _agree(a.value, b.value, tolerance) else "contradicted"


def _sort(value: Value) -> type:
    return float if type(value) is int else type(value)


def _agree(one: Value, other: Value, tolerance: Tolerance) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(tolerance.covers, one, other))
    if type(one) in _NUMBERS and type(other) in _NUMBERS:
        return tolerance.covers(one, other)  # type: ignore[arg-type]  # exact types: a bool is no number
    return one == other
